"""What a zone says about itself and all below it: `zone UUID → entry`, and how answers are merged.

Keyed by UUID, so a zone that is reachable by two paths counts once. Ages travel, not clock times,
so clocks need not agree; only the owner of an entry makes it young.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from zones.capabilities.classes import Amount, CapabilityClass, classes
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity
from zones.errors import Invalid

OLDEST = 90.0
"""Seconds after which an entry that its owner did not renew is dropped."""
ZONES_KEPT = 4096
CLASSES_KEPT = 512
"""Classes of one zone, at most: those with the most hosts stay."""
DEEPEST = 32
"""Zones on the way to an entry, at most."""

Name = Annotated[str, msgspec.Meta(max_length=255)]


class Load(msgspec.Struct, frozen=True):
    """How busy a zone is. `in_flight` servers are deducted from the slots, not yet in a report."""

    hosts: Amount = 0
    hosts_up: Amount = 0
    servers: Amount = 0
    building: Amount = 0
    failed_builds: Amount = 0
    in_flight: Amount = 0


class Entry(msgspec.Struct, frozen=True):
    """One zone. `age` is seconds since its owner said so; `price` is the operator's, per hour.

    `path` leads from the zone that tells of it down to it, by the names of the links: empty for that
    zone itself. `via` is the neighbour it was heard from, "" for an own one; it never leaves the zone.
    """

    name: Name
    age: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    classes: Annotated[list[CapabilityClass], msgspec.Meta(max_length=CLASSES_KEPT)] = []
    load: Load = Load()
    availability_zones: Annotated[list[Name], msgspec.Meta(max_length=CLASSES_KEPT)] = []
    price: float | None = None
    via: Name = ""
    path: Annotated[list[Name], msgspec.Meta(max_length=DEEPEST)] = []


class Heard(msgspec.Struct, frozen=True):
    """A neighbour's latest whole answer: who said it, what, how many seconds ago, and the link's name."""

    neighbour: str
    entries: dict[str, Entry]
    elapsed: float = 0.0
    name: str = ""


def entry(name: str, table: HostTable, shapes: Iterable[Capacity], price: float | None = None) -> Entry:
    """This zone's own entry, as of now. `shapes` are its flavors'."""
    kinds = _most_hosts(classes(table, shapes))
    rows = [row for _, row in table.rows()]
    return Entry(
        name=name, classes=kinds, price=price,
        availability_zones=sorted({kind.availability_zone for kind in kinds}),
        load=Load(hosts=len(rows), hosts_up=int(np.count_nonzero(table.columns.alive[:table.size])),
                  servers=sum(row.servers for row in rows),
                  building=sum(row.building for row in rows),
                  failed_builds=sum(row.failed_builds for row in rows),
                  in_flight=sum(row.held_servers for row in rows)))


def _most_hosts(kinds: list[CapabilityClass]) -> list[CapabilityClass]:
    if len(kinds) <= CLASSES_KEPT:
        return kinds
    least = sorted((kind.hosts for kind in kinds), reverse=True)[CLASSES_KEPT - 1]
    return sorted(kinds, key=lambda kind: kind.hosts < least)[:CLASSES_KEPT]


def merge(own_uuid: str, own: Entry, heard: Iterable[Heard], neighbour: str | None = None,
          ) -> dict[str, Entry]:
    """Own and heard entries in one map, the younger wins; nothing is kept beyond `OLDEST`.

    Each heard one is marked with the neighbour that told it, and its path begins with that link.
    For a `neighbour` (its UUID) without what came from it and without itself: split horizon.
    """
    found: dict[str, Entry] = {}
    for answer in heard:
        if answer.neighbour == neighbour:
            continue
        for uuid, one in answer.entries.items():
            age = one.age + max(0.0, answer.elapsed)
            if age <= OLDEST and len(one.path) < DEEPEST and (uuid not in found or age < found[uuid].age):
                found[uuid] = msgspec.structs.replace(
                    one, age=age, via=answer.neighbour, path=[answer.name or answer.neighbour, *one.path])
    if len(found) >= ZONES_KEPT:
        nearest = sorted(found.items(), key=lambda item: (len(item[1].path), item[0]))
        found = dict(nearest[:ZONES_KEPT - 1])
    found[own_uuid] = own
    if neighbour is not None:
        found.pop(neighbour, None)
    return found


def for_neighbour(entries: Mapping[str, Entry], asker: str) -> dict[str, Entry]:
    """A merged map as the zone `asker` may hear it ("": a user): without itself and what came from it."""
    return {uuid: msgspec.structs.replace(one, via="") if one.via else one
            for uuid, one in entries.items() if not asker or asker not in (uuid, one.via)}


def less(entries: Mapping[str, Entry], taken: Callable[[Capacity], int]) -> dict[str, Entry]:
    """The entries of a link without the slots that what is in flight there may take, by shape.

    Nobody knows yet which class it takes them from, so each class promises so many fewer.
    """
    return {uuid: msgspec.structs.replace(entry, classes=[msgspec.structs.replace(
        kind, largest=[], slots=[msgspec.structs.replace(slot, count=max(0, slot.count - taken(
            Capacity(slot.vcpus, slot.ram, slot.disk)))) for slot in kind.slots])
        for kind in entry.classes]) for uuid, entry in entries.items()}


def to_plain(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The summary as a JSON-able value."""
    plain: dict[str, Any] = msgspec.to_builtins(dict(entries))
    return plain


def from_plain(value: Any) -> dict[str, Entry]:
    """The summary in a decoded JSON value; unknown fields are ignored. Raises `Invalid`."""
    try:
        entries = msgspec.convert(value, dict[str, Entry])
    except msgspec.ValidationError as error:
        raise Invalid(f"not a zone summary: {error}", code="bad_summary") from error
    if len(entries) > ZONES_KEPT:
        raise Invalid(f"a summary of {len(entries)} zones, at most {ZONES_KEPT}", code="bad_summary")
    return entries
