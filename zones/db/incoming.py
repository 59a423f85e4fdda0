"""Peers' attempts at this zone, and what was answered: the same attempt again gets the same answer.

A cancelled row is the tombstone of its attempt, also of one that was never seen. What is done about one
server is done by one transaction at a time (`hold`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_all_new, insert_new
from zones.db.tables import incoming, server, server_group

Row = dict[str, Any]
_READ = sa.select(incoming).where(incoming.c.peer_id == sa.bindparam("b_peer"),
                                  incoming.c.attempt_id.in_(sa.bindparam("ids", expanding=True)))
_CHANGE = sa.update(incoming).where(
    incoming.c.peer_id == sa.bindparam("b_peer"), incoming.c.attempt_id == sa.bindparam("b_attempt"))
_HOLD = sa.text("""
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended('server ' || id, 0) AS key
        FROM unnest(CAST(:ids AS text[])) AS id ORDER BY key) AS keys""")


def hold(conn: Connection, server_ids: Iterable[str]) -> None:
    """Be the only transaction that accepts or recalls these servers; SQLite has one writer anyway."""
    if conn.dialect.name != "sqlite":
        conn.execute(_HOLD, {"ids": sorted(set(server_ids))})


def read(conn: Connection, peer_id: str, attempt_ids: Sequence[str]) -> dict[str, Row]:
    """What this peer's attempts were answered, by attempt."""
    rows = conn.execute(_READ, {"b_peer": peer_id, "ids": list(attempt_ids)}).mappings()
    return {row["attempt_id"]: dict(row) for row in rows}


def add(conn: Connection, rows: list[Row]) -> None:
    """Remember new attempts; each row has peer_id, attempt_id, server_id, state, code, message and times."""
    insert_all_new(conn, incoming, rows)


def change(conn: Connection, peer_id: str, attempt_id: str, at: float, **values: Any) -> None:
    """Answer an attempt otherwise from now on."""
    conn.execute(_CHANGE, {"b_peer": peer_id, "b_attempt": attempt_id, "updated_at": at, **values})


def keep_group(conn: Connection, row: Row) -> None:
    """The group of a peer's servers: it gives them an anchor, and is nobody's to see or change.

    A row without `user_id`; `prune` forgets it some time after its last server. Its `created_at` is that
    of its last boot, so that it is not pruned under it.
    """
    if not insert_new(conn, server_group, [{**row, "user_id": None}]):
        conn.execute(sa.update(server_group).where(server_group.c.id == row["id"])
                     .values(created_at=row["created_at"]))


def prune(conn: Connection, before: float) -> int:
    """Forget the attempts, and the groups, of servers that are no more; how many attempts."""
    lives = sa.exists().where(server.c.id == incoming.c.server_id, server.c.deleted.is_(False))
    members = sa.exists().where(server.c.group_id == server_group.c.id)
    conn.execute(sa.delete(server_group).where(
        server_group.c.user_id.is_(None), server_group.c.created_at < before, sa.not_(members)))
    return int(conn.execute(sa.delete(incoming).where(
        incoming.c.updated_at < before, sa.not_(lives))).rowcount)
