"""The summary: one entry a zone, the younger wins, nothing comes back to where it came from."""

from itertools import permutations
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts import report, table_of
from zones.capabilities.classes import room_for
from zones.capabilities.inflight import InFlight
from zones.capabilities.room import Capacity
from zones.capabilities.summary import (
    CLASSES_KEPT,
    DEEPEST,
    OLDEST,
    ZONES_KEPT,
    Entry,
    Heard,
    Load,
    entry,
    for_neighbour,
    from_plain,
    less,
    merge,
    to_plain,
)
from zones.errors import Invalid

OWN = Entry("me")
answers = st.lists(st.builds(
    Heard, st.sampled_from(["n1", "n2", "n3"]),
    st.dictionaries(st.sampled_from(["n1", "n2", "n3", "deep", "me"]),
                    st.builds(Entry, st.text(max_size=2), st.floats(0, 200))),
    st.floats(0, 100)), max_size=5, unique_by=lambda one: one.neighbour)


def test_an_entry_says_what_the_zone_has() -> None:
    table = table_of(report("h1", servers=2, building=1, failed_builds=3),
                     report("h2", availability_zone="az2", interval=1.0))
    InFlight(table).add("a", "h1", Capacity(1, 1, 1))
    table.expire(10.0, 0.0)
    made = entry("z", table, [Capacity(1, 1024, 10)], price=0.5)
    assert made.load == Load(hosts=2, hosts_up=1, servers=2, building=1, failed_builds=3, in_flight=1)
    assert (made.name, made.age, made.price, made.availability_zones) == ("z", 0.0, 0.5, ["nova"])
    assert from_plain(orjson.loads(orjson.dumps(to_plain({"u": made})))) == {"u": made}


@given(answers)
def test_a_merge_keeps_the_youngest_of_each_zone_in_any_order(heard: list[Heard]) -> None:
    merged = merge("me", OWN, heard)
    assert merged["me"] is OWN
    for uuid in {uuid for one in heard for uuid in one.entries} - {"me"}:
        ages = [one.entries[uuid].age + one.elapsed for one in heard if uuid in one.entries]
        young = [age for age in ages if age <= OLDEST]
        assert (merged[uuid].age if uuid in merged else None) == min(young, default=None)
    for order in permutations(heard):
        assert {uuid: one.age for uuid, one in merge("me", OWN, order).items()} == {
            uuid: one.age for uuid, one in merged.items()}


@given(answers)
def test_a_neighbour_hears_nothing_of_its_own(heard: list[Heard]) -> None:
    told = merge("me", OWN, heard, neighbour="n1")
    assert "n1" not in told
    others = [one for one in heard if one.neighbour != "n1"]
    assert told == {uuid: one for uuid, one in merge("me", OWN, others).items() if uuid != "n1"}


def test_only_the_owner_makes_an_entry_young() -> None:
    """Two zones that tell each other of a third, which is gone, forget it after `OLDEST`."""
    ours, theirs = {"gone": Entry("gone")}, {"gone": Entry("gone")}
    rounds = 0
    while "gone" in ours or "gone" in theirs:
        ours = merge("a", Entry("a"), [Heard("b", theirs, 5.0), Heard("a", ours, 5.0)])
        theirs = merge("b", Entry("b"), [Heard("a", ours, 5.0), Heard("b", theirs, 5.0)])
        rounds += 1
    assert rounds <= OLDEST / 5 + 1


@pytest.mark.parametrize("wrong", [
    [], {"u": 1}, {"u": {}}, {"u": {"name": "z", "age": -1.0}}, {"u": {"name": "z", "load": {"hosts": -1}}},
    {"u": {"name": "z", "classes": [{"availability_zone": "a", "hosts": 1, "slots": [
        {"vcpus": 1, "ram": 1, "disk": 1, "count": -5}]}]}},
    {str(number): {"name": "z"} for number in range(5000)}])
def test_what_is_no_summary_is_refused(wrong: Any) -> None:
    with pytest.raises(Invalid, match="summary"):
        from_plain(wrong)


def test_unknown_fields_are_ignored() -> None:
    assert from_plain({"u": {"name": "z", "mood": "good", "load": {"tide": 1}}}) == {"u": Entry("z")}


@given(answers)
def test_what_is_told_on_is_split_and_leaves_no_trace_of_the_neighbour(heard: list[Heard]) -> None:
    merged = merge("me", OWN, heard)
    for uuid, one in merged.items():
        assert uuid == "me" or one.via in {answer.neighbour for answer in heard if uuid in answer.entries}
    told = for_neighbour(merged, "n1")
    assert told.keys() == {uuid for uuid, one in merged.items() if uuid != "n1" and one.via != "n1"}
    assert all(not one.via for one in told.values())
    assert for_neighbour(merged, "").keys() == merged.keys()


def test_a_path_grows_by_the_link_that_told_it_and_ends_before_it_is_too_long() -> None:
    below = merge("gpu", Entry("gpu"), [])
    west = for_neighbour(merge("west", Entry("west"), [Heard("gpu", below, name="west-gpu")]), "top")
    top = merge("top", Entry("top"), [Heard("west", west, name="w")])
    assert {uuid: one.path for uuid, one in top.items()} == {
        "top": [], "west": ["w"], "gpu": ["w", "west-gpu"]}
    deep = {"deep": Entry("deep", path=["x"] * DEEPEST), "other": Entry("other", path=["x"])}
    assert merge("me", OWN, [Heard("n1", deep, name="n")]).keys() == {"me", "other"}
    assert from_plain(to_plain(merge("me", OWN, [Heard("n1", deep, name="n")])))


def test_more_zones_than_are_kept_leave_the_nearest() -> None:
    far = {str(number): Entry("z", path=["a", "b"]) for number in range(ZONES_KEPT)}
    near = {f"near{number}": Entry("z") for number in range(3)}
    merged = merge("me", OWN, [Heard("n1", far), Heard("n2", near)])
    assert len(merged) == ZONES_KEPT and {"me", *near} <= merged.keys()
    assert from_plain(to_plain(merged)) == merged


def test_more_classes_than_are_kept_leave_those_with_the_most_hosts() -> None:
    table = table_of(*(report(f"h{number}", availability_zone=f"az{number}")
                       for number in range(CLASSES_KEPT + 5)),
                     report("more", availability_zone=f"az{CLASSES_KEPT + 4}"))
    made = entry("z", table, [])
    assert len(made.classes) == CLASSES_KEPT and f"az{CLASSES_KEPT + 4}" in made.availability_zones
    assert from_plain(to_plain({"u": made})) == {"u": made}


def test_what_is_in_flight_is_taken_off_each_class_and_leaves_no_promise_of_a_largest_host() -> None:
    table = table_of(report("h1"), report("h2", availability_zone="az2", ram_used=6144))
    small, big = Capacity(1, 1024, 10), Capacity(4, 4096, 40)
    told = less({"e": entry("e", table, [small, big])}, lambda need: 3 if need == small else 1)
    assert [[slot.count for slot in kind.slots] for kind in told["e"].classes] == [[0, 0], [5, 1]]
    assert [room_for(Capacity(8, 8192, 100), kind) for kind in told["e"].classes] == [0, 0]
