"""Slots and largest hosts: never more is promised than real hosts hold."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hosts import report, table_of
from zones.capabilities.classes import (
    LARGEST_KEPT,
    SHAPES_KEPT,
    CapabilityClass,
    classes,
    room_for,
    room_of,
)
from zones.capabilities.inflight import InFlight
from zones.capabilities.room import Capacity, holds
from zones.protocol import HostReport

hosts = st.lists(st.builds(
    lambda vcpus, ram, disk, used, zone, enabled: {
        "vcpus": vcpus, "ram": ram, "disk": disk, "ram_used": used, "availability_zone": zone,
        "enabled": enabled},
    st.integers(0, 12), st.integers(0, 30), st.integers(0, 30), st.integers(0, 12),
    st.sampled_from(["az1", "az2"]), st.booleans()), max_size=40)
shapes = st.builds(Capacity, st.integers(0, 5), st.integers(0, 9), st.integers(0, 9))
needs = shapes.filter(any)


def reports(given_hosts: list[dict[str, object]]) -> list[HostReport]:
    return [report(f"h{number}", **host) for number, host in enumerate(given_hosts)]


def rooms(given_reports: list[HostReport], zone: str) -> list[Capacity]:
    return [Capacity(one.vcpus, one.ram - one.ram_used, one.disk) for one in given_reports
            if one.availability_zone == zone and one.enabled]


def packed(free: list[Capacity], need: Capacity) -> int:
    """How many identical servers fit, put in one by one into the first host that takes one."""
    left, count = list(free), 0
    while True:
        place = next((index for index, room in enumerate(left) if holds(room, need)), None)
        if place is None:
            return count
        left[place], count = left[place].minus(need), count + 1


@settings(max_examples=150, deadline=None)
@given(hosts, st.lists(needs, max_size=5), needs)
def test_what_is_promised_fits(given_hosts: list[dict[str, object]], known: list[Capacity],
                               asked: Capacity) -> None:
    heard = reports(given_hosts)
    found = classes(table_of(*heard), known)
    assert [one.availability_zone for one in found] == sorted(
        {one.availability_zone for one in heard if one.enabled})
    for one in found:
        free = rooms(heard, one.availability_zone)
        assert one.hosts == len(free)
        assert {Capacity(slot.vcpus, slot.ram, slot.disk): slot.count for slot in one.slots} == {
            shape: packed(free, shape) for shape in known}
        promised = room_for(asked, one)
        assert promised <= packed(free, asked)
        assert promised == 0 or any(holds(room, asked) for room in free)
        if asked in known:
            assert promised == packed(free, asked)


@settings(max_examples=100, deadline=None)
@given(hosts, needs)
def test_the_largest_are_real_hosts_and_none_is_larger(given_hosts: list[dict[str, object]],
                                                       asked: Capacity) -> None:
    heard = reports(given_hosts)
    for one in classes(table_of(*heard), []):
        real = [Capacity(*(max(0, amount) for amount in room))
                for room in rooms(heard, one.availability_zone)]
        front = [Capacity(top.vcpus, top.ram, top.disk) for top in one.largest]
        assert len(front) <= LARGEST_KEPT
        for top in front:
            assert top in real
            assert not any(other != top and all(mine <= theirs for mine, theirs in zip(
                top, other, strict=True)) for other in real)
        if len(front) < LARGEST_KEPT:
            assert room_for(asked, one) == any(holds(room, asked) for room in real)


def test_room_that_lies_in_pieces_is_no_room() -> None:
    one, = classes(table_of(*(report(f"h{n}", ram_used=7168) for n in range(8))), [Capacity(1, 4096, 10)])
    assert (one.slots[0].count, room_for(Capacity(1, 8192, 1), one)) == (0, 0)


def test_an_unknown_shape_is_answered_from_a_larger_one_else_by_one_host() -> None:
    one, = classes(table_of(*(report(f"h{n}") for n in range(3))), [Capacity(2, 4096, 10),
                                                                   Capacity(4, 8192, 50)])
    assert room_for(Capacity(2, 4096, 10), one) == 6
    assert room_for(Capacity(1, 4096, 10), one) == 6
    assert room_for(Capacity(3, 4096, 10), one) == 3
    assert room_for(Capacity(8, 8192, 100), one) == 1
    assert room_for(Capacity(9, 1, 1), one) == 0


def test_what_is_in_flight_is_not_promised_again() -> None:
    table = table_of(report())
    view = InFlight(table)
    shape = Capacity(2, 2048, 10)

    def left() -> int:
        one, = classes(table, [shape])
        return one.slots[0].count

    assert left() == 4
    view.add("a", "h1", shape)
    assert left() == 3
    view.counted("a", 1, 2)
    assert left() == 3
    table.apply(report(seq=2, vcpus_used=2, ram_used=2048, disk_used=10, servers=1), 1.0)
    assert left() == 3


def test_limits_in_common_are_promised_once() -> None:
    """Three availability zones of one account, each with a class of its own, and a host beside."""
    shape = Capacity(2, 2048, 10)
    pooled = [report(f"h{n}", availability_zone=f"az{n % 2}", shares="account") for n in range(3)]
    table = table_of(*pooled, report("own", availability_zone="az0"))
    view = InFlight(table)

    def left(asked: Capacity = shape) -> tuple[int, int]:
        found = classes(table, [shape])
        assert [(one.availability_zone, one.shares, one.hosts) for one in found] == [
            ("az0", "", 1), ("az0", "account", 2), ("az1", "account", 1)]
        return room_of(asked, found), room_of(asked, found[1:])
    assert left() == (8, 4)
    assert left(Capacity(8, 8192, 100)) == (2, 1), "a large one is promised as before"
    view.add("a", "h0", shape)
    view.add("b", "h1", shape)
    assert left() == (6, 2), "what is in flight to one takes from all"
    view.counted("a", 1, 2)
    table.apply(report("h0", seq=2, availability_zone="az0", shares="account", vcpus_used=2, ram_used=2048,
                       disk_used=10, servers=1), 1.0)
    assert left() == (6, 2), "nobody believes the older report of a fellow"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(["", "one", "two"]), st.sampled_from(["az1", "az2"]), st.booleans()),
    min_size=1, max_size=12), st.integers(0, 12), needs)
def test_however_hosts_share_no_more_is_promised_than_there_is(
        given_hosts: list[tuple[str, str, bool]], size: int, need: Capacity) -> None:
    heard = [report(f"h{number}", vcpus=size, ram=size, disk=size, shares=shares, availability_zone=zone,
                    enabled=enabled) for number, (shares, zone, enabled) in enumerate(given_hosts)]
    open_hosts = [one for one in heard if one.enabled]
    rooms_there = {one.shares or one.host: Capacity(size, size, size) for one in open_hosts}
    assert room_of(need, classes(table_of(*heard), [need])) == packed(list(rooms_there.values()), need)


def test_classes_are_by_zone_and_by_what_they_offer() -> None:
    found = classes(table_of(
        report("h1", capabilities={"gpu": ["a", "b"]}), report("h2", capabilities={"gpu": ["b", "a"]}),
        report("h3"), report("h4", availability_zone="other")), [])
    assert [(one.availability_zone, one.hosts, one.capabilities.get("gpu")) for one in found] == [
        ("nova", 2, ["a", "b"]), ("nova", 1, None), ("other", 1, None)]


def test_hosts_that_are_out_offer_nothing() -> None:
    table = table_of(report())
    table.expire(1000.0, 0.0)
    assert classes(table, [Capacity(1, 1, 1)]) == []


def test_lists_are_bounded_and_the_largest_shapes_stay() -> None:
    table = table_of(*(report(f"h{n}", vcpus=n, ram=200 - n, disk=1) for n in range(100)))
    one: CapabilityClass
    one, = classes(table, [Capacity(1, n, 0) for n in range(1000)])
    assert (len(one.largest), len(one.slots)) == (LARGEST_KEPT, SHAPES_KEPT)
    assert one.slots[-1].ram == 999
    assert {top.ram for top in one.largest} >= {200, 101}, "the ends of the front are kept"
