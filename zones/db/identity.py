"""Rows of the embedded identity: users, projects, roles, assignments, credentials, revocations."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db import tables
from zones.db.engine import Database, insert_new, now
from zones.errors import Conflict, NotFound

Row = dict[str, Any]

_TABLES = {"user": tables.user, "project": tables.project, "role": tables.role,
           "app_credential": tables.app_credential}
_CALLED = {"app_credential": "application credential"}
_assigned = tables.role_assignment
_HANGS_ON: dict[str, tuple[sa.ColumnElement[str], ...]] = {
    "user": (_assigned.c.user_id, tables.app_credential.c.user_id),
    "project": (_assigned.c.project_id, tables.app_credential.c.project_id),
    "role": (_assigned.c.role_id,),
    "app_credential": (),
}
_ASSIGNMENTS = (
    sa.select(_assigned, tables.user.c.name.label("user_name"),
              tables.project.c.name.label("project_name"), tables.role.c.name.label("role_name"))
    .join(tables.user, tables.user.c.id == _assigned.c.user_id)
    .join(tables.project, tables.project.c.id == _assigned.c.project_id)
    .join(tables.role, tables.role.c.id == _assigned.c.role_id)
    .order_by(tables.user.c.name, tables.project.c.name, tables.role.c.name))
_LIVE_KEYS = sa.select(tables.revoked_token.c.audit_id).where(
    tables.revoked_token.c.expires_at > sa.bindparam("now"))
_LIVE_FROM = sa.select(tables.user.c.id, tables.user.c.tokens_from).where(
    tables.user.c.tokens_from > sa.bindparam("since"))


class IdentityStore:
    """`zones.identity.store.Store` on a database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rows(self, noun: str, where: Row) -> list[Row]:
        """The rows in which each column of `where` has that value, by name."""
        return self._db.run(_rows, noun, where)

    def add(self, noun: str, row: Row) -> Row:
        """Insert a row. Raises `Conflict` when its id or name is taken."""
        return self._db.run(_add, noun, row)

    def change(self, noun: str, row_id: str, values: Row) -> Row:
        """Update a row and return it. Raises `NotFound`, and `Conflict` when a name is taken."""
        return self._db.run(_change, noun, row_id, values)

    def remove(self, noun: str, row_id: str) -> None:
        """Delete a row and everything that hangs on it. Raises `NotFound`."""
        self._db.run(_remove, noun, row_id)

    def assignments(self, where: Row) -> list[Row]:
        """Role assignments with the names of user, project and role."""
        return self._db.run(_assignments, where)

    def grant(self, user_id: str, project_id: str, role_id: str) -> None:
        """Give a user a role on a project. Harmless when repeated."""
        row = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
        self._db.run(insert_new, _assigned, [row])

    def withdraw(self, user_id: str, project_id: str, role_id: str) -> None:
        """Take the role again. Raises `NotFound` when it was not given."""
        self._db.run(_withdraw, user_id, project_id, role_id)

    def expel(self, user_ids: list[str]) -> None:
        """End every token that these users have now."""
        if user_ids:
            self._db.run(_expel, user_ids)

    def revoke(self, key: str, expires_at: float) -> None:
        """Remember until `expires_at` that tokens named by `key` are void."""
        self._db.run(insert_new, tables.revoked_token, [{"audit_id": key, "expires_at": expires_at}])

    def revocations(self, since: float) -> tuple[set[str], dict[str, int]]:
        """Every live revocation key, and `tokens_from` of the users that have one after `since`."""
        return self._db.run(_revocations, since)

    def prune(self) -> int:
        """Forget revocations whose tokens have expired anyway; their number."""
        return self._db.run(_prune)


def _rows(conn: Connection, noun: str, where: Row) -> list[Row]:
    table = _TABLES[noun]
    query = sa.select(table).where(*(table.c[key] == value for key, value in where.items()))
    query = query.order_by(table.c.name, table.c.id)
    return [dict(row) for row in conn.execute(query).mappings()]


def _add(conn: Connection, noun: str, row: Row) -> Row:
    if noun == "app_credential":
        _lock_name(conn, row)
    if not insert_new(conn, _TABLES[noun], [row]) and not _rows(conn, noun, {"id": row["id"]}):
        raise _taken(noun, row["name"])  # with its id there it is this very row, sent again
    return row


def _lock_name(conn: Connection, row: Row) -> None:
    """A user's credentials have names of their own: look for the name while the user is locked."""
    conn.execute(sa.select(tables.user.c.id).where(tables.user.c.id == row["user_id"]).with_for_update())
    same = _rows(conn, "app_credential", {"user_id": row["user_id"], "name": row["name"]})
    if any(other["id"] != row["id"] for other in same):
        raise _taken("app_credential", row["name"])


def _change(conn: Connection, noun: str, row_id: str, values: Row) -> Row:
    table = _TABLES[noun]
    if "name" in values and any(row["id"] != row_id for row in _rows(conn, noun, {"name": values["name"]})):
        raise _taken(noun, values["name"])
    try:
        done = conn.execute(sa.update(table).where(table.c.id == row_id).values(values)).rowcount
    except sa.exc.IntegrityError as error:  # taken between the look and the update
        raise _taken(noun, str(values.get("name"))) from error
    if not done:
        raise _missing(noun, row_id)
    return _rows(conn, noun, {"id": row_id})[0]


def _remove(conn: Connection, noun: str, row_id: str) -> None:
    table = _TABLES[noun]
    for column in _HANGS_ON[noun]:
        conn.execute(sa.delete(column.table).where(column == row_id))
    if not conn.execute(sa.delete(table).where(table.c.id == row_id)).rowcount:
        raise _missing(noun, row_id)


def _assignments(conn: Connection, where: Row) -> list[Row]:
    query = _ASSIGNMENTS.where(*(_assigned.c[key] == value for key, value in where.items()))
    return [dict(row) for row in conn.execute(query).mappings()]


def _withdraw(conn: Connection, user_id: str, project_id: str, role_id: str) -> None:
    done = conn.execute(sa.delete(_assigned).where(
        _assigned.c.user_id == user_id, _assigned.c.project_id == project_id,
        _assigned.c.role_id == role_id)).rowcount
    if not done:
        raise NotFound("Could not find role assignment.", code="no_such_assignment")


def _expel(conn: Connection, user_ids: list[str]) -> None:
    after, column = int(now(conn)) + 1, tables.user.c.tokens_from
    # Twice within a second: what was issued in between counts as of that next second, so go one on.
    later = sa.case((column < after, after), else_=column + 1)
    conn.execute(sa.update(tables.user).where(tables.user.c.id.in_(user_ids)).values(tokens_from=later))


def _revocations(conn: Connection, since: float) -> tuple[set[str], dict[str, int]]:
    keys = set(conn.execute(_LIVE_KEYS, {"now": now(conn)}).scalars())
    return keys, {row.id: row.tokens_from for row in conn.execute(_LIVE_FROM, {"since": int(since)})}


def _prune(conn: Connection) -> int:
    return conn.execute(sa.delete(tables.revoked_token).where(
        tables.revoked_token.c.expires_at <= now(conn))).rowcount


def _taken(noun: str, name: str) -> Conflict:
    return Conflict(f"Conflict occurred attempting to store {_CALLED.get(noun, noun)}: "
                    f"there is one called {name!r}.", code=f"{noun}_exists")


def _missing(noun: str, row_id: str) -> NotFound:
    return NotFound(f"Could not find {_CALLED.get(noun, noun)}: {row_id[:64]}.", code=f"no_such_{noun}")
