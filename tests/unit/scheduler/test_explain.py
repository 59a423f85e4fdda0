"""Explanations: small, JSON-able, and plain words when read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts import flavor, report, request, table_of
from zones.capabilities.classes import CapabilityClass, Slots
from zones.capabilities.link_table import LinkState, LinkTable
from zones.capabilities.room import Capacity
from zones.capabilities.summary import Entry
from zones.config import Placement
from zones.scheduler.choose import choose
from zones.scheduler.explain import LARGEST, explain, render
from zones.scheduler.links import Links
from zones.scheduler.memory import Refusals
from zones.scheduler.place import Candidate, Decision, Rejection, place
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest

POLICY = Policy.of(Placement())
HOSTS = (report("h1"), report("h2", ram_used=4096, availability_zone="az2", capabilities={"gpu": ["k80"]}),
         report("h3", ram_used=8000), report("h4", enabled=False))


@pytest.mark.parametrize(("asked", "words"), [
    (request(like=flavor(1, 2048, 0)),
     ("Placed on h1 with weight 3.12 (ram 0.75, cpu 0.88, disk 1.00, count 1.00), one of 2 that could hold "
     "it; next: h2 (2.62). Not considered: 1 of 4 hosts is disabled (h4); 1 of 4 hosts has too little RAM "
     "(need 2048 MiB; h3 has 192 free).")),
    (request(like=flavor(1, 9000, 0)),
     ("No valid host: 1 of 4 hosts is disabled (h4); 3 of 4 hosts have too little RAM (need 9000 MiB; "
     "h1 has 8192 free of only 8192, h2 has 4096 free of only 8192, h3 has 192 free of only 8192).")),
    (request(availability_zone="az2", hints={"zone_capabilities": ["gpu=a100"]}),
     ("No valid host: 1 of 4 hosts is disabled (h4); 2 of 4 hosts are in another availability zone "
     "(wanted az2; h1 is in nova, h3 is in nova); 1 of 4 hosts lacks what the hint zone_capabilities asks "
     "for (wanted gpu=a100; h2 has k80).")),
    (request(hints={"zone_capabilities": "gpu"}),
     ("No valid host: 1 of 4 hosts is disabled (h4); 3 of 4 hosts are rejected by hinted_capabilities_error "
     "(zone_capabilities: 'gpu' is not of the form key=value).")),
])
def test_words(asked: PlacementRequest, words: str) -> None:
    decision = place(asked, table_of(*HOSTS, placement=Placement(cpu_allocation_ratio=1.0)), POLICY)
    chosen = decision.ranked[0].target if decision.ranked else None
    assert render(orjson.loads(orjson.dumps(explain(decision, chosen)))) == words


def test_a_maybe_and_an_empty_zone_and_a_dry_run() -> None:
    full = place(request(like=flavor(1, 4096, 0)), table_of(HOSTS[2]), POLICY)
    assert explain(full, "h3")["maybe"] is True
    assert render(explain(full, "h3")) == (
        "Asked h3, although by its last report it has no room. Not considered: "
        "1 of 1 host has too little RAM (need 4096 MiB; h3 has 192 free).")
    nowhere = place(request(), table_of(), POLICY)
    assert render(explain(nowhere, None)) == "No valid host: no compute host has reported to this zone."
    assert render(explain(place(request(), table_of(HOSTS[0]), POLICY), None)) == (
        "1 of 1 hosts could hold it.")
    assert render({}) == "No valid host: no compute host has reported to this zone."


def linked(*given: dict[str, Any], full: bool = False, **asked: Any) -> Decision:
    """What is decided of a zone with three links, changed as `given` says, and a host that is full or not."""
    table = LinkTable()
    for name, count, more in zip(("east", "west", "north"), (14, 1, 0), given or ({}, {}, {}), strict=True):
        kinds = [CapabilityClass("az", 1, {}, [Slots(1, 1024, 10, count)])]
        table.apply(LinkState(f"{name}-uuid", name, **{
            "entries": {f"{name}-uuid": Entry(name, classes=kinds)}, **more}))
    links = Links(table, Refusals())
    hosts = table_of(report("h1", ram_used=8000 if full else 0))
    return choose(request(**asked), {}, hosts, POLICY, Refusals(), 1.0, links).decision


def test_words_about_zones() -> None:
    decision = linked(full=True)
    assert render(orjson.loads(orjson.dumps(explain(decision, "east-uuid")))) == (
        "Sent to zone east with weight 0.93 (room 0.93), one of 2 that could take it; next: west (0.50). "
        "Not considered: 1 of 1 host has too little RAM (need 1024 MiB; h1 has 192 free); zone north (of 3) "
        "has no room for it by its last summary.")
    assert render(explain(decision, "north-uuid")).startswith(
        "Asked zone north, although it is not known to have room. Not considered: 1 of 1 host")
    assert render(explain(decision, "h1")).startswith("Asked h1, although by its last report it has no room.")
    assert render(explain(decision, None)).startswith("2 of 3 zones could hold it. The others: 1 of 1 host")
    placed = linked({"closed": "inactive"}, {"entries": None}, {"closed": "cordoned"})
    assert render(explain(placed, "h1")) == (
        "Placed on h1 with weight 3.15 (ram 0.88, cpu 0.88, disk 0.90, count 1.00), one of 1 that could "
        "hold it. Not considered: zone east (of 3) is inactive; zone west (of 3) has sent no summary lately; "
        "zone north (of 3) takes no new servers.")


def test_words_when_no_zone_will_do() -> None:
    nowhere = linked(full=True, availability_zone="south")
    assert render(explain(nowhere, None)) == (
        "No valid host: 1 of 1 host is in another availability zone (wanted south; h1 is in nova); 3 of 3 "
        "zones are not, and do not have, the availability zone (wanted south; east, west, north).")
    inactive = linked(*[{"closed": "inactive"}] * 3, full=True)
    assert render(explain(inactive, None)).endswith("; 3 of 3 zones are inactive (east, west, north).")


names = st.text(min_size=1, max_size=255)
numbers = st.dictionaries(st.sampled_from(["need", "free", "total", "wanted", "has", "error"]) | st.text(),
                          st.integers(-2**53, 2**53) | st.text(max_size=300), max_size=6)
candidates = st.lists(st.builds(Candidate, names, names, st.floats(-9, 9),
                                st.dictionaries(names, st.floats(0, 1), max_size=8)), max_size=16)
decisions = st.builds(
    Decision, st.builds(Capacity, st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40)),
    st.integers(0, 10**6), st.integers(0, 10**6), candidates, candidates,
    st.dictionaries(names, st.builds(Rejection, st.integers(1, 10**6), st.lists(
        st.builds(lambda name, more: {**more, "host": name}, names, numbers), max_size=3)), max_size=60))


@given(decisions, st.none() | decisions, st.none() | names)
def test_it_is_never_larger_than_its_bound(decision: Decision, links: Decision | None,
                                           chosen: str | None) -> None:
    decision = replace(decision, links=links)
    assert len(orjson.dumps(explain(decision, chosen))) <= LARGEST


def test_even_many_reasons_with_long_names_stay_within_the_bound() -> None:
    long = "\N{GRINNING FACE}" * 255
    rejected = {f"{number}{long}": Rejection(1, [{"host": long}] * 3) for number in range(40)}
    decision = Decision(Capacity(1, 1, 1), 9, 9, [Candidate(long, long, 1.0, {long: 1.0})] * 9, [], rejected)
    found = explain(replace(decision, links=decision), long)
    assert len(orjson.dumps(found)) <= LARGEST
    assert found["rejected"] and found["zones"]["rejected"]
