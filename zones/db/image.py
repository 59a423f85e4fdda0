"""Rows of the embedded image service: images and their members."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import Database, insert_new
from zones.db.tables import image, image_member

Row = dict[str, Any]
_GONE = "deleted"
_IMAGE = sa.select(image).where(image.c.id == sa.bindparam("image_id"), image.c.status != _GONE)
_SAVING = sa.select(image.c.id).where(image.c.status == "saving")
_MATCH = sa.select(image.c.id).where(
    image.c.os_hash_value == sa.bindparam("os_hash_value"), image.c.size == sa.bindparam("size"),
    image.c.status == "active", image.c.zone_uuid.is_(None),
    sa.or_(image.c.visibility == "public", image.c.owner == sa.bindparam("project_id"))
).order_by(image.c.created_at, image.c.id).limit(1)
_FORGOTTEN = sa.select(image).where(image.c.status == _GONE, image.c.zone_uuid.is_not(None)).order_by(
    image.c.updated_at).limit(sa.bindparam("limit", type_=sa.Integer))
_MEMBER = sa.select(image_member).where(
    image_member.c.image_id == sa.bindparam("image_id"), image_member.c.member == sa.bindparam("member"))
_MEMBERS = sa.select(image_member).where(
    image_member.c.image_id == sa.bindparam("image_id")).order_by(image_member.c.member)
_OPERATORS: dict[str, Any] = {
    "gt": sa.ColumnElement.__gt__, "gte": sa.ColumnElement.__ge__, "lt": sa.ColumnElement.__lt__,
    "lte": sa.ColumnElement.__le__, "eq": sa.ColumnElement.__eq__, "neq": sa.ColumnElement.__ne__,
}


@dataclass(frozen=True)
class ImageQuery:
    """Which images, in which order. `project` None sees all (an admin); `visibility` "" is the default view.

    `equal` are columns with one of the values, `within` bounds (column, operator, number or seconds),
    operator `gt gte lt lte eq neq`; `properties` and `tags` must all be there.
    """

    project: str | None
    visibility: str = ""
    member_status: str = "accepted"
    equal: dict[str, list[Any]] = field(default_factory=dict)
    within: list[tuple[str, str, float]] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    """(column, ascending); the id is always the last."""
    marker: Row | None = None
    limit: int = 25


class ImageRows:
    """`zones.image.store.ImageStore` on a database, and the queries of the Image API."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, image_id: str) -> Row | None:
        """One image."""
        return self._db.run(_first, _IMAGE, {"image_id": image_id})

    def find(self, query: ImageQuery) -> list[Row]:
        """Images, one page."""
        return self._db.run(_find, query)

    def add(self, row: Row) -> bool:
        """Insert; False when there is, or was, one with that id."""
        return self._db.run(insert_new, image, [row]) == 1

    def change(self, image_id: str, values: Row, was: tuple[str, ...]) -> bool:
        """Update if the status is one of `was`; whether it was."""
        return self._db.run(_change, image_id, values, was)

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        """An active image with this content that is public or that project's own, and is here."""
        found = self._db.run(_first, _MATCH, {"project_id": project_id, "os_hash_value": os_hash_value,
                                              "size": size})
        return None if found is None else str(found["id"])

    def forgotten(self, limit: int) -> list[Row]:
        """Deleted images whose content a neighbour may still have."""
        return self._db.run(_all, _FORGOTTEN, {"limit": limit})

    def forget(self, image_id: str) -> None:
        """That neighbour has deleted it."""
        self._db.run(_forget, image_id)

    def saving(self) -> list[str]:
        """The ids of the images that are being uploaded, or were when a process died."""
        return self._db.run(_saving)

    def member(self, image_id: str, project_id: str) -> Row | None:
        """A member row."""
        return self._db.run(_first, _MEMBER, {"image_id": image_id, "member": project_id})

    def members(self, image_id: str) -> list[Row]:
        """The member rows of an image."""
        return self._db.run(_members, image_id)

    def add_member(self, row: Row) -> bool:
        """Insert a member row; False when it is there."""
        return self._db.run(insert_new, image_member, [row]) == 1

    def change_member(self, image_id: str, project_id: str, status: str, at: float) -> bool:
        """Set a member's status; False when there is no such member."""
        return self._db.run(_change_member, image_id, project_id, {"status": status, "updated_at": at})

    def remove_member(self, image_id: str, project_id: str) -> bool:
        """Delete a member row; False when there is none."""
        return self._db.run(_remove_member, image_id, project_id)


def gone(before: float) -> sa.ColumnElement[bool]:
    """Images that were deleted before that time, and whose content no neighbour is still to delete."""
    return sa.and_(image.c.status == _GONE, image.c.updated_at < before, image.c.zone_uuid.is_(None))


def prune(conn: Connection, before: float) -> int:
    """Forget those; their number. `feed.prune` comes before, in the same transaction."""
    return conn.execute(sa.delete(image).where(gone(before))).rowcount


