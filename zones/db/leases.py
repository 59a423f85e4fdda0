"""Who owns what at this moment: named leases, compute services, and the zone's own row."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_new, now
from zones.db.tables import lease, service, work, zone


def take_lease(conn: Connection, name: str, holder: str, seconds: float) -> int | None:
    """The generation of the lease if `holder` has it now, renewed; None while another one has it."""
    at = now(conn)
    insert_new(conn, lease, [{"name": name, "holder": None, "generation": 0, "expires_at": 0.0}])
    row = conn.execute(sa.select(lease).where(lease.c.name == name).with_for_update()).one()
    if row.holder != holder and row.expires_at > at:
        return None
    generation = row.generation + (row.holder != holder)
    conn.execute(sa.update(lease).where(lease.c.name == name), {
        "holder": holder, "generation": generation, "expires_at": at + seconds})
    return int(generation)


def give_lease_back(conn: Connection, name: str, holder: str) -> None:
    """Let the next one have it at once."""
    conn.execute(sa.update(lease).where(lease.c.name == name, lease.c.holder == holder)
                 .values(expires_at=0.0))


def free_all(conn: Connection) -> None:
    """Nobody holds anything any more: for the one process of a zone, when those before it are dead."""
    conn.execute(sa.update(lease).values(expires_at=0.0))
    conn.execute(sa.update(work).where(work.c.lease_until > 0.0).values(holder=None, lease_until=0.0))


def register_service(conn: Connection, host: str, holder: str, hosts: list[str], zone_name: str) -> int:
    """Become the owner of a compute service; its new boot number fences every older process."""
    at = now(conn)
    insert_new(conn, service, [{
        "host": host, "id": str(uuid.uuid4()), "binary": "nova-compute", "zone": zone_name, "boot": 0,
        "created_at": at, "hosts": [], "disabled": False, "forced_down": False}])
    row = conn.execute(sa.select(service.c.boot).where(service.c.host == host).with_for_update()).one()
    conn.execute(sa.update(service).where(service.c.host == host), {
        "boot": row.boot + 1, "holder": holder, "heartbeat_at": at, "updated_at": at, "hosts": hosts})
    return int(row.boot) + 1


def renew_service(conn: Connection, host: str, boot: int, hosts: list[str]) -> bool:
    """A heartbeat; False when a newer boot owns the service."""
    at = now(conn)
    done = conn.execute(
        sa.update(service).where(service.c.host == host, service.c.boot == boot),
        {"heartbeat_at": at, "updated_at": at, "hosts": hosts})
    return bool(done.rowcount)


def live_services(conn: Connection, within: float) -> dict[str, dict[str, Any]]:
    """The compute services with a heartbeat in the last `within` seconds, by name."""
    rows = conn.execute(sa.select(service.c.host, service.c.boot, service.c.hosts, service.c.disabled)
                        .where(service.c.heartbeat_at > now(conn) - within,
                               service.c.forced_down.is_(False)))
    return {row.host: dict(row._mapping) for row in rows}


def has_services(conn: Connection) -> bool:
    """Whether any compute service, alive or not, belongs to the zone."""
    return conn.execute(sa.select(service.c.host).limit(1)).first() is not None


def service_of_host(conn: Connection, host: str) -> str | None:
    """The compute service that last said it owns this host."""
    for row in conn.execute(sa.select(service.c.host, service.c.hosts)):
        if host in (row.hosts or []):
            return str(row.host)
    return None


def ensure_zone(conn: Connection, name: str) -> dict[str, Any]:
    """The zone's own row, made on the first start with a UUID that never changes."""
    row = conn.execute(sa.select(zone)).mappings().first()
    if row is None:
        conn.execute(sa.insert(zone), {
            "uuid": str(uuid.uuid4()), "name": name, "epoch": str(uuid.uuid4()), "feed_head": 0,
            "summary_generation": 0, "created_at": now(conn)})
        row = conn.execute(sa.select(zone)).mappings().one()
    elif row["name"] != name:
        conn.execute(sa.update(zone).values(name=name))
    return {**row, "name": name}


RENEWED = 15.0
"""Seconds by which a zone below must have become younger for neighbours to hear of that alone."""
AT_MOST_EVERY = 1.0
"""Seconds between two generations that differ only in how far the feed is counted."""


def feed_head(conn: Connection) -> int:
    """The number of the last change in this zone's feed."""
    return int(conn.execute(_FEED_HEAD).scalar_one())


_FEED_HEAD = sa.select(zone.c.feed_head)


def generation(conn: Connection) -> tuple[str, int]:
    """The zone's epoch and the generation of its summary, without the summary."""
    row = conn.execute(_GENERATION).one()
    return str(row.epoch), int(row.summary_generation)


_GENERATION = sa.select(zone.c.epoch, zone.c.summary_generation)


def renew_epoch(conn: Connection) -> str:
    """Another life of this zone's feed: who followed it compares everything; the new epoch."""
    epoch = str(uuid.uuid4())
    conn.execute(sa.update(zone).values(epoch=epoch))
    return epoch


def save_summary(conn: Connection, summary: dict[str, Any]) -> int:
    """Say what the zone's summary is now; a changed one gets the next generation. The one in force.

    Body and generation are one row, and only the leader writes it, so every API worker can serve it
    with the generation as its ETag. Ages are as of now, and that time has passed is no change.
    """
    at = now(conn)
    row = conn.execute(sa.select(zone.c.uuid, zone.c.summary, zone.c.summary_at, zone.c.summary_generation)
                       .with_for_update()).one()
    passed = max(0.0, at - (row.summary_at or 0.0))
    body, changed = settled(row.summary, summary, passed, row.uuid)
    moved = row.summary is not None and row.summary.get("feed_head") != summary.get("feed_head")
    if moved and not changed and passed < AT_MOST_EVERY:
        return int(row.summary_generation)
    newest = int(row.summary_generation) + (changed or moved)
    conn.execute(sa.update(zone).values(summary=body, summary_at=at, summary_generation=newest))
    return newest


def settled(old: dict[str, Any] | None, new: dict[str, Any], passed: float, own: str,
            ) -> tuple[dict[str, Any], bool]:
    """The summary to keep in place of `old`, `passed` seconds later, and whether it says anything new
    (but for `feed_head`).

    A zone below that is only a little younger than neighbours believe keeps the age that they know:
    else each poll of a link would make a generation, here and in every zone above.
    """
    before: dict[str, Any] = (old or {}).get("zones") or {}
    zones: dict[str, Any] = new.get("zones") or {}
    if old is None or zones.keys() != before.keys() or (
            {**new, "zones": 0, "feed_head": 0} != {**old, "zones": 0, "feed_head": 0}):
        return new, True
    kept: dict[str, Any] = {}
    for each, entry in zones.items():
        known, believed = before[each], before[each].get("age", 0.0) + passed
        younger = each != own and believed - entry.get("age", 0.0) > RENEWED
        if younger or {**entry, "age": 0} != {**known, "age": 0}:
            return new, True
        kept[each] = entry if each == own else {**entry, "age": max(believed, entry.get("age", 0.0))}
    return {**new, **({"zones": kept} if kept else {})}, False


def read_zone(conn: Connection) -> dict[str, Any]:
    """The zone's row, and `age`: seconds since its summary was last said to hold; None before the first."""
    row = dict(conn.execute(sa.select(zone)).mappings().one())
    return {**row, "age": max(0.0, now(conn) - row["summary_at"]) if row["summary_at"] else None}
