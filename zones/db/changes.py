"""Writes to servers: every one of them makes a new version that the feed has not numbered yet."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones import states
from zones.db.engine import insert_all_new
from zones.db.later import Writer
from zones.db.tables import (
    attempt,
    peer_project,
    project,
    quota_limit,
    quota_usage,
    server,
    server_group,
)

_LOCK = (sa.select(server).where(server.c.id.in_(sa.bindparam("ids", expanding=True)))
         .order_by(server.c.id).with_for_update())
_READ = sa.select(server).where(server.c.id.in_(sa.bindparam("ids", expanding=True)),
                                server.c.deleted.is_(False))
_CHANGE = (sa.update(server).where(server.c.id == sa.bindparam("b_id"))
           .values(version=server.c.version + 1, feed_seq=None))
_LARGEST = {sa.Boolean: 2, sa.Integer: 2 ** 31, sa.BigInteger: 2 ** 63, sa.Double: 2 ** 63}
_WHERE = sa.func.coalesce(server.c.host, server.c.zone_uuid)


def insert_servers(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert the servers that are not there yet."""
    insert_all_new(conn, server, rows)


def lock(conn: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These servers' rows by id, locked in id order until the transaction ends."""
    if not ids:
        return {}
    return {row["id"]: dict(row) for row in
            conn.execute(_LOCK, {"ids": sorted(set(ids))}).mappings()}


def read(conn: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These servers' rows by id, as they are now, of those that are not deleted."""
    if not ids:
        return {}
    return {row["id"]: dict(row) for row in
            conn.execute(_READ, {"ids": list(ids)}).mappings()}


def change(conn: Writer, server_id: str, at: float, **values: Any) -> None:
    """Set these columns of a locked server."""
    conn.execute(_CHANGE, {"b_id": server_id, "updated_at": at, **values})


def change_many(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """The same columns of several servers: each row has `b_id`, `updated_at` and the columns."""
    if rows:
        conn.execute(_CHANGE, rows)


def anchor_group(conn: Connection, group_id: str, host: str) -> str:
    """Give an affinity group its host if it has none yet; the host that it has now."""
    conn.execute(sa.update(server_group).where(
        server_group.c.id == group_id, server_group.c.anchor.is_(None)).values(anchor=host))
    anchor = conn.execute(sa.select(server_group.c.anchor)
                          .where(server_group.c.id == group_id)).scalar_one_or_none()
    return anchor or host


def free_anchor(conn: Connection, group_id: str) -> None:
    """Forget the host of a group that no member is on, or on its way to, any more."""
    there = (sa.select(attempt.c.id).join(server, server.c.id == attempt.c.server_id)
             .where(server.c.group_id == group_id, attempt.c.state.in_(states.LIVE_ATTEMPTS)))
    if conn.execute(there.limit(1)).first() is None:
        conn.execute(sa.update(server_group).where(server_group.c.id == group_id).values(anchor=None))


def group_hosts(conn: Connection, group_id: str) -> list[str]:
    """The hosts of a group's living members, with repetition; an affinity group's anchor counts as one.

    A neighbour that has a member counts as a host: its zone's UUID.
    """
    rows = conn.execute(sa.select(_WHERE.label("place")).where(
        server.c.group_id == group_id, server.c.deleted.is_(False), _WHERE.is_not(None)))
    hosts = [str(row.place) for row in rows]
    anchor = conn.execute(sa.select(server_group.c.anchor)
                          .where(server_group.c.id == group_id)).scalar_one_or_none()
    return hosts + ([anchor] if anchor and anchor not in hosts else [])


def hosts_of(conn: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Where these servers run, host or zone UUID, of those that run anywhere."""
    rows = conn.execute(sa.select(server.c.id, _WHERE.label("place")).where(
        server.c.id.in_(list(ids)), _WHERE.is_not(None)))
    return {row.id: row.place for row in rows}


def at_zone(conn: Connection, zone_uuid: str) -> list[str]:
    """The ids of the servers that a neighbour has, and that are to stay."""
    return list(conn.execute(sa.select(server.c.id).where(
        server.c.zone_uuid == zone_uuid, server.c.deleted.is_(False),
        server.c.task_state.is_distinct_from("deleting")).order_by(server.c.id)).scalars())


def owner_of_project(conn: Connection, project_id: str) -> str | None:
    """The peer whose project that is here, "" for one of our own; None: nobody here ever had it."""
    peer: str | None = conn.execute(sa.select(peer_project.c.peer_id).where(
        peer_project.c.project_id == project_id)).scalar()
    if peer is not None:
        return peer
    ours = [sa.exists().where(column == project_id) for column in (
        project.c.id, quota_usage.c.project_id, quota_limit.c.project_id)]
    return "" if conn.execute(sa.select(sa.or_(*ours))).scalar() else None


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row of `server` can hold these columns: what another zone says need not."""
    return all(_fits(server.c[name].type, value) for name, value in values.items() if value is not None)


def _fits(kind: Any, value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and (kind.length is None or len(value) <= kind.length)
    if isinstance(value, dict | list):
        try:
            return b"\\u0000" not in orjson.dumps(value)
        except TypeError:  # a number of more than 64 bits
            return False
    return isinstance(value, float) or -_LARGEST[type(kind)] <= value < _LARGEST[type(kind)]


def prune(conn: Connection, before: float) -> int:
    """Forget servers that were deleted before that time; how many."""
    return int(conn.execute(sa.delete(server).where(
        server.c.deleted.is_(True), server.c.terminated_at < before)).rowcount)
