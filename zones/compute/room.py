"""What is left on each host of this service, claim by claim: the place where over-commit ends.

Plain bookkeeping in memory, rebuilt from the ledger at start. Every change is keyed by the attempt,
so that doing it twice is the same as once.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from zones.capabilities.room import Capacity, capacity, lacking
from zones.compute.driver import HostInventory
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
        used, mine = self.used(share.host), self._shares.get(attempt)
        taken = Capacity(used.vcpus, used.ram, used.disk).minus(
            Capacity(mine.vcpus, mine.ram, mine.disk) if mine is not None and mine.host == share.host
            else NOTHING)
        need, free = Capacity(share.vcpus, share.ram, share.disk), limits.minus(taken)
        for name in lacking(need, free):
            return name, (f"host {share.host} has {getattr(free, name)} {_UNITS[name]} left, "
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