def _first(conn: Connection, statement: sa.Select[Any], values: Row) -> Row | None:
    row = conn.execute(statement, values).mappings().first()
    return None if row is None else dict(row)


def _all(conn: Connection, statement: sa.Select[Any], values: Row) -> list[Row]:
    return [dict(row) for row in conn.execute(statement, values).mappings()]


def _forget(conn: Connection, image_id: str) -> None:
    conn.execute(sa.update(image).where(image.c.id == image_id, image.c.status == _GONE)
                 .values(zone_uuid=None))


def _members(conn: Connection, image_id: str) -> list[Row]:
    return [dict(row) for row in conn.execute(_MEMBERS, {"image_id": image_id}).mappings()]


def _saving(conn: Connection) -> list[str]:
    return list(conn.execute(_SAVING).scalars())


def _change(conn: Connection, image_id: str, values: Row, was: tuple[str, ...]) -> bool:
    done = conn.execute(
        sa.update(image).where(image.c.id == image_id, image.c.status.in_(was))
        .values(**values, version=image.c.version + 1, feed_seq=None)).rowcount
    if done and values.get("status") == _GONE:
        conn.execute(sa.delete(image_member).where(image_member.c.image_id == image_id))
    return done == 1


def _change_member(conn: Connection, image_id: str, member: str, values: Row) -> bool:
    return conn.execute(sa.update(image_member).where(
        image_member.c.image_id == image_id, image_member.c.member == member).values(values)).rowcount == 1


def _remove_member(conn: Connection, image_id: str, member: str) -> bool:
    return conn.execute(sa.delete(image_member).where(
        image_member.c.image_id == image_id, image_member.c.member == member)).rowcount == 1


def _find(conn: Connection, query: ImageQuery) -> list[Row]:
    statement = sa.select(image).where(image.c.status != _GONE, _visible(query))
    for column, values in query.equal.items():
        statement = statement.where(image.c[column].in_(values))
    for column, operator, bound in query.within:
        statement = statement.where(_OPERATORS[operator](image.c[column], bound))
    for name, value in query.properties.items():
        statement = statement.where(_holds(image.c.properties, "{", _pair(name, value)))
    for tag in query.tags:
        statement = statement.where(_holds(image.c.tags, "[", orjson.dumps(tag).decode()))
    order = [*query.sort, ("id", True)]
    if query.marker is not None:
        statement = statement.where(_after(query.marker, order))
    statement = statement.order_by(*(
        _plain(column) if up else _plain(column).desc() for column, up in order)).limit(query.limit)
    return [dict(row) for row in conn.execute(statement).mappings()]


def _visible(query: ImageQuery) -> sa.ColumnElement[bool]:
    shown, everyone = image.c.visibility, query.project is None
    own = sa.true() if everyone else image.c.owner == query.project
    accepted = sa.select(image_member.c.image_id).where(image_member.c.member == query.project)
    if query.member_status != "all":
        accepted = accepted.where(image_member.c.status == query.member_status)
    shared = sa.and_(shown == "shared", sa.or_(own, image.c.id.in_(accepted)))
    if query.visibility in ("public", "community"):
        return shown == query.visibility
    if query.visibility == "shared":
        return shared
    if query.visibility == "private":
        return sa.and_(shown == "private", own)
    mine = shown != "community" if everyone and not query.visibility else own
    seen = sa.or_(shown == "public", mine, shared)
    return sa.or_(seen, shown == "community") if query.visibility == "all" else seen


def _pair(name: str, value: str) -> str:
    return orjson.dumps({name: value}).decode()[1:-1]


def _holds(column: sa.ColumnElement[Any], opening: str, needle: str) -> sa.ColumnElement[bool]:
    """Whether a JSON text has this element. Quotes within JSON strings are escaped, so that an
    element that begins after `{`, `[` or a comma can't be part of a string. REPLACE, because it
    tells upper from lower case on every database, unlike LIKE."""
    text = sa.cast(column, sa.Text)
    return sa.or_(*(sa.func.replace(text, before + needle, "") != text for before in (opening, ",")))


def _plain(name: str) -> sa.ColumnElement[Any]:
    """A column to sort by, without NULLs, which databases sort differently."""
    column = image.c[name]
    if isinstance(column.type, sa.String):
        return sa.func.coalesce(column, "")
    return sa.func.coalesce(column, -1)


def _after(marker: Row, order: list[tuple[str, bool]]) -> sa.ColumnElement[bool]:
    """Behind the marker: greater in the first column that differs."""
    choices, equal = [], list[sa.ColumnElement[bool]]()
    for name, up in order:
        column, here = _plain(name), marker[name]
        if here is None:
            here = "" if isinstance(image.c[name].type, sa.String) else -1
        choices.append(sa.and_(*equal, column > here if up else column < here))
        equal.append(column == here)
    return sa.or_(*choices)
