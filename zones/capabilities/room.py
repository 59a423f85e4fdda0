"""The arithmetic of room, once: what a host can hold, what is left, and whether a server fits.

The claim in a compute service, the scheduler's filters and the slots of a summary all use these
functions, so that they can never disagree. vCPUs, MiB of RAM, GiB of disk, whole numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zones.capabilities.columns import Flags, Floats
from zones.config import Placement
from zones.protocol import FlavorValue

DIMENSIONS = ("vcpus", "ram", "disk")


class Capacity(NamedTuple):
    """An amount in each dimension: of a host, of what is free there, or of one server (its shape)."""

    vcpus: int
    ram: int
    disk: int

    def minus(self, other: "Capacity") -> "Capacity":
        """What is left of this without `other`; negative where more is taken than there is."""
        return Capacity(self.vcpus - other.vcpus, self.ram - other.ram, self.disk - other.disk)


def shape(flavor: FlavorValue) -> Capacity:
    """What one server of this flavor takes."""
    return Capacity(flavor.vcpus, flavor.ram, flavor.total_disk)


def capacity(vcpus: int, ram: int, disk: int, placement: Placement) -> Capacity:
    """What a host of this size can hold by the operator's rules: size × ratio − reserve, never below 0."""
    return Capacity(_scaled(vcpus, placement.cpu_allocation_ratio, 0),
                    _scaled(ram, placement.ram_allocation_ratio, placement.reserved_ram),
                    _scaled(disk, placement.disk_allocation_ratio, placement.reserved_disk))


def _scaled(size: int, ratio: float, reserve: int) -> int:
    # 1000 × 1.15 is 1149.9999…: without the nudge a ratio would lose a whole unit to rounding.
    return max(0, int(size * ratio + 1e-6) - reserve)


def lacking(need: Capacity, free: Capacity) -> list[str]:
    """The dimensions in which `free` can't hold `need`, of `DIMENSIONS`. What is not needed is not asked."""
    return [name for name, wanted, there in zip(DIMENSIONS, need, free, strict=True) if wanted > 0
            and wanted > there]


def holds(free: Capacity, need: Capacity) -> bool:
    """Whether one server of shape `need` fits into `free`."""
    return all(wanted <= 0 or wanted <= there for wanted, there in zip(need, free, strict=True))


def enough(wanted: int, free: Floats) -> Flags:
    """`holds` for one needed dimension of many hosts: a mask."""
    return free >= wanted


def slots(need: Capacity, free: Sequence[Floats]) -> Floats:
    """How many servers of shape `need` fit into each host, all dimensions together.

    `free` holds the hosts' free vCPUs, RAM and disk as columns. A shape that needs nothing at all
    counts as one per host: unknown is never infinite.
    """
    needed = [(wanted, column) for wanted, column in zip(need, free, strict=True) if wanted > 0]
    if not needed:
        return np.ones(len(free[0]))
    least = needed[0][1] / needed[0][0]
    for wanted, column in needed[1:]:
        np.minimum(least, column / wanted, out=least)
    return np.maximum(np.floor(least, out=least), 0.0, out=least)
