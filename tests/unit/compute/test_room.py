"""Claims take room once, give it back once, and never more than a host has."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.compute.driver import HostInventory
from zones.compute.room import Room, Share, Used
from zones.config import Placement
from zones.protocol import GroupValue

HOSTS = [HostInventory("h1", 8, 8192, 100), HostInventory("h2", 4, 4096, 50)]


def room(hosts: Iterable[HostInventory] = HOSTS, **placement: float) -> Room:
    made = Room(Placement(**{"cpu_allocation_ratio": 1.0, **placement}))  # type: ignore[arg-type]
    made.set_hosts(list(hosts))
    return made


def share(host: str = "h1", vcpus: int = 1, ram: int = 512, disk: int = 1,
          group: GroupValue | None = None) -> Share:
    return Share(host, vcpus, ram, disk, group)


SHARES = st.builds(share, st.sampled_from(["h1", "h2"]), st.integers(0, 9), st.integers(0, 5000),
                   st.integers(0, 60))
STEPS = st.lists(st.tuples(st.sampled_from(["take", "put", "back"]), st.integers(0, 4), SHARES), max_size=40)


@given(STEPS)
def test_what_is_used_is_the_sum_of_the_shares_whatever_was_done_how_often(
        steps: list[tuple[str, int, Share]]) -> None:
    there, model = room(), dict[str, Share]()
    for what, number, wanted in steps:
        attempt = f"a{number}"
        if what == "back":
            there.give_back(attempt)
            model.pop(attempt, None)
        elif what == "put":
            there.put(attempt, wanted)
            model[attempt] = wanted
        elif there.take(attempt, wanted) is None:
            model[attempt] = wanted
            used = there.used(wanted.host)
            limit = next(host for host in HOSTS if host.name == wanted.host)
            assert (used.vcpus <= limit.vcpus or not wanted.vcpus) and (
                used.ram <= limit.ram or not wanted.ram) and (used.disk <= limit.disk or not wanted.disk)
        for host in ("h1", "h2"):
            mine = [one for one in model.values() if one.host == host]
            assert there.used(host) == Used(sum(one.vcpus for one in mine), sum(one.ram for one in mine),
                                            sum(one.disk for one in mine), len(mine))


@pytest.mark.parametrize(("wanted", "code"), [
    (share(vcpus=9), "vcpus"), (share(ram=8193), "ram"), (share(disk=101), "disk"),
    (share("h3"), "no_such_host")])
def test_a_refusal_names_what_is_missing_and_takes_nothing(wanted: Share, code: str) -> None:
    there = room()
    refusal = there.take("a", wanted)
    assert refusal is not None
    assert refusal[0] == code
    assert wanted.host in refusal[1]
    assert there.used(wanted.host) == Used()


def test_the_same_attempt_again_takes_nothing_more_and_may_grow() -> None:
    there = room()
    assert there.take("a", share(vcpus=6)) is None
    assert there.take("a", share(vcpus=6)) is None
    assert there.take("a", share(vcpus=8)) is None
    assert there.used("h1") == Used(8, 512, 1, 1)


def test_ratios_and_reserves_count() -> None:
    there = room(cpu_allocation_ratio=2.0, reserved_ram=4096)
    assert there.take("a", share(vcpus=16)) is None
    assert there.take("b", share(vcpus=1)) is not None
    assert there.take("c", share(vcpus=0, ram=4096)) is not None


def test_a_host_that_has_gone_refuses_and_its_claims_count_on() -> None:
    there = room()
    there.take("a", share("h2"))
    there.set_hosts(HOSTS[:1])
    assert there.take("b", share("h2")) is not None
    assert there.used("h2").servers == 1


def test_groups_are_rechecked_where_the_room_is_taken() -> None:
    apart, near = GroupValue("g1", "anti-affinity"), GroupValue("g2", "affinity")
    two = GroupValue("g3", "anti-affinity", {"max_server_per_host": 2})
    there = room()
    assert there.take("a", share("h1", group=apart)) is None
    assert (there.take("b", share("h1", group=apart)) or ("",))[0] == "anti_affinity"
    assert there.take("b", share("h2", group=apart)) is None
    assert there.take("c", share("h1", group=near)) is None
    assert (there.take("d", share("h2", group=near)) or ("",))[0] == "affinity"
    assert there.take("d", share("h1", group=near)) is None
    assert [there.take(name, share("h1", group=two)) is None for name in "efg"] == [True, True, False]
    soft = GroupValue("g4", "soft-anti-affinity")
    assert [there.take(name, share("h1", group=soft)) is None for name in "hi"] == [True, True]
