"""Links to neighbours: their rows, what polling found, and how many servers stand behind each."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_new
from zones.db.tables import attempt, link, server, zone
from zones.errors import Conflict
from zones.states import ACCEPTED, OPEN

Row = dict[str, Any]

_COLUMNS = [column for column in link.columns if column.name != "summary"]
_ROWS = sa.select(*_COLUMNS).order_by(link.c.id)
_ROW = sa.select(*_COLUMNS).where(link.c.id == sa.bindparam("id"))
_OF_ZONE = sa.select(*_COLUMNS).where(link.c.zone_uuid == sa.bindparam("zone_uuid"))
_OF_NAME = sa.select(*_COLUMNS).where(link.c.name == sa.bindparam("name"))
_SUMMARIES = sa.select(link.c.id, link.c.summary, link.c.summary_at).where(
    link.c.id.in_(sa.bindparam("ids", expanding=True)))
_OWN = sa.select(zone.c.uuid)
_BEHIND = sa.union(
    sa.select(server.c.zone_uuid.label("at"), server.c.id.label("server")).where(
        server.c.zone_uuid.is_not(None), server.c.deleted.is_(False)),
    sa.select(attempt.c.target, attempt.c.server_id).where(
        attempt.c.kind == "link", attempt.c.state.in_((OPEN, ACCEPTED)))).subquery()
_COUNTS = sa.select(_BEHIND.c.at, sa.func.count().label("servers")).group_by(_BEHIND.c.at)
_COUNT = sa.select(sa.func.count()).select_from(_BEHIND).where(_BEHIND.c.at == sa.bindparam("zone_uuid"))


def rows(conn: Connection) -> list[Row]:
    """Every link without its summary, oldest first."""
    return [dict(found) for found in conn.execute(_ROWS).mappings()]


def row(conn: Connection, link_id: int) -> Row | None:
    """One link without its summary."""
    return _first(conn, _ROW, id=link_id)


def of_zone(conn: Connection, zone_uuid: str) -> Row | None:
    """The link to a zone, without its summary."""
    return _first(conn, _OF_ZONE, zone_uuid=zone_uuid)


def of_name(conn: Connection, name: str) -> Row | None:
    """The link of that name, without its summary."""
    return _first(conn, _OF_NAME, name=name)


def _first(conn: Connection, query: Any, **values: Any) -> Row | None:
    found = conn.execute(query, values).mappings().first()
    return None if found is None else dict(found)


def add(conn: Connection, values: Row) -> int:
    """Insert a link; its id. `created_at` tells this very call, run again, from another one's link.

    Raises `Conflict` when its name or its zone is there already.
    """
    inserted = insert_new(conn, link, [values])
    same = of_name(conn, values["name"])
    if inserted or (same is not None and same["created_at"] == values["created_at"]
                    and same["zone_uuid"] == values.get("zone_uuid")):
        assert same is not None
        return int(same["id"])
    if same is not None:
        raise name_taken(values["name"])
    raise zone_taken(conn, values["zone_uuid"])


def change(conn: Connection, link_id: int, at: float, **values: Any) -> bool:
    """Change what the operator says of a link: its version grows. False when there is none.

    Raises `Conflict` when the new name is another link's.
    """
    if "name" in values:
        same = of_name(conn, values["name"])
        if same is not None and same["id"] != link_id:
            raise name_taken(values["name"])
    done = conn.execute(sa.update(link).where(link.c.id == link_id).values(
        **values, version=link.c.version + 1, updated_at=at))
    return bool(done.rowcount)


def identify(conn: Connection, link_id: int, zone_uuid: str) -> bool:
    """A link that was stored unchecked learns which zone it leads to.

    False when that is this zone itself, another link's, or not the one that it led to before.
    """
    conn.execute(_OWN.with_for_update())  # two links that find the same zone at once: one is first
    mine = row(conn, link_id)
    if mine is None or conn.execute(_OWN).scalar() == zone_uuid:
        return False
    if mine["zone_uuid"] is not None:
        return bool(mine["zone_uuid"] == zone_uuid)
    if of_zone(conn, zone_uuid) is not None:
        return False
    conn.execute(sa.update(link).where(link.c.id == link_id, link.c.zone_uuid.is_(None)).values(
        zone_uuid=zone_uuid, version=link.c.version + 1))
    return True


def remove(conn: Connection, link_id: int) -> bool:
    """Delete a link; False when there is none."""
    return bool(conn.execute(sa.delete(link).where(link.c.id == link_id)).rowcount)


def summaries(conn: Connection, ids: Collection[int]) -> dict[int, tuple[Any, float | None]]:
    """The summary of each link (None before the first) and when it came, by the database's clock."""
    if not ids:
        return {}
    return {found.id: (found.summary, found.summary_at)
            for found in conn.execute(_SUMMARIES, {"ids": list(ids)})}


def note_poll(conn: Connection, which: str | int, **values: Any) -> None:
    """What polling found. `which`: the zone's UUID, or the link's id while that is not known."""
    mine = link.c.id == which if isinstance(which, int) else link.c.zone_uuid == which
    conn.execute(sa.update(link).where(mine).values(**values))


def set_cursor(conn: Connection, zone_uuid: str, cursor: str) -> None:
    """How far the feed of that zone was heard."""
    conn.execute(sa.update(link).where(link.c.zone_uuid == zone_uuid).values(cursor=cursor))


def count_servers(conn: Connection, zone_uuid: str) -> int:
    """The servers that are there, or may be: those with an attempt that it has not refused."""
    return int(conn.execute(_COUNT, {"zone_uuid": zone_uuid}).scalar_one())


def server_counts(conn: Connection) -> dict[str, int]:
    """`count_servers` of every zone that has any."""
    return {found.at: found.servers for found in conn.execute(_COUNTS)}


def name_taken(name: str) -> Conflict:
    """The error for a link's name that another one has."""
    return Conflict(f"there is a link called {name!r} already", code="link_exists")


def zone_taken(conn: Connection, zone_uuid: str) -> Conflict:
    """The error for a zone that is linked already."""
    there = of_zone(conn, zone_uuid)
    called = f" as {there['name']!r}" if there else ""
    return Conflict(f"zone {zone_uuid} is linked already{called}", code="zone_linked")
