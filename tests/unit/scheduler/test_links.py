"""Links as candidates: what a summary promises less what is in flight, and a reason for every no."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import structs

from tests.hosts import flavor, request
from zones.capabilities.classes import CapabilityClass, Largest, Slots
from zones.capabilities.inflight import InFlight
from zones.capabilities.link_table import LinkState, LinkTable
from zones.capabilities.room import Capacity, shape
from zones.capabilities.summary import OLDEST, Entry
from zones.protocol import GroupValue
from zones.scheduler.links import Links, below, place_on_links
from zones.scheduler.memory import Refusals
from zones.scheduler.place import Decision
from zones.scheduler.request import PlacementRequest

SMALL, BIG = flavor(), flavor(4, 8192, 40)


def kind(count: int, zone: str = "az1", shapes: tuple[Any, ...] = (SMALL,), **capabilities: Any,
         ) -> CapabilityClass:
    """A class with so many slots of each shape."""
    return CapabilityClass(zone, 1, {key: [value] for key, value in capabilities.items()},
                           [Slots(*shape(one), count=count) for one in shapes])


def link(name: str = "east", *kinds: CapabilityClass, below: dict[str, Entry] | None = None,
         **given: Any) -> LinkState:
    """A link to the zone `name`-uuid, heard at time 0."""
    entries = {f"{name}-uuid": Entry(f"zone-{name}", classes=list(kinds)), **(below or {})}
    return LinkState(f"{name}-uuid", name, **{"entries": entries, **given})


def links_of(*states: LinkState, here: str = "top") -> Links:
    table = LinkTable()
    for state in states:
        table.apply(state)
    return Links(table, Refusals(), here)


def decide(asked: PlacementRequest, *states: LinkState, now: float = 1.0) -> Decision:
    return place_on_links(asked, links_of(*states), now)


def targets(decision: Decision) -> list[str]:
    return [one.name for one in decision.ranked]


def codes(decision: Decision) -> dict[str, int]:
    return {code: one.count for code, one in decision.rejected.items()}


# ------------------------------------------------------------------ room

def test_the_best_link_is_the_one_with_the_most_slots_on_an_absolute_scale() -> None:
    decision = decide(request(), link("east", kind(3)), link("west", kind(1), kind(8, "az2")))
    assert [(one.name, round(one.weight, 3), one.kind) for one in decision.ranked] == [
        ("west", 0.9, "link"), ("east", 0.75, "link")]
    assert (decision.considered, decision.passed, decision.rejected) == (2, 2, {})


def test_classes_that_share_limits_have_one_room() -> None:
    """As the availability zones of one account; a request for one of them sees all that is left."""
    pooled = [structs.replace(kind(4, zone), shares="account") for zone in ("az1", "az2", "az3")]
    east, small = link("east", *pooled, kind(2, "az9")), shape(SMALL)
    table = links_of(east)
    for asked, room in ((request(), 6), (request(availability_zone="east/az1"), 4)):
        (best,) = place_on_links(asked, table, 1.0).ranked
        assert best.weight == room / (room + 1)
    assert table.table.has_room("east-uuid", small)
    table.table.set_held("east-uuid", small, 6)
    assert codes(place_on_links(request(), table, 1.0)) == {"room": 1}
    assert not table.table.has_room("east-uuid", small)


def test_offset_and_scale_are_the_operators_and_children_go_before_parents() -> None:
    decision = decide(request(), link("up", kind(99), relation="parent", weight_offset=9.0),
                      link("east", kind(1)), link("west", kind(1), weight_offset=1.0, weight_scale=2.0))
    assert [(one.name, one.weight) for one in decision.ranked][:2] == [("west", 2.0), ("east", 0.5)]
    assert targets(decision) == ["west", "east", "up"]


def test_what_is_in_flight_is_taken_off_and_no_room_is_a_maybe() -> None:
    links = links_of(link("east", kind(2, shapes=(SMALL, BIG))))
    inflight = InFlight(links.table)
    inflight.add("a", "east-uuid", shape(SMALL))
    assert place_on_links(request(), links, 1.0).ranked[0].weight == 0.5
    inflight.add("b", "east-uuid", shape(BIG))
    full = place_on_links(request(), links, 1.0)
    assert (full.ranked, [one.name for one in full.maybes], codes(full)) == ([], ["east"], {"room": 1})
    inflight.drop("b")
    assert targets(place_on_links(request(like=BIG), links, 1.0)) == ["east"]


def test_a_large_one_in_flight_takes_several_small_slots() -> None:
    state = replace(link(), held=Capacity(4, 8192, 40), held_servers=1)
    assert state.taken(shape(SMALL)) == 8 and state.taken(shape(BIG)) == 1
    assert replace(state, held_servers=3).taken(shape(BIG)) == 3
    assert replace(state, held_servers=2).taken(Capacity(0, 0, 0)) == 2
    assert link().taken(shape(SMALL)) == 0


def test_an_unknown_shape_is_one_where_a_largest_host_holds_it() -> None:
    known = CapabilityClass("az1", 1, {}, [], [Largest(8, 8192, 100)])
    assert decide(request(), link("east", known)).ranked[0].weight == 0.5
    assert codes(decide(request(like=flavor(9)), link("east", known))) == {"room": 1}


def test_equals_share_the_load() -> None:
    states = [link(name, kind(5)) for name in ("a", "b", "c")]
    first = [targets(decide(request(f"s{number}"), *states))[0] for number in range(200)]
    assert all(first.count(name) > 30 for name in ("a", "b", "c"))


# ------------------------------------------------------------------ silence and the operator's word

@pytest.mark.parametrize(("state", "code", "maybe"), [
    (link(closed="inactive"), "zone_inactive", False),
    (link(closed="cordoned"), "zone_cordoned", False),
    (link(closed="draining"), "zone_cordoned", False),
    (link(closed="silent"), "zone_silent", True),
    (link(entries=None), "zone_silent", True),
    (link("east", kind(9), heard_at=-OLDEST), "zone_silent", True),
    (link(entries=None, closed="inactive"), "zone_inactive", False),
    (link("east", kind(0)), "room", True),
    (link("east"), "room", True)])
def test_unknown_is_not_no(state: LinkState, code: str, maybe: bool) -> None:
    decision = decide(request(), state)
    assert (codes(decision), bool(decision.maybes), decision.ranked) == ({code: 1}, maybe, [])


def test_what_a_zone_said_below_another_ages_on_its_own() -> None:
    state = link("east", kind(1), below={"deep": Entry("deep", age=80.0, classes=[kind(3)], path=["deep"])})
    assert decide(request(), state, now=5.0).ranked[0].weight == 0.8
    assert decide(request(), state, now=15.0).ranked[0].weight == 0.5


# ------------------------------------------------------------------ what the request asks

@pytest.mark.parametrize(("given", "code"), [
    ({"path": ["x", "east-uuid"]}, "loop"), ({"hops_left": 1}, "hops"),
    ({"excluded": frozenset({"east-uuid"})}, "excluded"),
    ({"refused_lately": frozenset({"east-uuid"})}, "refused_lately"),
    ({"same_hosts": frozenset({"h1"})}, "same_host"), ({"force_host": "h1"}, "forced_host"),
    ({"hints": {"local_zone_only": True}}, "local_zone_only"),
    ({"hints": {"local_zone_only": "true"}}, "local_zone_only"),
    ({"hints": {"zone": "top"}}, "zone"), ({"hints": {"zone": "elsewhere"}}, "zone"),
    ({"availability_zone": "nova"}, "availability_zone"),
    ({"availability_zone": "east/az9"}, "availability_zone"),
    ({"hints": {"zone_capabilities": ["gpu=a100"]}}, "zone_capabilities"),
    ({"hints": {"zone_capabilities": "gpu"}}, "zone_capabilities"),
    ({"like": flavor(extra_specs={"capabilities:gpu": "a100"})}, "capability"),
    ({"group": GroupValue("g", "affinity"), "group_hosts": ("h1",)}, "group")])
def test_a_no_for_good_has_its_code(given: dict[str, Any], code: str) -> None:
    decision = decide(request(**given), link("east", kind(9)))
    assert (codes(decision), decision.ranked, decision.maybes) == ({code: 1}, [], [])
    assert decision.rejected[code].examples[0]["host"] == "east"


@pytest.mark.parametrize("given", [
    {"same_hosts": frozenset({"east-uuid"})}, {"different_hosts": frozenset({"east-uuid"})},
    {"hints": {"zone": "east"}}, {"hints": {"zone": "zone-east"}}, {"hints": {"zone": ["east"]}},
    {"availability_zone": "east"}, {"availability_zone": "east/az1"}, {"path": ["other"]}, {"hops_left": 2},
    {"group": GroupValue("g", "affinity"), "group_hosts": ("east-uuid",)},
    {"group": GroupValue("g", "affinity"), "group_hosts": ()},
    {"group": GroupValue("g", "anti-affinity"), "group_hosts": ("h1", "east-uuid")},
    {"hints": {"zone_capabilities": ["hypervisor=kvm;qemu"]}},
    {"like": flavor(extra_specs={"hypervisor": "kvm"})}])
def test_what_the_link_has_is_found(given: dict[str, Any]) -> None:
    assert targets(decide(request(**given), link("east", kind(9, hypervisor="kvm")))) == ["east"]


WEST = link("west", kind(4, "az1"), below={
    "gpu": Entry("deep", classes=[kind(2, "az2", gpu="a100")], path=["west-gpu"])})


@pytest.mark.parametrize(("given", "slots"), [
    ({}, 6), ({"availability_zone": "west"}, 6), ({"availability_zone": "west/az1"}, 4),
    ({"availability_zone": "west/west-gpu"}, 2), ({"availability_zone": "west/west-gpu/az2"}, 2),
    ({"hints": {"zone": "west"}}, 4), ({"hints": {"zone": "west-gpu"}}, 2), ({"hints": {"zone": "deep"}}, 2),
    ({"hints": {"zone_capabilities": ["gpu=a100"]}}, 2), ({"path": ["gpu"]}, 4)])
def test_only_classes_that_match_give_slots(given: dict[str, Any], slots: int) -> None:
    assert decide(request(**given), WEST).ranked[0].weight == slots / (slots + 1)
    links = links_of(WEST)
    links.table.set_held("west-uuid", Capacity(1, 1, 1), slots)
    assert codes(place_on_links(request(**given), links, 1.0)) == {"room": 1}


@pytest.mark.parametrize(("zone", "inside"), [
    (None, ""), ("", ""), ("west", ""), ("west/az1", "az1"), ("west/a/b", "a/b"), ("nova", None),
    ("west2", None)])
def test_below(zone: str | None, inside: str | None) -> None:
    assert below(zone, "west") == inside


def test_a_diamond_is_a_candidate_twice() -> None:
    shared = {"shared": Entry("shared", classes=[kind(3)], path=["shared"])}
    decision = decide(request(hints={"zone": "shared"}), link("east", below=shared),
                      link("west", below=shared))
    assert sorted(targets(decision)) == ["east", "west"]


# ------------------------------------------------------------------ never more than was promised

class Promises(RuleBasedStateMachine):
    """One link, many boots of two shapes: those that are sent as ranked never exceed its last summary."""

    @initialize(small=st.integers(0, 6), big=st.integers(0, 3))
    def begin(self, small: int, big: int) -> None:
        self.links = links_of()
        self.inflight = InFlight(self.links.table)
        self.sent, self.head, self.generation = 0, 0, 0
        self.open: dict[str, int | None] = {}
        self.since: set[str] = set()
        self.summary(small, big, 0)

    @rule(small=st.integers(0, 6), big=st.integers(0, 3), more=st.integers(0, 3))
    def summary(self, small: int, big: int, more: int) -> None:
        """A new one, which counts some of what was placed."""
        self.head += more
        self.generation += 1
        self.slots = {shape(SMALL): small, shape(BIG): big}
        kinds = [CapabilityClass("az", 1, {}, [Slots(*shape(SMALL), count=small),
                                               Slots(*shape(BIG), count=big)])]
        self.links.table.apply(LinkState("z", "z", entries={"z": Entry("z", classes=kinds)},
                                         version=(0, self.head)))
        # What the summary counts already was promised by an earlier one.
        self.since = {name for name in self.open
                      if not (self.open[name] is not None and (self.open[name] or 0) <= self.head)}
        self.open = {name: self.open[name] for name in self.since}

    @rule(like=st.sampled_from([SMALL, BIG]))
    def boot(self, like: Any) -> None:
        self.sent += 1
        decision = place_on_links(request(f"s{self.sent}", like), self.links, 1.0)
        if decision.ranked:
            name = f"a{self.sent}"
            self.inflight.add(name, "z", decision.need)
            self.open[name] = None
            self.since.add(name)
            assert len(self.since) <= self.slots[decision.need]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), ahead=st.integers(1, 4), refused=st.booleans())
    def answer(self, data: st.DataObject, ahead: int, refused: bool) -> None:
        """The neighbour refuses one, or says from which `seq` on its summaries count it."""
        name = data.draw(st.sampled_from(sorted(self.open)))
        if refused:
            self.inflight.drop(name)
            self.since.discard(name)
            del self.open[name]
        elif self.open[name] is None:
            self.open[name] = self.head + ahead
            self.inflight.counted(name, 0, self.head + ahead)


TestPromises = Promises.TestCase


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8))
def test_every_link_is_ranked_or_has_a_reason(found: list[tuple[int, bool]]) -> None:
    states = [link(f"l{number}", kind(count), closed="inactive" if closed else "")
              for number, (count, closed) in enumerate(found)]
    decision = decide(request(), *states)
    assert decision.considered == len(states) == decision.passed + sum(codes(decision).values())
    assert {one.target for one in decision.ranked}.isdisjoint(one.target for one in decision.maybes)
