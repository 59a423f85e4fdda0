"""Peer records: the zones that may call this one, the users they log in as, and their projects here.

A peer's project never is the project of anybody else: under `identity=foreign` its id here is made
of the peer's id and the peer's own word for it, so that two parents may both have a project `abc`.
"""

import re
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_new
from zones.db.tables import peer, peer_project, peer_user, server
from zones.errors import Conflict, Invalid

Row = dict[str, Any]

FOREIGN, SHARED = "foreign", "shared"
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_ROWS = sa.select(peer).order_by(peer.c.name)
_OF_USER = sa.select(peer).join(peer_user, peer_user.c.peer_id == peer.c.id).where(
    peer_user.c.user_id == sa.bindparam("user_id"))
_THEIRS = sa.select(peer_project.c.their_id).where(
    peer_project.c.peer_id == sa.bindparam("peer_id"),
    peer_project.c.project_id == sa.bindparam("project_id"))
_BEHIND = sa.select(sa.func.count()).select_from(server).where(
    server.c.peer_id == sa.bindparam("peer_id"), server.c.deleted.is_(False))


def add(conn: Connection, values: Row) -> None:
    """Insert a peer record (`id`, `name`, `identity`, `created_at`). Raises `Conflict` for a used name."""
    if insert_new(conn, peer, [{"enabled": True, **values}]) or row(conn, values["id"]) is not None:
        return
    raise Conflict(f"there is a peer called {values['name']!r} already", code="peer_exists")


def remove(conn: Connection, peer_id: str) -> None:
    """Delete a peer record with its users and projects. Quiet when there is none."""
    for column in (peer_user.c.peer_id, peer_project.c.peer_id, peer.c.id):
        conn.execute(sa.delete(column.table).where(column == peer_id))


def disable(conn: Connection, peer_id: str) -> None:
    """Keep the record for the servers that are its, but let nobody in by it."""
    conn.execute(sa.update(peer).where(peer.c.id == peer_id).values(enabled=False))


def enable(conn: Connection, peer_id: str) -> None:
    """Let it in again."""
    conn.execute(sa.update(peer).where(peer.c.id == peer_id).values(enabled=True))


def rows(conn: Connection) -> list[Row]:
    """Every peer record, by name."""
    return [dict(found) for found in conn.execute(_ROWS).mappings()]


def row(conn: Connection, peer_id: str) -> Row | None:
    """One peer record."""
    found = conn.execute(sa.select(peer).where(peer.c.id == peer_id)).mappings().first()
    return None if found is None else dict(found)


def of_name(conn: Connection, name: str) -> Row | None:
    """The peer record of that name."""
    found = conn.execute(sa.select(peer).where(peer.c.name == name)).mappings().first()
    return None if found is None else dict(found)


def add_user(conn: Connection, peer_id: str, user_id: str) -> None:
    """Let a user of the identity service stand for this peer. Harmless when repeated.

    Raises `Conflict` when it stands for another one.
    """
    if insert_new(conn, peer_user, [{"user_id": user_id, "peer_id": peer_id}]):
        return
    other = conn.execute(_OF_USER, {"user_id": user_id}).mappings().first()
    if other is not None and other["id"] != peer_id:
        raise Conflict(f"user {user_id} stands for the peer {other['name']!r}", code="peer_user_taken")


def drop_user(conn: Connection, user_id: str) -> None:
    """This user stands for no peer any more."""
    conn.execute(sa.delete(peer_user).where(peer_user.c.user_id == user_id))


def users(conn: Connection, peer_id: str) -> list[str]:
    """The ids of the users that stand for this peer."""
    return list(conn.execute(sa.select(peer_user.c.user_id).where(peer_user.c.peer_id == peer_id)
                             .order_by(peer_user.c.user_id)).scalars())


def of_user(conn: Connection, user_id: str) -> Row | None:
    """The peer record, enabled or not, that this user stands for."""
    found = conn.execute(_OF_USER, {"user_id": user_id}).mappings().first()
    return None if found is None else dict(found)


def project_of(conn: Connection, whose: Row, their_id: str) -> str:
    """The id here of a peer's project, remembered when it is new. Raises `Invalid` for what is no id."""
    if not _PROJECT.fullmatch(their_id):
        raise Invalid("a project's id is 1 to 64 letters, digits, '_', '.', ':' and '-'", code="bad_project")
    if whose["identity"] == SHARED:
        if of_project(conn, their_id) is not None:
            raise Invalid(f"project {their_id} is another peer's", code="bad_project")
        return their_id
    here = uuid.uuid5(uuid.UUID(whose["id"]), their_id).hex
    if their_project(conn, whose["id"], here) is None:
        insert_new(conn, peer_project, [{"project_id": here, "peer_id": whose["id"], "their_id": their_id}])
    return here


def their_project(conn: Connection, peer_id: str, project_id: str) -> str | None:
    """A project of ours in the peer's own words; None when it is none of that peer's."""
    found: str | None = conn.execute(_THEIRS, {"peer_id": peer_id, "project_id": project_id}).scalar()
    if found is not None:
        return found
    whose = row(conn, peer_id)
    shares = whose is not None and whose["identity"] == SHARED
    return project_id if shares and of_project(conn, project_id) is None else None


def of_project(conn: Connection, project_id: str) -> str | None:
    """The peer whose project this is; None for our own."""
    found: str | None = conn.execute(sa.select(peer_project.c.peer_id).where(
        peer_project.c.project_id == project_id)).scalar()
    return found


def note_zone(conn: Connection, peer_id: str, zone_uuid: str) -> None:
    """The zone that last called as this peer."""
    conn.execute(sa.update(peer).where(
        peer.c.id == peer_id, peer.c.zone_uuid.is_distinct_from(zone_uuid)).values(zone_uuid=zone_uuid))


def count_servers(conn: Connection, peer_id: str) -> int:
    """The servers that this peer has here."""
    return int(conn.execute(_BEHIND, {"peer_id": peer_id}).scalar_one())
