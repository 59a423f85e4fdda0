"""The arithmetic of room: one host or many, claim or slots, the answer is the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.capabilities.room import Capacity, capacity, enough, holds, lacking, shape, slots
from zones.config import Placement
from zones.protocol import FlavorValue

amounts = st.builds(Capacity, st.integers(-3, 40), st.integers(-3, 40), st.integers(-3, 40))
needs = st.builds(Capacity, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))


def columns(hosts: list[Capacity]) -> list[np.ndarray]:
    return [np.array(column, dtype=float) for column in zip(*hosts, strict=True)]


def packed(free: Capacity, need: Capacity) -> int:
    """How many fit, by putting in one after the other."""
    count = 0
    while holds(free, need):
        free, count = free.minus(need), count + 1
    return count


@given(st.lists(amounts, min_size=1, max_size=8), needs.filter(any))
def test_slots_are_what_packing_one_by_one_gives(hosts: list[Capacity], need: Capacity) -> None:
    assert slots(need, columns(hosts)).tolist() == [packed(host, need) for host in hosts]


@given(amounts, needs)
def test_one_host_and_many_agree(free: Capacity, need: Capacity) -> None:
    each = [bool(enough(wanted, np.array([float(there)]))[0])
            for wanted, there in zip(need, free, strict=True) if wanted > 0]
    assert holds(free, need) == (not lacking(need, free)) == all(each)


def test_what_needs_nothing_counts_once_per_host_not_without_end() -> None:
    assert slots(Capacity(0, 0, 0), columns([Capacity(1, 1, 1), Capacity(0, 0, 0)])).tolist() == [1, 1]


def test_what_is_not_needed_is_not_asked() -> None:
    assert holds(Capacity(1, 1, -5), Capacity(1, 1, 0))
    assert lacking(Capacity(2, 2, 1), Capacity(1, 1, 0)) == ["vcpus", "ram", "disk"]


@pytest.mark.parametrize(("size", "ratio", "reserve", "left"), [
    (1000, 1.15, 0, 1150), (10, 1.7, 0, 17), (3, 1.5, 0, 4), (100, 1.0, 30, 70), (100, 1.0, 300, 0),
    (100, 0.0, 0, 0)])
def test_capacity_is_size_times_ratio_minus_reserve(size: int, ratio: float, reserve: int,
                                                    left: int) -> None:
    placement = Placement(ram_allocation_ratio=ratio, reserved_ram=reserve)
    assert capacity(1, size, 1, placement).ram == left


def test_a_shape_counts_all_disks() -> None:
    flavor = FlavorValue(id="f", name="f", vcpus=2, ram=512, disk=10, ephemeral=5, swap=1025)
    assert shape(flavor) == Capacity(2, 512, 17)
