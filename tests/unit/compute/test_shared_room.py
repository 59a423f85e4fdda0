"""Hosts that share the limits of one account: together never beyond them, and never refused within them."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from zones.capabilities.room import capacity
from zones.compute.driver import HostInventory, Shared
from zones.compute.room import Room, Share
from zones.config import Placement


def room_of(shared: Shared, hosts: int = 3, placement: Placement | None = None) -> Room:
    room = Room(placement or Placement())
    room.set_hosts([HostInventory(f"h{number}", shared.vcpus, shared.ram, shared.disk, shared=shared)
                    for number in range(hosts)])
    return room


wants = st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(0, 4))


@given(st.lists(wants, max_size=30), st.integers(0, 8), st.integers(0, 16))
def test_the_limits_hold_over_all_hosts_and_nothing_within_them_is_refused(
        shares: list[tuple[int, int, int, int]], servers: int, size: int) -> None:
    room = room_of(Shared("account", servers, size, size, size))
    taken = [0, 0, 0, 0]
    for number, (host, *amounts) in enumerate(shares):
        after = [left + one for left, one in zip(taken, (1, *amounts), strict=True)]
        fits = after[0] <= servers and all(
            amount == 0 or total <= size for amount, total in zip(amounts, after[1:], strict=True))
        refusal = room.take(f"a{number}", Share(f"h{host}", *amounts))
        assert (refusal is None) == fits
        if fits:
            taken = after
    assert [sum(room.used(f"h{host}").vcpus for host in range(3)),
            sum(room.used(f"h{host}").servers for host in range(3))] == [taken[1], taken[0]]


@given(st.integers(1, 64), st.integers(0, 9), st.sampled_from([0.5, 1.0, 1.5, 4.0, 16.0]),
       st.integers(0, 512))
def test_what_is_reported_shows_at_least_what_is_left_whatever_the_ratios(
        vcpus: int, used: int, ratio: float, reserved: int) -> None:
    placement = Placement(cpu_allocation_ratio=ratio, ram_allocation_ratio=ratio, reserved_ram=reserved)
    room = room_of(Shared("account", 10, vcpus, 1000, 1000), placement=placement)
    for number in range(min(used, vcpus)):
        assert room.take(f"a{number}", Share(f"h{number % 2}", 1, 10, 0)) is None
    for inventory in room.hosts():
        size, mine = room.size(inventory), room.used(inventory.name)
        read = capacity(size.vcpus, size.ram, size.disk, placement)
        left = vcpus - min(used, vcpus)
        assert left <= read.vcpus - mine.vcpus < left + ratio + 1
        assert read.ram - mine.ram >= 1000 - 10 * min(used, vcpus)


def test_an_account_full_of_servers_reports_no_room_on_any_host() -> None:
    room = room_of(Shared("account", 1, 8, 8, 8), placement=Placement(cpu_allocation_ratio=1.0))
    assert room.take("a", Share("h0", 1, 1, 1)) is None
    assert [room.size(host).vcpus for host in room.hosts()] == [1, 0, 0]
    refusal = room.take("b", Share("h1", 1, 1, 1))
    assert refusal is not None and refusal[0] == "instances"
    assert room.fellows("h1") == ["h0", "h1", "h2"]
    room.give_back("a")
    assert room.take("b", Share("h1", 1, 1, 1)) is None


def test_many_threads_fill_an_account_exactly() -> None:
    room = room_of(Shared("account", 1000, 40, 10**6, 10**6))

    def take(number: int) -> bool:
        return room.take(f"a{number}", Share(f"h{number % 3}", 1, 1, 1)) is None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(200))) == 40


def test_a_resize_within_a_full_account_counts_what_it_has_already() -> None:
    room = room_of(Shared("account", 1, 4, 100, 100))
    assert room.take("a", Share("h0", 2, 1, 1)) is None
    assert room.take("a", Share("h0", 4, 1, 1)) is None
    refusal = room.take("a", Share("h0", 5, 1, 1))
    assert refusal is not None and refusal[0] == "vcpus"
