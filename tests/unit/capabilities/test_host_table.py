"""The host table: the newest report of each host holds, silence puts it out, and it grows."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts import report, table_of
from zones.capabilities.host_table import FORGET_AFTER, HostTable
from zones.capabilities.room import Capacity
from zones.config import Placement
from zones.errors import Invalid

versions = st.tuples(st.integers(1, 3), st.integers(1, 5))


@given(st.lists(versions, min_size=1, max_size=20))
def test_whatever_the_order_the_newest_report_holds(arrivals: list[tuple[int, int]]) -> None:
    table = HostTable(Placement(cpu_allocation_ratio=1.0))
    for boot, seq in arrivals:
        table.apply(report(boot=boot, seq=seq, ram_used=100 * boot + seq), 0.0)
    boot, seq = max(arrivals)
    state = table.state("h1")
    assert state is not None
    assert state.version == (boot, seq)
    assert state.free == Capacity(8, 8192 - 100 * boot - seq, 100)


def test_a_fenced_process_does_not_speak_for_any_host_of_its_service() -> None:
    table = table_of(report("h1", boot=1), report("h2", boot=1), report("h1", boot=2))
    assert not table.apply(report("h2", boot=1, seq=9), 1.0)
    assert table.apply(report("h2", boot=2), 1.0)


def test_three_silent_intervals_and_a_host_is_out_until_its_next_report() -> None:
    table = table_of(report("h1", interval=10.0), report("h2", interval=20.0))
    assert table.expire(30.0, 0.0) == []
    assert table.expire(30.1, 0.0) == ["h1"]
    assert table.expire(30.2, 0.0) == []
    assert (table.is_up("h1"), table.is_up("h2")) == (False, True)
    assert not table.apply(report("h1"), 31.0), "a repeat of an old report is no sign of life"
    assert table.apply(report("h1", seq=2), 31.0)
    assert table.is_up("h1")


def test_silence_counts_only_while_this_process_hears_itself() -> None:
    table = table_of(report(interval=10.0))
    assert table.expire(1000.0, None) == []
    assert table.expire(1000.0, 971.0) == []
    assert table.expire(1002.0, 971.0) == ["h1"]


def test_a_host_that_is_gone_for_long_gives_its_row_back() -> None:
    table = table_of(report("h1", capabilities={"gpu": ["a100"]}, live={"watts": 5.0}), report("h2"))
    assert table.apply(report("h2", seq=2), FORGET_AFTER + 99.0)
    assert table.expire(FORGET_AFTER + 100.0, 0.0) == ["h1"]
    assert ("h1" in table, len(table), "gpu" in table.static) == (False, 1, False)
    assert table.apply(report("h3", ram=1), FORGET_AFTER + 101.0)
    assert table.size == 2
    state = table.state("h3")
    assert state is not None
    assert (state.free.ram, state.capabilities, state.live) == (1, {"hypervisor": ("simulated",)}, {})


def test_another_service_takes_a_host_over_only_when_it_is_silent() -> None:
    table = table_of(report(service="one", boot=7))
    assert not table.apply(report(service="two", boot=1), 29.0)
    assert table.apply(report(service="two", boot=1), 31.0)
    assert table.service_of("h1") == "two"


@pytest.mark.parametrize("wrong", [
    {"ram": -1}, {"vcpus": 2**60}, {"disk_used": -1}, {"interval": 0.0}, {"interval": float("nan")},
    {"seq": -1}, {"building": 2**50}])
def test_numbers_that_no_host_has_are_refused(wrong: dict[str, float]) -> None:
    table = HostTable(Placement())
    with pytest.raises(Invalid, match="h1 reports numbers"):
        table.apply(report(**wrong), 0.0)
    assert len(table) == 0


def test_it_grows_and_every_host_keeps_its_own_values() -> None:
    table = HostTable(Placement(cpu_allocation_ratio=1.0), rows=2)
    names = [f"h{number}" for number in range(100)]
    for number, name in enumerate(names):
        assert table.apply(report(name, ram=number, availability_zone=f"az{number % 3}", live={"n": number},
                                  capabilities={f"k{number % 5}": ["v"]}), 0.0)
    for number, name in enumerate(names):
        state = table.state(name)
        assert state is not None
        assert (state.size.ram, state.availability_zone, state.live) == (number, f"az{number % 3}",
                                                                        {"n": number})
        assert state.capabilities == {"hypervisor": ("simulated",), f"k{number % 5}": ("v",)}


def test_capabilities_follow_the_reports_and_the_zone_fills_in() -> None:
    table = table_of(report(capabilities={"gpu": ["b", "a"]}, availability_zone="", unsupported=["rescue"]),
                     zone_capabilities={"gpu": ["none"], "region": ["eu"]})
    first = table.state("h1")
    assert first is not None
    assert (first.availability_zone, first.unsupported) == ("nova", ("rescue",))
    assert first.capabilities == {"gpu": ("a", "b"), "hypervisor": ("simulated",), "region": ("eu",)}
    assert table.apply(report(seq=2, hypervisor="kvm", availability_zone="az2"), 1.0)
    second = table.state("h1")
    assert second is not None
    assert (second.availability_zone, second.hypervisor, second.unsupported) == ("az2", "kvm", ())
    assert second.capabilities == {"gpu": ("none",), "hypervisor": ("kvm",), "region": ("eu",)}
    assert table.classes.values() == [
        (second.availability_zone, tuple(second.capabilities.items()), "")]


def test_ever_new_values_take_no_more_codes() -> None:
    table = table_of(report("h1"), report("h2"))
    for seq in range(2, 200):
        table.apply(report("h1", seq=seq, capabilities={"version": [str(seq)], f"key{seq}": ["x"]}), 0.0)
    assert table.classes.width <= 4
    assert set(table.static) == {"hypervisor", "version", "key199"}


def test_services_and_states_tell_who_is_up() -> None:
    table = table_of(report("h2", service="two", interval=1.0), report("h1", service="one"),
                     report("h3", service="one", enabled=False))
    table.expire(5.0, 0.0)
    assert table.services_up() == {"one"}
    assert [(state.host, state.up, state.enabled) for state in table.states()] == [
        ("h1", True, True), ("h2", False, True), ("h3", True, False)]
    assert table.state("h9") is None
    assert table.open().tolist().count(True) == 1


def test_the_columns_are_the_reports_whatever_happened_before() -> None:
    chance = random.Random(5)
    table = HostTable(Placement(), rows=4)
    last = {}
    for seq in range(1, 400):
        one = report(f"h{chance.randrange(20)}", seq=seq, vcpus=chance.randrange(99),
                     ram=chance.randrange(9999), ram_used=chance.randrange(9999), servers=chance.randrange(9),
                     disk=chance.randrange(9), disk_used=chance.randrange(9))
        table.apply(one, 0.0)
        last[one.host] = one
    for host, one in last.items():
        index = table.row_of(host)
        assert index is not None
        assert table.columns.free_ram[index] == one.ram - one.ram_used
        assert table.columns.free_disk[index] == one.disk - one.disk_used
        assert table.columns.cap_vcpus[index] == 4 * one.vcpus
        assert table.columns.inv_servers[index] == 1 / (1 + one.servers)
