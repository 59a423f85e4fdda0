"""Host aggregates: named sets of hosts with metadata; one may put its hosts in an availability zone."""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from zones.db.engine import insert_new
from zones.db.quotas import hold
from zones.db.tables import aggregate, server
from zones.errors import Conflict, Invalid, NotFound

Row = dict[str, Any]

_ZONE = "availability_zone"


def _row(found: RowMapping) -> Row:
    return {**found, "hosts": found["hosts"] or [], "metadata": found["metadata"] or {}}


def list_aggregates(conn: Connection) -> list[Row]:
    """Every aggregate, oldest first, with `hosts` and `metadata`."""
    rows = conn.execute(sa.select(aggregate).order_by(aggregate.c.id)).mappings()
    return [_row(row) for row in rows]


def host_zones(conn: Connection) -> dict[str, str]:
    """Host → the availability zone that an aggregate puts it in; it wins over the driver's."""
    return {host: row[_ZONE] for row in list_aggregates(conn) if row[_ZONE] for host in row["hosts"]}


def get_aggregate(conn: Connection, aggregate_id: int) -> Row:
    """One aggregate. Raises `NotFound`."""
    row = conn.execute(sa.select(aggregate).where(aggregate.c.id == aggregate_id)).mappings().first()
    if row is None:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.", code="no_aggregate")
    return _row(row)


def create_aggregate(conn: Connection, uuid: str, name: str, zone: str | None) -> Row:
    """Add an aggregate, whose UUID is made already. Raises `Conflict` for a used name."""
    there = conn.execute(sa.select(aggregate).where(aggregate.c.name == name)).mappings().first()
    if there is not None and there["uuid"] != uuid:
        raise _exists(name)
    if there is None:
        row: Row = {"uuid": uuid, "name": name, _ZONE: zone, "metadata": {_ZONE: zone} if zone else {},
               "hosts": [], "created_at": time.time()}
        if not insert_new(conn, aggregate, [row]):
            raise _exists(name)
    return _row(conn.execute(sa.select(aggregate).where(aggregate.c.uuid == uuid)).mappings().one())


def _exists(name: str) -> Conflict:
    return Conflict(f"Aggregate {name} already exists.", code="aggregate_exists")


def update_aggregate(conn: Connection, aggregate_id: int, name: str | None, zone: str | None) -> Row:
    """Change name and availability zone where not None. Raises `NotFound`, `Conflict`."""
    _hold(conn)
    row = get_aggregate(conn, aggregate_id)
    if name is not None and name != row["name"]:
        same = conn.execute(sa.select(aggregate.c.id).where(aggregate.c.name == name)).first()
        if same is not None:
            raise _exists(name)
        row["name"] = name
    return _save(conn, row if zone is None else _in_zone(conn, row, {**row["metadata"], _ZONE: zone}))


def set_metadata(conn: Connection, aggregate_id: int, changes: Mapping[str, str | None]) -> Row:
    """Add, replace, or with None remove metadata. Raises `NotFound`, `Conflict`, `Invalid`."""
    _hold(conn)
    row = get_aggregate(conn, aggregate_id)
    if _ZONE in changes and not (changes[_ZONE] or "x").strip():
        raise Invalid("Invalid availability zone: it is empty", code="bad_zone")
    merged = {**row["metadata"], **changes}
    kept = {key: value for key, value in merged.items() if value is not None}
    return _save(conn, _in_zone(conn, row, kept))


def _in_zone(conn: Connection, row: Row, metadata: Mapping[str, str]) -> Row:
    """The row with new metadata. Raises `Conflict` if its hosts can't move to the zone it names."""
    zone = metadata.get(_ZONE)
    if zone != row[_ZONE]:
        for host in row["hosts"]:
            _check_zone(conn, host, zone, row["id"])
            if _in_use(conn, host):
                raise Conflict("Cannot update aggregate's availability zone: one or more hosts contain "
                               f"instances in this zone (host {host})", code="aggregate_in_use")
    return {**row, "metadata": dict(metadata), _ZONE: zone}


def add_host(conn: Connection, aggregate_id: int, host: str) -> Row:
    """Put a host in an aggregate. Raises `NotFound`, `Conflict`."""
    _hold(conn)
    row = get_aggregate(conn, aggregate_id)
    if host in row["hosts"]:
        raise Conflict(f"Aggregate {aggregate_id} already has host {host}.", code="host_there")
    _check_zone(conn, host, row[_ZONE], aggregate_id)
    return _save(conn, {**row, "hosts": [*row["hosts"], host]})


def remove_host(conn: Connection, aggregate_id: int, host: str) -> Row:
    """Take a host out of an aggregate. Raises `NotFound`, `Conflict`."""
    _hold(conn)
    row = get_aggregate(conn, aggregate_id)
    if host not in row["hosts"]:
        raise NotFound(f"Cannot remove host {host} in aggregate {aggregate_id}", code="no_host")
    return _save(conn, {**row, "hosts": [name for name in row["hosts"] if name != host]})


def drop_host(conn: Connection, host: str) -> None:
    """Take a host that is gone out of every aggregate."""
    _hold(conn)
    for row in list_aggregates(conn):
        if host in row["hosts"]:
            _save(conn, {**row, "hosts": [name for name in row["hosts"] if name != host]})


def delete_aggregate(conn: Connection, aggregate_id: int) -> None:
    """Remove an empty aggregate. Raises `NotFound`; `Invalid` while it has hosts."""
    _hold(conn)
    if get_aggregate(conn, aggregate_id)["hosts"]:
        raise Invalid(f"Cannot remove aggregate {aggregate_id}: Host aggregate is not empty",
                      code="aggregate_not_empty")
    conn.execute(sa.delete(aggregate).where(aggregate.c.id == aggregate_id))


def _check_zone(conn: Connection, host: str, zone: str | None, aggregate_id: int) -> None:
    others = {row[_ZONE] for row in list_aggregates(conn)
              if row["id"] != aggregate_id and row[_ZONE] and host in row["hosts"]}
    if zone and others - {zone}:
        raise Conflict(f"Cannot add host to aggregate {aggregate_id}: One or more hosts already in "
                       f"availability zone(s) {sorted(others)}", code="host_in_other_zone")


def _in_use(conn: Connection, host: str) -> bool:
    return conn.execute(sa.select(server.c.id).where(
        server.c.host == host, server.c.deleted.is_(False)).limit(1)).first() is not None


def _save(conn: Connection, row: Row) -> Row:
    changed = {name: row[name] for name in ("name", _ZONE, "metadata", "hosts")}
    conn.execute(sa.update(aggregate).where(aggregate.c.id == row["id"]),
                 {**changed, "updated_at": time.time()})
    return get_aggregate(conn, row["id"])


def _hold(conn: Connection) -> None:
    hold(conn, "aggregates")
