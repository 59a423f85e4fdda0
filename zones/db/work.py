"""Work that must be done, as durable rows: the bus only wakes those who look for it here.

kinds: `boot` (place a server, and repeat its open attempt), `act` (repeat an action until it is
done), `remove` (cancel attempts at one host until that is confirmed).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import now
from zones.db.tables import work

_INSERT = sa.insert(work)
_DELETE = sa.delete(work)


def add(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Add work; each row has kind, server_id, due_at, created_at and what its kind needs."""
    if rows:
        conn.execute(_INSERT, [{"holder": None, "lease_until": 0.0, "tries": 0, "attempt_id": None,
                                "op": None, "host": None, "args": None, **row} for row in rows])


def take(conn: Connection, holder: str, limit: int, lease: float) -> list[dict[str, Any]]:
    """Up to `limit` due rows that nobody works on, leased to `holder` for `lease` seconds."""
    at = now(conn)
    due = (sa.select(work.c.id).where(work.c.due_at <= at, work.c.lease_until <= at)
           .order_by(work.c.due_at).limit(limit).with_for_update(skip_locked=True))
    rows = conn.execute(
        sa.update(work).where(work.c.id.in_(due.scalar_subquery()))
        .values(holder=holder, lease_until=at + lease, tries=work.c.tries + 1)
        .returning(work)).mappings()
    return sorted((dict(row) for row in rows), key=lambda row: (row["due_at"], row["id"]))


def keep(conn: Connection, holder: str, ids: Sequence[int]) -> set[int]:
    """Which of these rows `holder` still holds, locked until the transaction ends."""
    rows = conn.execute(
        sa.update(work).where(work.c.id.in_(list(ids)), work.c.holder == holder,
                              work.c.lease_until > now(conn))
        .values(tries=work.c.tries).returning(work.c.id))
    return {row.id for row in rows}


def put_off(conn: Connection, holder: str, due: dict[int, float]) -> None:
    """Give rows back, each due at its time."""
    if due:
        conn.execute(
            sa.update(work).where(work.c.id == sa.bindparam("b_id"), work.c.holder == holder)
            .values(holder=None, lease_until=0.0, due_at=sa.bindparam("b_due")),
            [{"b_id": row, "b_due": at} for row, at in due.items()])


def hurry(conn: Connection, server_ids: Sequence[str], kind: str, at: float) -> None:
    """Make work of that kind for these servers due now, whoever holds it."""
    conn.execute(sa.update(work).where(work.c.server_id.in_(list(server_ids)), work.c.kind == kind)
                 .values(due_at=at, holder=None, lease_until=0.0))


def drop(conn: Connection, server_id: str, kinds: Sequence[str]) -> int:
    """Forget work of these kinds for a server; how much there was."""
    return int(conn.execute(_DELETE.where(work.c.server_id == server_id,
                                          work.c.kind.in_(list(kinds)))).rowcount)


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
    some = sa.select(work.c.id).limit(most).subquery()
    return int(conn.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())
