"""Answers to the changes that peers forward, kept so that a repeat gets them instead of a second change."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_new, now
from zones.db.tables import operation
from zones.protocol.neighbours import REPLAYED

ABANDONED = 60.0
"""Seconds after which a change that is still under way belongs to a process that died."""

UNDER_WAY = 0
"""The status of a change that has no answer yet."""

_KEY = operation.c.id == sa.bindparam("b_id")
_LOCK = sa.select(operation).where(_KEY).with_for_update()
_SET = sa.update(operation).where(_KEY)
_DELETE = sa.delete(operation).where(_KEY)
_PRUNE = sa.delete(operation).where(operation.c.created_at < sa.bindparam("before"))


class Kept(NamedTuple):
    """What is known of a change: `mine` to run, or its answer, or (`UNDER_WAY`) that another runs it."""

    mine: bool = False
    status: int = UNDER_WAY
    headers: Mapping[str, str] = {}
    body: bytes | None = None


def key_of(peer: str, name: str, method: str, path: str) -> str:
    """The key of one change: the same name from another peer, or for another path, is another change."""
    return hashlib.sha256("\n".join((peer, name, method, path)).encode()).hexdigest()


def begin(conn: Connection, key: str, claim: str, peer: str, server_id: str) -> Kept:
    """Claim the change, or learn what became of it. Of all claims one at a time is granted."""
    at = now(conn)
    row = {"id": key, "peer_id": peer, "server_id": server_id, "status": UNDER_WAY,
           "headers": {"claim": claim}, "body": None, "created_at": at}
    if insert_new(conn, operation, [row]):
        return Kept(mine=True)
    known = _locked(conn, key)
    if known is None:  # pruned between the two statements: the next repeat claims it
        return Kept()
    under_way = known["status"] == UNDER_WAY
    if at - known["created_at"] > (ABANDONED if under_way else REPLAYED):
        conn.execute(_SET, {"b_id": key, **row})
        return Kept(mine=True)
    if under_way:
        return Kept(mine=known["headers"] == {"claim": claim})  # ours when the transaction runs twice
    return Kept(False, known["status"], known["headers"], known["body"])


def finish(conn: Connection, key: str, claim: str, status: int, headers: Mapping[str, str],
           body: bytes | None) -> None:
    """Keep the answer, unless somebody else has claimed the change since."""
    if _held(conn, key, claim):
        conn.execute(_SET, {"b_id": key, "status": status, "headers": dict(headers), "body": body})


def discard(conn: Connection, key: str, claim: str) -> None:
    """Nothing came of it that a repeat should be told: that one runs it anew."""
    if _held(conn, key, claim):
        conn.execute(_DELETE, {"b_id": key})


def _locked(conn: Connection, key: str) -> Mapping[str, Any] | None:
    found = conn.execute(_LOCK, {"b_id": key}).mappings().first()
    return None if found is None else dict(found)


def _held(conn: Connection, key: str, claim: str) -> bool:
    row = _locked(conn, key)
    return row is not None and row["status"] == UNDER_WAY and row["headers"] == {"claim": claim}


def prune(conn: Connection, before: float) -> int:
    """Forget what was asked before that time."""
    found: Any = conn.execute(_PRUNE, {"before": before})
    return int(found.rowcount)
