"""Which hosts have room for the server, one dimension each: live numbers, so their no is a maybe."""

from collections.abc import Callable
from typing import Any

from zones.capabilities.columns import Columns, Flags, Floats
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity, enough
from zones.scheduler.filters import HostFilter
from zones.scheduler.request import PlacementRequest


class Room(HostFilter):
    """Hosts with enough free room in one dimension: size × ratio − reserve − used − in flight."""

    def __init__(self, reason: str, need: Callable[[Capacity], int], free: Callable[[Columns], Floats],
                 capacity: Callable[[Columns], Floats]) -> None:
        self.name = self.reason = reason
        self._need = need
        self._free = free
        self._capacity = capacity

    def applies(self, request: PlacementRequest) -> bool:
        """When the server needs any of it."""
        return self._need(request.need) > 0

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The rows with enough of it."""
        return enough(self._need(request.need), self._free(table.columns)[:table.size])

    def possible(self, request: PlacementRequest, table: HostTable) -> Flags | None:
        """The rows that would have enough of it if they were empty."""
        return enough(self._need(request.need), self._capacity(table.columns)[:table.size])

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """What is needed, free, and there in all."""
        return {"need": self._need(request.need), "free": int(self._free(table.columns)[index]),
                "total": int(self._capacity(table.columns)[index])}


RAM = Room("ram", lambda need: need.ram, lambda table: table.free_ram, lambda table: table.cap_ram)
VCPUS = Room("vcpus", lambda need: need.vcpus, lambda table: table.free_vcpus,
             lambda table: table.cap_vcpus)
DISK = Room("disk", lambda need: need.disk, lambda table: table.free_disk, lambda table: table.cap_disk)
