"""Attempts: the durable record of each try to place one server at one target."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones import states
from zones.db.engine import now
from zones.db.later import Writer
from zones.db.tables import attempt, server

_INSERT = sa.insert(attempt)
_BY_ID = sa.select(attempt).where(attempt.c.id.in_(sa.bindparam("ids", expanding=True)))
_BY_SERVER = (sa.select(attempt).where(attempt.c.server_id.in_(sa.bindparam("ids", expanding=True)))
              .order_by(attempt.c.n))
_CHANGE = sa.update(attempt).where(attempt.c.id == sa.bindparam("b_id"))


def insert(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert new attempts; the caller holds the work that they belong to."""
    if rows:
        conn.execute(_INSERT, rows)


def read(conn: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These attempts by id."""
    return {row["id"]: dict(row) for row in conn.execute(_BY_ID, {"ids": list(ids)}).mappings()}


def of_servers(conn: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every attempt of these servers, oldest first, by server."""
    found: dict[str, list[dict[str, Any]]] = {}
    if ids:
        for row in conn.execute(_BY_SERVER, {"ids": list(ids)}).mappings():
            found.setdefault(row["server_id"], []).append(dict(row))
    return found


def change(conn: Writer, attempt_id: str, at: float, **values: Any) -> None:
    """Set these columns of an attempt."""
    conn.execute(_CHANGE, {"b_id": attempt_id, "updated_at": at, **values})


def since(conn: Connection, seconds: float) -> list[dict[str, Any]]:
    """Attempts that no answer ended, or that changed in the last `seconds`: in-flight is derived from these.

    A neighbour may have accepted one long ago and not placed it yet.
    """
    rows = conn.execute(
        sa.select(attempt.c.id, attempt.c.kind, attempt.c.target, attempt.c.state, attempt.c.vcpus,
                  attempt.c.ram, attempt.c.disk, attempt.c.counted_boot, attempt.c.counted_seq)
        .where(sa.or_(attempt.c.state.in_((states.OPEN, states.ACCEPTED)),
                      attempt.c.updated_at > now(conn) - seconds)))
    return [dict(row) for row in rows.mappings()]


def explanation(conn: Connection, server_id: str) -> list[dict[str, Any]]:
    """Why each attempt of a server went where it went: n, target, state, explanation, reason."""
    return of_servers(conn, [server_id]).get(server_id, [])


def prune(conn: Connection, before: float) -> int:
    """Forget attempts of servers that were deleted before that time."""
    gone = sa.select(server.c.id).where(server.c.deleted.is_(True), server.c.terminated_at < before)
    return int(conn.execute(sa.delete(attempt).where(attempt.c.server_id.in_(gone))).rowcount)
