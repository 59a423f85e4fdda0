"""Links as the Compute API shows them: health and offer, and no credentials in any form."""

from collections.abc import Iterable, Mapping
from typing import Any

from zones.api.compute.times import naive
from zones.capabilities.summary import OLDEST, Entry

Row = Mapping[str, Any]


def full(row: Row, entries: Mapping[str, Entry], servers: int) -> dict[str, Any]:
    """One link. `entries`: what the neighbour last said of itself and of all below it."""
    return {
        "id": row["id"], "name": row["name"], "api_url": row["api_url"], "uuid": row["zone_uuid"],
        "relation": row["relation"], "weight_offset": row["weight_offset"],
        "weight_scale": row["weight_scale"], "state": row["state"], "is_active": bool(row["is_active"]),
        "reason": row["reason"], "message": row["message"], "last_seen": naive(row["seen_at"]),
        "capabilities": capabilities(entries.values()), "servers": servers}


def capabilities(entries: Iterable[Entry]) -> str:
    """What is on offer there, in the form of 2011: `gpu=a100, hypervisor=kvm;qemu`."""
    offered: dict[str, set[str]] = {}
    for entry in entries:
        for kind in entry.classes:
            for key, values in kind.capabilities.items():
                offered.setdefault(key, set()).update(values)
    return ", ".join(f"{key}={';'.join(sorted(values))}" for key, values in sorted(offered.items()))


def branch(uuid: str | None, name: str, path: list[str], *, is_active: bool,
           entry: Entry | None, elapsed: float = 0.0) -> dict[str, Any]:
    """One zone of the tree; `elapsed`: seconds since its entry came here. Unknown numbers are None."""
    age = entry.age + elapsed if entry else None
    return {"name": name, "uuid": uuid, "path": path,
            "is_active": is_active and (age is None or age <= OLDEST),
            "hosts": entry.load.hosts if entry else None,
            "servers": entry.load.servers if entry else None,
            "age": None if age is None else round(age, 1)}
