"""Key pairs: each belongs to a user and has a name there. The private half is never stored."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.config import Quota
from zones.db.engine import insert_new
from zones.db.quotas import count_keypairs, effective_limits, hold
from zones.db.tables import keypair
from zones.errors import Conflict, Invalid, NotFound, OverQuota
from zones.protocol import Caller, KeyValue

Row = dict[str, Any]

_ONE = sa.select(keypair).where(keypair.c.user_id == sa.bindparam("user"),
                                keypair.c.name == sa.bindparam("name"))


def create_keypair(conn: Connection, row: Row, project_id: str, defaults: Quota) -> Row:
    """Add a key pair. Raises `Conflict` for a used name, `OverQuota` when the user has too many."""
    hold(conn, f"keypairs of {row['user_id']}")
    there = conn.execute(_ONE, {"user": row["user_id"], "name": row["name"]}).mappings().first()
    if there is not None and there["created_at"] == row["created_at"]:  # this very call, run before
        return dict(there)
    if there is not None:
        raise Conflict(f"Key pair '{row['name']}' already exists.", code="keypair_exists")
    most = effective_limits(conn, project_id, defaults).key_pairs
    if 0 <= most <= count_keypairs(conn, row["user_id"]):
        raise OverQuota("Quota exceeded, too many key pairs.", over=["key_pairs"])
    insert_new(conn, keypair, [row])
    return get_keypair(conn, row["user_id"], row["name"])


def get_keypair(conn: Connection, user_id: str, name: str) -> Row:
    """One key pair of a user. Raises `NotFound`."""
    row = conn.execute(_ONE, {"user": user_id, "name": name}).mappings().first()
    if row is None:
        raise NotFound(f"Keypair {name} not found for user {user_id}", code="no_keypair")
    return dict(row)


def value(conn: Connection, caller: Caller, name: str) -> KeyValue:
    """The caller's key by value, for a server. Raises `Invalid` in Nova's words when there is none."""
    row = conn.execute(_ONE, {"user": caller.user_id, "name": name}).mappings().first()
    if row is None:
        raise Invalid("Invalid key_name provided.", code="no_keypair")
    return KeyValue(name=row["name"], public_key=row["public_key"], type=row["type"])


def list_keypairs(conn: Connection, user_id: str, limit: int | None, marker: str | None) -> list[Row]:
    """One page of a user's key pairs by name. Raises `Invalid` for a marker that there is not."""
    statement = sa.select(keypair).where(keypair.c.user_id == user_id)
    if marker is not None:
        if conn.execute(_ONE, {"user": user_id, "name": marker}).first() is None:
            raise Invalid(f"Marker {marker} could not be found.", code="bad_marker")
        statement = statement.where(keypair.c.name > marker)
    rows = conn.execute(statement.order_by(keypair.c.name).limit(limit))
    return [dict(row) for row in rows.mappings()]


def delete_keypair(conn: Connection, user_id: str, name: str) -> None:
    """Remove a key pair; servers keep theirs by value. Raises `NotFound`."""
    get_keypair(conn, user_id, name)
    conn.execute(sa.delete(keypair).where(keypair.c.user_id == user_id, keypair.c.name == name))
