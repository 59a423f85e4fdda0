"""What is left on each host of this service, claim by claim: the place where over-commit ends.

Plain bookkeeping in memory, rebuilt from the ledger at start. Every change is keyed by the attempt,
so that doing it twice is the same as once.
"""

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from zones.capabilities.room import Capacity, capacity, lacking
from zones.compute.driver import HostInventory, Shared
from zones.config import Placement
from zones.protocol import GroupValue

Refusal = tuple[str, str]
"""A reason code and plain words."""

NOTHING = Capacity(0, 0, 0)
_UNITS = {"vcpus": "vCPUs", "ram": "MiB of RAM", "disk": "GiB of disk"}


@dataclass(frozen=True)
class Share:
    """What one attempt takes of one host: vCPUs, MiB, GiB; and its server group."""

    host: str
    vcpus: int
    ram: int
    disk: int
    group: GroupValue | None = None


@dataclass
class Used:
    """What is taken of one host."""

    vcpus: int = 0
    ram: int = 0
    disk: int = 0
    servers: int = 0

    def add(self, share: Share, sign: int) -> None:
        """Count a share in (+1) or out (-1)."""
        self.vcpus += sign * share.vcpus
        self.ram += sign * share.ram
        self.disk += sign * share.disk
        self.servers += sign

    def merge(self, other: "Used") -> None:
        """Count in all that another one counts."""
        self.vcpus += other.vcpus
        self.ram += other.ram
        self.disk += other.disk
        self.servers += other.servers


class Room:
    """The hosts, what they hold by the operator's ratios, and who holds it."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._lock = threading.Lock()
        self._hosts: dict[str, HostInventory] = {}
        self._limits: dict[str, Capacity] = {}
        self._used: dict[str, Used] = {}
        self._shares: dict[str, Share] = {}

    def set_hosts(self, inventories: Iterable[HostInventory]) -> set[str]:
        """Take over the driver's hosts; the names of those that are new or were changed."""
        fresh = {inventory.name: inventory for inventory in inventories}
        with self._lock:
            changed = {name for name, inventory in fresh.items() if self._is_new(name, inventory)}
            self._hosts = fresh
            self._limits = {
                name: capacity(inventory.vcpus, inventory.ram, inventory.disk, self._placement)
                if name in changed else self._limits[name] for name, inventory in fresh.items()}
            return changed

    def _is_new(self, name: str, inventory: HostInventory) -> bool:
        before = self._hosts.get(name)
        return before is not inventory and before != inventory  # most drivers give the same object again

    def __len__(self) -> int:
        """How many hosts there are."""
        return len(self._hosts)

    def hosts(self) -> list[HostInventory]:
        """The hosts as the driver last gave them."""
        return list(self._hosts.values())

    def host(self, name: str) -> HostInventory | None:
        """One host, or None when the driver has none of that name."""
        return self._hosts.get(name)

    def fellows(self, host: str) -> list[str]:
        """The hosts whose room changes with this one's: itself, and those that share limits with it."""
        mine = self._hosts.get(host)
        if mine is None or mine.shared is None:
            return [host]
        return [name for name, other in list(self._hosts.items())
                if other.shared is not None and other.shared.name == mine.shared.name]

    def size(self, inventory: HostInventory) -> Capacity:
        """What the host is to report as its size.

        A host that shares limits is as large as what it holds and what is left in common; undone are
        the ratios and reserves by which the reader will turn size into room.
        """
        if inventory.shared is None:
            return Capacity(inventory.vcpus, inventory.ram, inventory.disk)
        with self._lock:
            left, used = self._left(inventory.shared), self.used(inventory.name)
        rules = self._placement
        return Capacity(
            _unscaled(left.vcpus + used.vcpus, rules.cpu_allocation_ratio, 0),
            _unscaled(left.ram + used.ram, rules.ram_allocation_ratio, rules.reserved_ram),
            _unscaled(left.disk + used.disk, rules.disk_allocation_ratio, rules.reserved_disk))

    def _left(self, shared: Shared) -> Capacity:
        """What is left of shared limits; nothing at all when no further server may be there."""
        used = self._together(shared.name)
        if used.servers >= shared.servers:
            return NOTHING
        left = Capacity(shared.vcpus - used.vcpus, shared.ram - used.ram, shared.disk - used.disk)
        return Capacity(*(max(0, amount) for amount in left))

    def _together(self, name: str) -> Used:
        total = Used()
        for host, used in self._used.items():
            inventory = self._hosts.get(host)
            if inventory is not None and inventory.shared is not None and inventory.shared.name == name:
                total.merge(used)
        return total

    def used(self, host: str) -> Used:
        """What is taken of a host now."""
        return self._used.get(host) or Used()

    def take(self, attempt: str, share: Share) -> Refusal | None:
        """Take the share if it fits, beside what this attempt has already; else say why not."""
        with self._lock:
            refusal = self._refusal(attempt, share)
            if refusal is None:
                self._put(attempt, share)
            return refusal

    def put(self, attempt: str, share: Share) -> None:
        """Take the share without asking: it was promised before, or it only shrinks."""
        with self._lock:
            self._put(attempt, share)

    def give_back(self, attempt: str) -> None:
        """The attempt takes nothing any more."""
        with self._lock:
            share = self._shares.pop(attempt, None)
            if share is not None:
                self._used[share.host].add(share, -1)

    def _put(self, attempt: str, share: Share) -> None:
        before = self._shares.get(attempt)
        if before is not None:
            self._used[before.host].add(before, -1)
        self._used.setdefault(share.host, Used()).add(share, +1)
        self._shares[attempt] = share

    def _refusal(self, attempt: str, share: Share) -> Refusal | None:
        limits = self._limits.get(share.host)
        if limits is None:
            return "no_such_host", f"there is no host {share.host} here"
        shared = self._hosts[share.host].shared
        used, mine = self.used(share.host), self._shares.get(attempt)
        where = f"host {share.host}"
        if shared is not None:
            used, where = self._together(shared.name), f"{shared.name} with all its hosts"
            limits = Capacity(shared.vcpus, shared.ram, shared.disk)
            if mine is None and used.servers >= shared.servers:
                return "instances", f"{where} has its {shared.servers} servers already"
        taken = Capacity(used.vcpus, used.ram, used.disk).minus(
            Capacity(mine.vcpus, mine.ram, mine.disk) if mine is not None and mine.host == share.host
            else NOTHING)
        need, free = Capacity(share.vcpus, share.ram, share.disk), limits.minus(taken)
        for name in lacking(need, free):
            return name, (f"{where} has {getattr(free, name)} {_UNITS[name]} left, "
                          f"{getattr(need, name)} are needed")
        return self._group_refusal(attempt, share)

    def _group_refusal(self, attempt: str, share: Share) -> Refusal | None:
        group = share.group
        if group is None or group.policy not in ("anti-affinity", "affinity"):
            return None
        fellows = [other.host for name, other in self._shares.items()
                   if name != attempt and other.group is not None and other.group.id == group.id]
        if group.policy == "affinity" and any(host != share.host for host in fellows):
            return "affinity", f"server group {group.id} has its members on another host"
        most = group.rules.get("max_server_per_host", 1)
        if group.policy == "anti-affinity" and fellows.count(share.host) >= most:
            return "anti_affinity", f"server group {group.id} has a member on {share.host} already"
        return None


def _unscaled(room: int, ratio: float, reserve: int) -> int:
    """The size of which a ratio and a reserve leave `room`, or a little more: the claim is exact."""
    return math.ceil((room + reserve) / ratio - 1e-6) if ratio > 0 else 0
