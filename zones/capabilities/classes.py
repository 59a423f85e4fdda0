"""What the hosts of each class can still take: slots per flavor shape, and the largest free hosts.

A class is the hosts with equal AZ and static capabilities. Everything is counted host by host, all
dimensions together: a sum of free megabytes would promise what no single host can hold.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import numpy as np

from zones.capabilities.columns import Codes, Floats, Indices
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity, holds, slots

LARGEST_KEPT = 16
"""How long the list of a class's largest free hosts may be."""
SHAPES_KEPT = 64
"""For how many shapes slots are counted: flavors beyond that are answered from the others."""

Amount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Slots(msgspec.Struct, frozen=True):
    """`count` servers of this shape really fit, each into one host of the class."""

    vcpus: Amount
    ram: Amount
    disk: Amount
    count: Amount


class Largest(msgspec.Struct, frozen=True):
    """The free room of one host than which no host of the class has more in every dimension."""

    vcpus: Amount
    ram: Amount
    disk: Amount


class CapabilityClass(msgspec.Struct, frozen=True):
    """One class: `hosts` are those that are up and enabled."""

    availability_zone: str
    hosts: Amount
    capabilities: dict[str, list[str]] = {}
    slots: list[Slots] = []
    largest: list[Largest] = []
    shares: Annotated[str, msgspec.Meta(max_length=255)] = ""
    """The limits that its hosts share, also with those of other classes of the zone which name the same:
    its slots and largest are what is left of them, for all these together."""


def classes(table: HostTable, shapes: Iterable[Capacity]) -> list[CapabilityClass]:
    """The classes of the zone's open hosts, what is in flight deducted, sorted by what they are."""
    rows = np.flatnonzero(table.open())
    rows = rows[np.argsort(table.classes.codes[rows], kind="stable")]
    codes, starts = np.unique(table.classes.codes[rows], return_index=True)
    if not len(rows):
        return []
    free = _each_once(table, rows, codes, starts)
    counts = {need: np.add.reduceat(slots(need, free), starts) for need in _bounded(shapes)}
    found = []
    for place, (code, first) in enumerate(zip(codes, starts, strict=True)):
        kind = table.classes.value(int(code))
        assert kind is not None
        end = starts[place + 1] if place + 1 < len(starts) else len(rows)
        found.append(CapabilityClass(
            availability_zone=kind.availability_zone, hosts=int(end - first),
            capabilities={key: list(values) for key, values in kind.capabilities}, shares=kind.shares,
            slots=[Slots(*need, count=int(count[place])) for need, count in counts.items()],
            largest=[Largest(*room) for room in largest([column[first:end] for column in free])]))
    return sorted(found, key=lambda one: (
        one.availability_zone, one.shares, sorted(one.capabilities.items())))


def _each_once(table: HostTable, rows: Indices, codes: Codes, starts: Indices) -> list[Floats]:
    """The free room of these rows. Of hosts that share limits the first of each class has what is left of
    them, and the others have nothing: so no sum counts it twice within a class."""
    free = [column[rows] for column in table.free()]
    left: dict[str, tuple[float, ...]] = {}
    for place, code in enumerate(codes):
        kind = table.classes.value(int(code))
        if kind is None or not kind.shares:
            continue
        if kind.shares not in left:
            left[kind.shares] = _left(table, kind.shares)
        first, end = starts[place], starts[place + 1] if place + 1 < len(starts) else len(rows)
        for column, amount in zip(free, left[kind.shares], strict=True):
            column[first:end] = 0.0
            column[first] = amount
    return free


def _left(table: HostTable, shares: str) -> tuple[float, ...]:
    """What is left of shared limits: the least that an open host of them reports, less what is in flight to
    any of them. Reports that are not of the same moment are never added up."""
    codes = [code for code in range(table.classes.width)
             if (kind := table.classes.value(code)) is not None and kind.shares == shares]
    there = np.isin(table.classes.codes[:table.size], codes)
    held = np.array([table.row(int(index)).held for index in np.flatnonzero(there)], dtype=float)
    open_rows = np.flatnonzero(there & table.open())
    free = np.array([column[open_rows] for column in table.free()]).T
    own = np.array([table.row(int(index)).held for index in open_rows], dtype=float)
    return tuple(((free + own).min(axis=0) - held.sum(axis=0)).tolist())


def _bounded(shapes: Iterable[Capacity]) -> list[Capacity]:
    """Different shapes; when there are too many, the largest stay: they answer for the smaller ones."""
    return sorted(sorted(set(shapes), reverse=True)[:SHAPES_KEPT])


def largest(free: Sequence[Floats]) -> list[Capacity]:
    """The Pareto front of the free room: at most `LARGEST_KEPT`, in turn by RAM, vCPUs, disk, and all."""
    rooms = np.maximum(np.vstack(free), 0.0)
    rooms = rooms[:, rooms.any(axis=0)]
    scale = 1 / np.maximum(rooms.max(axis=1, initial=0.0), 1.0)
    orders = [(1, 0, 2), (0, 1, 2), (2, 1, 0), None]
    front: list[Capacity] = []
    while rooms.shape[1] and len(front) < LARGEST_KEPT:
        best = rooms[:, _greatest(rooms, orders[len(front) % len(orders)], scale)]
        vcpus, ram, disk = best
        front.append(Capacity(int(vcpus), int(ram), int(disk)))
        rooms = rooms[:, (rooms[0] > vcpus) | (rooms[1] > ram) | (rooms[2] > disk)]
    return sorted(front, key=lambda room: (-room.ram, -room.vcpus, -room.disk))


def _greatest(rooms: Floats, order: tuple[int, int, int] | None, scale: Floats) -> int:
    """A host that no other exceeds in every dimension: the last by `order`, or by the scaled sum."""
    if order is None:
        return int((scale @ rooms).argmax())
    first, second, third = (rooms[dimension] for dimension in order)
    hosts = np.flatnonzero(first == first.max())
    hosts = hosts[second[hosts] == second[hosts].max()]
    return int(hosts[third[hosts].argmax()])


def room_of(need: Capacity, kinds: Iterable[CapabilityClass]) -> int:
    """How many servers of this shape these classes of one zone promise to hold together."""
    total, common = 0, dict[str, int]()
    for kind in kinds:
        if kind.shares:
            common[kind.shares] = max(common.get(kind.shares, 0), room_for(need, kind))
        else:
            total += room_for(need, kind)
    return total + sum(common.values())


def room_for(need: Capacity, one: CapabilityClass) -> int:
    """How many servers of this shape the class promises to hold, from its slots and largest hosts.

    A known shape: its slots. An unknown one: the best known shape that it fits into, else 1 if some
    largest host holds it, else 0.
    """
    best = 0
    for known in one.slots:
        shape = Capacity(known.vcpus, known.ram, known.disk)
        if shape == need:
            return known.count
        if all(mine <= theirs for mine, theirs in zip(need, shape, strict=True)):
            best = max(best, known.count)
    if best == 0 and any(holds(Capacity(top.vcpus, top.ram, top.disk), need) for top in one.largest):
        return 1
    return best
