"""What this process knows of each link, as placement needs it: what it offers, and what is held of it.

The counterpart of `host_table` for zones instead of hosts: `inflight.InFlight` keeps `held` of either.
A link's version is (feed, head): `head` is the `feed_head` that its summary counts, and `feed` grows
by one when the neighbour's epoch changes. Not locked, as the host table is not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zones.capabilities.classes import room_of
from zones.capabilities.host_row import NOTHING, Version
from zones.capabilities.room import Capacity
from zones.capabilities.summary import Entry

Listener = Callable[[str, Version, bool], None]


@dataclass(frozen=True)
class LinkState:
    """One link. `closed` says in a code why nothing is placed there (`inactive`, `cordoned`, `draining`,
    `silent`), "" while it is open. `entries` are what the neighbour said of itself and below, without
    this zone; `heard_at` is when, on this process's monotonic clock, and `generation` the
    neighbour's own count of its summaries. `memo` keeps what was worked out
    of these entries, and goes with them."""

    zone_uuid: str
    name: str
    relation: str = "child"
    weight_offset: float = 0.0
    weight_scale: float = 1.0
    closed: str = ""
    entries: Mapping[str, Entry] | None = None
    heard_at: float = 0.0
    version: Version = (0, 0)
    generation: int = 0
    held: Capacity = NOTHING
    held_servers: int = 0
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def taken(self, need: Capacity) -> int:
        """How many slots of this shape what is in flight may take: one each at least, more where it is
        larger. Servers of any shapes may each spoil a slot on a host of its own."""
        taken = self.held_servers
        if taken:
            for held, wanted in zip(self.held, need, strict=True):
                if wanted > 0 and held > taken * wanted:
                    taken = -(-held // wanted)
        return taken


class LinkTable:
    """The links by zone UUID."""

    def __init__(self) -> None:
        self._links: dict[str, LinkState] = {}
        self._held: dict[str, tuple[Capacity, int]] = {}
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, zone_uuid: object) -> bool:
        return zone_uuid in self._links

    def __iter__(self) -> Iterator[LinkState]:
        """Every link, in the order in which they came."""
        return iter(self._links.values())

    def listen(self, heard: Listener) -> None:
        """Be told of each new version: zone UUID, version, and whether it is another feed's."""
        self._listeners.append(heard)

    def apply(self, state: LinkState) -> None:
        """A link as it is now; what is held of it stays."""
        known = self._links.get(state.zone_uuid)
        held, servers = self._held.get(state.zone_uuid, (NOTHING, 0))
        self._links[state.zone_uuid] = replace(state, held=held, held_servers=servers)
        if known is None or known.version != state.version:
            for heard in self._listeners:
                heard(state.zone_uuid, state.version,
                      known is not None and known.version[0] != state.version[0])

    def remove(self, zone_uuid: str) -> None:
        """The link was deleted."""
        self._links.pop(zone_uuid, None)

    def states(self) -> list[LinkState]:
        """Every link, by name."""
        return sorted(self._links.values(), key=lambda link: (link.name, link.zone_uuid))

    def state(self, zone_uuid: str) -> LinkState | None:
        """One link."""
        return self._links.get(zone_uuid)

    def version_of(self, zone_uuid: str) -> Version | None:
        """The version of what is known of a link."""
        known = self._links.get(zone_uuid)
        return None if known is None else known.version

    def has_room(self, zone_uuid: str, need: Capacity) -> bool:
        """Whether a server of this shape has room there by the summary, less what is in flight."""
        known = self._links.get(zone_uuid)
        if known is None or known.entries is None:
            return False
        return sum(room_of(need, entry.classes) for entry in known.entries.values()) > known.taken(need)

    def set_held(self, zone_uuid: str, need: Capacity, servers: int) -> None:
        """What is in flight to a link, as `inflight` counts it."""
        self._held[zone_uuid] = (need, servers)
        known = self._links.get(zone_uuid)
        if known is not None:
            self._links[zone_uuid] = replace(known, held=need, held_servers=servers)


def availability_zones_of(link: LinkState) -> list[str]:
    """The availability zones that a link adds to this zone: its name (anything there), and what is below:
    `west`, `west/az1`, `west/gpu`, `west/gpu/az2`, sorted."""
    found = {link.name}
    for uuid, entry in (link.entries or {}).items():
        if uuid != link.zone_uuid and not entry.path:
            continue  # told by a zone that does not say where it is
        path = "/".join([link.name, *entry.path])
        found.add(path)
        found.update(f"{path}/{zone}" for zone in entry.availability_zones)
    return sorted(found)
