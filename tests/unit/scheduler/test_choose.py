"""When a request that finds nothing is turned away, and when it looks again."""

from typing import Any

import pytest

from tests.hosts import flavor, report, request, table_of
from zones.capabilities.classes import CapabilityClass, Slots
from zones.capabilities.host_row import Version
from zones.capabilities.link_table import LinkState, LinkTable
from zones.capabilities.summary import Entry
from zones.config import Placement
from zones.protocol import HostReport
from zones.scheduler.choose import Choice, choose
from zones.scheduler.explain import explain, render
from zones.scheduler.links import Links
from zones.scheduler.memory import Refusals
from zones.scheduler.policy import Policy

POLICY = Policy.of(Placement())
BIG = flavor(ram=4096)


def test_a_no_to_an_equal_request_counts_once_it_is_younger_than_this_one() -> None:
    table, refusals = table_of(report("h1", seq=5, ram_used=8000)), Refusals()
    refusals.remember("h1", request(like=BIG).need, (1, 5), 10.0)
    came_before = choose(request(like=BIG, age=2.0), {}, table, POLICY, refusals, 11.0)
    assert (came_before.target, came_before.wait) == (None, False)
    came_after = choose(request(like=BIG, age=0.5), {}, table, POLICY, refusals, 11.0)
    assert (came_after.target, came_after.wait) == (None, True)


def test_the_likeliest_host_is_asked_when_nobody_refused_lately() -> None:
    table = table_of(report("h1", ram_used=8000), report("h2", ram_used=5000))
    choice = choose(request(like=BIG), {}, table, POLICY, Refusals(), 0.0)
    assert (choice.target, choice.maybe) == ("h2", True)
    asked = {"h1": (1, 1), "h2": (1, 1)}
    assert choose(request(like=BIG), asked, table, POLICY, Refusals(), 0.0).target is None


# ------------------------------------------------------------------ hosts and links

ROOM = [CapabilityClass("az", 1, {}, [Slots(1, 4096, 10, 5)])]


def links(**classes: list[CapabilityClass]) -> Links:
    """Links by name, each with these classes and the version (0, 5), in a zone called `top`."""
    table = LinkTable()
    for name, kinds in classes.items():
        table.apply(LinkState(name, name, entries={name: Entry(name, classes=kinds)}, version=(0, 5)))
    return Links(table, Refusals(), "top")


def pick(asked: dict[str, Version], known: Links, *hosts: HostReport, now: float = 1.0,
         **given: Any) -> Choice:
    return choose(request(like=BIG, **given), asked, table_of(*hosts), POLICY, Refusals(), now, known)


EMPTY, FULL = report("h1"), report("h1", ram_used=8000)


@pytest.mark.parametrize(("host", "kinds", "asked", "found"), [
    (EMPTY, ROOM, [], ("h1", "host", False)), (FULL, ROOM, [], ("east", "link", False)),
    (FULL, [], [], ("h1", "host", True)), (FULL, [], ["h1"], ("east", "link", True)),
    (FULL, [], ["h1", "east"], (None, "host", False))])
def test_local_first_then_the_best_link_then_the_maybes_in_the_same_order(
        host: HostReport, kinds: list[CapabilityClass], asked: list[str], found: tuple[Any, ...]) -> None:
    choice = pick(dict.fromkeys(asked, (1, 5)), links(east=kinds), host)
    assert (choice.target, choice.kind, choice.maybe) == found


def test_a_zone_without_hosts_sends_everything_on() -> None:
    choice = pick({}, links(east=ROOM, west=[]))
    assert (choice.target, choice.kind) == ("east", "link")
    assert choice.decision.links is not None and choice.decision.links.considered == 2


def test_a_link_that_refused_is_asked_again_only_with_a_newer_summary() -> None:
    """Whatever made it: nothing in the feed tells of room that the neighbour's own users gave back."""
    known = links()
    known.table.apply(LinkState("east", "east", entries={"east": Entry("east", classes=ROOM)},
                                version=(3, 5), generation=7))
    assert pick({"east": (7, 5)}, known).target is None, "that summary was there before its no"
    assert pick({"east": (6, 6)}, known).target is None, "it was made before the no"
    assert pick({"east": (6, 5)}, known).target == "east"
    assert pick({"east": (6, 4)}, known).target == "east"
    known.table.apply(LinkState("east", "east", entries={"east": Entry("east")}, version=(3, 6),
                                generation=8))
    assert pick({"east": (6, 5)}, known).target is None, "never again as a maybe"


def test_a_link_that_just_refused_others_is_waited_for() -> None:
    known = links(east=ROOM)
    known.refusals.remember("east", request(like=BIG).need, (0, 5), 10.0)
    late = pick({}, known, now=11.0, age=0.5)
    assert (late.target, late.wait) == (None, True)
    assert not pick({}, known, now=11.0, age=5.0).wait
    assert pick({}, known, now=12.5).target == "east"


@pytest.mark.parametrize(("zone", "target"), [("top", "h1"), ("east", "east"), ("nowhere", None)])
def test_the_hint_zone_names_this_zone_or_one_of_the_others(zone: str, target: str | None) -> None:
    choice = pick({}, links(east=ROOM), EMPTY, hints={"zone": zone})
    assert choice.target == target
    words = render(explain(choice.decision, choice.target))
    if target is None:
        assert words == (
            "No valid host: 1 of 1 host is not in the zone that was asked for; zone east is not, and does "
            "not lead to, the zone that was asked for (wanted nowhere).")


def test_without_links_the_hint_zone_still_keeps_the_server_off_these_hosts() -> None:
    choice = choose(request(hints={"zone": "other"}), {}, table_of(EMPTY), POLICY, Refusals(), 0.0)
    assert (choice.target, choice.decision.rejected["zone"].count) == (None, 1)
