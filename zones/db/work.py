"""Work that must be done, as durable rows: the bus only wakes those who look for it here.

kinds: `boot` (place a server, and repeat its open attempt), `act` (repeat an action until it is
done), `remove` (cancel attempts at one host or neighbour until that is confirmed), `push` (bring an
image to the neighbour that wants it for a boot), `held` (end the hold of quota that nobody has used).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones import states
from zones.db.engine import now
from zones.db.later import Writer
from zones.db.tables import attempt, work

_INSERT = sa.insert(work)
_DELETE = sa.delete(work)
_DROP = _DELETE.where(work.c.server_id == sa.bindparam("b_server"), work.c.kind == sa.bindparam("b_kind"))
_DUE = (sa.select(work.c.id)
        .where(work.c.due_at <= sa.bindparam("at"), work.c.lease_until <= sa.bindparam("at"))
        .order_by(work.c.due_at).limit(sa.bindparam("limit", type_=sa.Integer))
        .with_for_update(skip_locked=True))
_TAKE = (sa.update(work).where(work.c.id.in_(_DUE.scalar_subquery()))
         .values(holder=sa.bindparam("b_holder"), lease_until=sa.bindparam("b_until"),
                 tries=work.c.tries + 1)
         .returning(work))
_KEEP = (sa.update(work).where(
    work.c.id.in_(sa.bindparam("ids", expanding=True)), work.c.holder == sa.bindparam("b_holder"),
    work.c.lease_until > sa.bindparam("at")).values(tries=work.c.tries).returning(work.c.id))
_PUT_OFF = (sa.update(work)
            .where(work.c.id == sa.bindparam("b_id"), work.c.holder == sa.bindparam("b_holder"))
            .values(holder=None, lease_until=0.0, due_at=sa.bindparam("b_due")))
_HURRY = (sa.update(work)
          .where(work.c.server_id == sa.bindparam("b_server"), work.c.kind == sa.bindparam("b_kind"))
          .values(due_at=sa.bindparam("b_due"), holder=None, lease_until=0.0))
_AT_ZONE = sa.select(attempt.c.server_id).where(
    attempt.c.kind == "link", attempt.c.target == sa.bindparam("b_zone"),
    attempt.c.state.in_((states.OPEN, states.ACCEPTED)))
_NOW = sa.update(work).values(due_at=sa.bindparam("b_due"), holder=None, lease_until=0.0)
_HURRY_ZONE = _NOW.where(work.c.zone_uuid == sa.bindparam("b_zone"), work.c.kind == sa.bindparam("b_kind"))
_HURRY_BOOTS = _NOW.where(work.c.kind == "boot", work.c.server_id.in_(_AT_ZONE))
_SPAN = sa.select(sa.select(sa.func.max(work.c.id)).scalar_subquery()
                  - sa.select(sa.func.min(work.c.id)).scalar_subquery())
_COUNT = sa.select(sa.func.count()).select_from(
    sa.select(work.c.id).limit(sa.bindparam("most", type_=sa.Integer)).subquery())


def add(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Add work; each row has kind, server_id, due_at, created_at and what its kind needs."""
    if rows:
        conn.execute(_INSERT, [{"holder": None, "lease_until": 0.0, "tries": 0, "attempt_id": None,
                                "op": None, "host": None, "zone_uuid": None, "args": None, **row}
                               for row in rows])


def take(conn: Connection, holder: str, limit: int, lease: float) -> list[dict[str, Any]]:
    """Up to `limit` due rows that nobody works on, leased to `holder` for `lease` seconds."""
    at = now(conn)
    rows = conn.execute(_TAKE, {"at": at, "limit": limit, "b_holder": holder,
                                "b_until": at + lease}).mappings()
    return sorted((dict(row) for row in rows), key=lambda row: (row["due_at"], row["id"]))


def keep(conn: Connection, holder: str, ids: Sequence[int]) -> set[int]:
    """Which of these rows `holder` still holds, locked until the transaction ends."""
    rows = conn.execute(_KEEP, {"ids": list(ids), "b_holder": holder, "at": now(conn)})
    return {row.id for row in rows}


def put_off(conn: Connection, holder: str, due: dict[int, float]) -> None:
    """Give rows back, each due at its time."""
    if due:
        conn.execute(_PUT_OFF, [{"b_id": row, "b_holder": holder, "b_due": at} for row, at in due.items()])


def hurry(conn: Writer, server_ids: Sequence[str], kind: str, at: float) -> None:
    """Make work of that kind for these servers due at that time, whoever holds it."""
    conn.execute(_HURRY, [{"b_server": server, "b_kind": kind, "b_due": at} for server in server_ids])


def hurry_zone(conn: Connection, zone_uuid: str, at: float) -> None:
    """Make all work for a neighbour due now: first what it is to remove, then images and boots."""
    conn.execute(_HURRY_ZONE, {"b_zone": zone_uuid, "b_kind": "remove", "b_due": at - 1.0})
    conn.execute(_HURRY_ZONE, {"b_zone": zone_uuid, "b_kind": "push", "b_due": at})
    conn.execute(_HURRY_BOOTS, {"b_zone": zone_uuid, "b_due": at})


def drop(conn: Writer, server_id: str, kinds: Sequence[str]) -> None:
    """Forget work of these kinds for a server."""
    conn.execute(_DROP, [{"b_server": server_id, "b_kind": kind} for kind in kinds])


def drop_op(conn: Connection, op: str) -> dict[str, Any] | None:
    """Forget an action's work; its row, or None when it was ended before."""
    row = conn.execute(sa.select(work).where(work.c.op == op)).mappings().first()
    if row is not None:
        conn.execute(_DELETE.where(work.c.id == row["id"]))
    return dict(row) if row is not None else None


def of_server(conn: Connection, server_id: str) -> list[dict[str, Any]]:
    """All work for a server."""
    rows = conn.execute(sa.select(work).where(work.c.server_id == server_id).order_by(work.c.id))
    return [dict(row) for row in rows.mappings()]


def replace_args(conn: Connection, row_id: int, args: Any) -> None:
    """Change what a row of work is about."""
    conn.execute(sa.update(work).where(work.c.id == row_id).values(args=args))


def remove_row(conn: Connection, row_id: int) -> None:
    """Forget one row."""
    conn.execute(_DELETE.where(work.c.id == row_id))


def backlog(conn: Connection, most: int) -> int:
    """How many rows there are, counted up to `most` only."""
    return int(conn.execute(_COUNT, {"most": most}).scalar_one())


def is_full(conn: Connection, most: int) -> bool:
    """Whether there are `most` rows. Counts only where the first and last id leave that open."""
    span = conn.execute(_SPAN).scalar_one()
    return span is not None and span + 1 >= most and backlog(conn, most) >= most
