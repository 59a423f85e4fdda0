"""How good a host is for the server: 0..1 each, on an absolute scale so that zones compare."""

from collections.abc import Callable

import numpy as np

from zones.capabilities.columns import Columns, Floats
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity
from zones.scheduler.filters import only
from zones.scheduler.request import PlacementRequest


class Weigher:
    """What a weigher is; a plug-in is a subclass. The policy multiplies what it gives."""

    name = ""

    def applies(self, request: PlacementRequest) -> bool:
        """Whether the request touches this weigher at all."""
        return True

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        """0..1 for each row that can hold the server, anything for others; not normalised over the rows.

        `table.size` numbers, which may be a view: the caller does not write to it.
        """
        raise TypeError(f"weigher {self.name!r} does not weigh")


class FreeShare(Weigher):
    """The share of one dimension that is free after placing: free / capacity."""

    def __init__(self, name: str, need: Callable[[Capacity], int],
                 columns: Callable[[Columns], tuple[Floats, Floats]]) -> None:
        self.name = name
        self._need = need
        self._columns = columns

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        """1 for an empty host and a tiny server, 0 for a host that is full with it."""
        free, inverse = self._columns(table.columns)
        need = self._need(request.need)
        share = free[:table.size] - need
        share *= inverse[:table.size]
        # A host that passed the filter has the room; only what is not needed may be over-committed.
        return share if need > 0 else np.maximum(share, 0.0, out=share)


class FewServers(Weigher):
    """1 for a host without servers, 1/2 with one, 1/3 with two …: in flight ones count."""

    name = "count"

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        """1 / (1 + servers)."""
        return table.columns.inv_servers[:table.size]


class GroupNearness(Weigher):
    """Towards the group's members for soft-affinity, away from them for soft-anti-affinity."""

    name = "group"

    def applies(self, request: PlacementRequest) -> bool:
        """For a group of a soft policy that has a member."""
        group = request.spec.group
        return group is not None and group.policy.startswith("soft-") and bool(request.members)

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        """The share of the members on the host, or what it lacks to 1."""
        share = only(table, ()).astype(np.float64)
        total = sum(request.members.values())
        for host, count in request.members.items():
            index = table.row_of(host)
            if index is not None:
                share[index] = count / total
        soft_affinity = request.spec.group is not None and request.spec.group.policy == "soft-affinity"
        return share if soft_affinity else 1.0 - share


RAM = FreeShare("ram", lambda need: need.ram, lambda table: (table.free_ram, table.inv_ram))
CPU = FreeShare("cpu", lambda need: need.vcpus, lambda table: (table.free_vcpus, table.inv_vcpus))
DISK = FreeShare("disk", lambda need: need.disk, lambda table: (table.free_disk, table.inv_disk))
COUNT = FewServers()
GROUP = GroupNearness()
