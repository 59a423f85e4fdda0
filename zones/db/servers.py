"""Reading servers: one by id, or a page of a filtered and sorted list, within a caller's scope.

A `ServerRow` keeps JSON columns as the text that is stored, so that a list of a thousand servers is
rendered without decoding and encoding what only passes through.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.engine import Connection

from zones import states
from zones.db.regexp import check
from zones.db.tables import server
from zones.errors import Invalid


class Scope(NamedTuple):
    """Whose servers: of one owner's project, of all its projects, or (both None) of everybody; with
    `peer` only those that it booted."""

    owner_peer: str | None
    project_id: str | None
    peer: str = ""


class ServerRow(NamedTuple):
    """A server as it is read. `metadata`, `tags`, `addresses`, `flavor`, `fault`,
    `host_path` and `security_groups` are JSON text or None; times are seconds since the epoch."""

    id: str
    owner_peer: str
    project_id: str
    user_id: str
    name: str
    hostname: str | None
    description: str | None
    flavor: str
    image_id: str | None
    vm_state: str
    task_state: str | None
    power_state: int
    host: str | None
    zone_uuid: str | None
    availability_zone: str | None
    locked: bool
    locked_reason: str | None
    key_name: str | None
    metadata: str | None
    tags: str | None
    addresses: str | None
    fault: str | None
    user_data: str | None
    config_drive: bool
    access_ip_v4: str | None
    access_ip_v6: str | None
    reservation_id: str | None
    launch_index: int
    progress: int
    group_id: str | None
    created_at: float
    updated_at: float | None
    launched_at: float | None
    terminated_at: float | None
    deleted: bool
    peer_id: str
    host_path: str | None
    security_groups: str | None


@dataclass(frozen=True)
class ServerQuery:
    """What to list. Every filter that is given must hold.

    `equal`: column → any of these values; `matching`: column → regular expression (RE2 syntax);
    `between`: column → (least, below); `statuses`: (vm_state, task_state) pairs, task None for any
    that shows no status of its own; `addresses`: expressions, each of which some address
    must match; `sort`: (column, descending). `deleted` None is both. `marker` is the id of the last
    server of the page before.
    """

    equal: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    matching: Mapping[str, str] = field(default_factory=dict)
    between: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    statuses: Sequence[tuple[str, str | None]] | None = None
    addresses: Sequence[str] = ()
    tags: Sequence[str] = ()
    tags_any: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    not_tags_any: Sequence[str] = ()
    changed_since: float | None = None
    changed_before: float | None = None
    deleted: bool | None = False
    sort: Sequence[tuple[str, bool]] = (("created_at", True), ("id", True))
    limit: int = 1000
    marker: str | None = None


_NEVER_NULL = frozenset({"id", "created_at", "config_drive", "locked", "launch_index", "power_state",
                         "progress"})
_TEXT = sa.Text()
_CHUNK = 200
_PLAIN = re.compile(r"(\^?)([A-Za-z0-9_ -]+)(\$?)")


def _column(name: str, dialect: str) -> sa.ColumnElement[Any]:
    if name == "security_groups":
        if dialect == "sqlite":
            return sa.func.json_extract(sa.cast(server.c.spec, sa.Text),
                                        "$.security_groups").label(name)
        spec = sa.cast(sa.func.convert_from(server.c.spec, "UTF8"), JSONB)
        return sa.cast(sa.func.jsonb_extract_path(spec, name), sa.Text).label(name)
    column = server.c[name]
    return sa.type_coerce(column, _TEXT).label(name) if name in (
        "metadata", "tags", "addresses", "flavor", "fault", "host_path") else column


_COLUMNS = {dialect: [_column(name, dialect) for name in ServerRow._fields]
            for dialect in ("sqlite", "postgresql")}
_ONE = {dialect: sa.select(*columns).where(server.c.id == sa.bindparam("b_id"),
                                           server.c.hidden.is_(False))
        for dialect, columns in _COLUMNS.items()}


def get(conn: Connection, scope: Scope, server_id: str, *, deleted: bool = False) -> ServerRow | None:
    """The server with this id that the scope may see; a deleted one only when asked for."""
    row = conn.execute(_ONE[conn.dialect.name], {"b_id": server_id}).first()
    if row is None:
        return None
    found = ServerRow._make(row)
    visible = (scope.owner_peer in (None, found.owner_peer) and scope.peer in ("", found.peer_id)
               and scope.project_id in (None, found.project_id) and (deleted or not found.deleted))
    return found if visible else None


def page(conn: Connection, scope: Scope, query: ServerQuery) -> list[ServerRow]:
    """One page of whole servers. Raises `Invalid` for an unknown marker or a bad expression."""
    return [ServerRow._make(row) for row in _rows(conn, _COLUMNS[conn.dialect.name], scope, query)]


def names(conn: Connection, scope: Scope, query: ServerQuery) -> list[tuple[str, str]]:
    """One page of (id, name), else as `page`."""
    return [(row.id, row.name) for row in _rows(conn, [server.c.id, server.c.name], scope, query)]


def _rows(conn: Connection, columns: list[sa.ColumnElement[Any]], scope: Scope,
          query: ServerQuery) -> Sequence[Any]:
    dialect = conn.dialect.name
    where = [*_scoped(scope), *_conditions(query), *_json_conditions(query, dialect)]
    where += [_matches(server.c[name], check(pattern), dialect) for name, pattern in query.matching.items()]
    if query.marker is not None:
        where.append(_after(conn, scope, query))
    order = [column.desc() if descending else column.asc()
             for column, descending in _order(query)]
    statement = sa.select(*columns).where(*where).order_by(*order).limit(query.limit)
    try:
        return _fetched(conn.execute(statement))
    except exc.DataError as error:
        raise Invalid("a filter is not a value that can be searched for", code="bad_filter") from error


def _fetched(result: sa.CursorResult[Any]) -> list[Any]:
    """All rows; others may run in between, for a thousand servers take several milliseconds."""
    found: list[Any] = []
    while some := result.fetchmany(_CHUNK):
        found += some
        time.sleep(0)
    return found


def _scoped(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [server.c.hidden.is_(False)]
    if scope.owner_peer is not None:
        where.append(server.c.owner_peer == scope.owner_peer)
    if scope.project_id is not None:
        where.append(server.c.project_id == scope.project_id)
    if scope.peer:
        where.append(server.c.peer_id == scope.peer)
    return where


def _conditions(query: ServerQuery) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    for name, values in query.equal.items():
        column = server.c[name]
        where.append(column == values[0] if len(values) == 1 else column.in_(list(values)))
    for name, (least, below) in query.between.items():
        where += [server.c[name] >= least, server.c[name] < below]
    if query.statuses is not None:
        where.append(sa.or_(sa.false(), *(_status(vm, task) for vm, task in query.statuses)))
    if query.deleted is not None:
        where.append(server.c.deleted.is_(query.deleted))
    if query.changed_since is not None:
        where.append(server.c.updated_at >= query.changed_since)
    if query.changed_before is not None:
        where.append(server.c.updated_at <= query.changed_before)
    return where


def _matches(column: sa.ColumnElement[Any], pattern: str, dialect: str) -> sa.ColumnElement[bool]:
    """The expression is found in the column; a plain name, what clients send, needs no expression."""
    plain = _PLAIN.fullmatch(pattern)
    if plain is None:
        return column.regexp_match(pattern)
    starts, text, ends = plain.groups()
    if starts and ends:
        return column == text
    position = (sa.func.instr if dialect == "sqlite" else sa.func.strpos)(column, text)
    if starts:
        return position == 1
    return position > 0 if not ends else column.regexp_match(pattern)


def _status(vm_state: str, task_state: str | None) -> sa.ColumnElement[bool]:
    vm = server.c.vm_state == vm_state
    if task_state is not None:
        return sa.and_(vm, server.c.task_state == task_state)
    apart = states.tasks_shown_apart(vm_state)
    if not apart:
        return vm
    return sa.and_(vm, sa.or_(server.c.task_state.is_(None), server.c.task_state.not_in(apart)))


def _json_conditions(query: ServerQuery, dialect: str) -> list[sa.ColumnElement[bool]]:
    where = [_has_address(check(pattern), dialect) for pattern in query.addresses]
    where += [_has_tag(tag, dialect) for tag in query.tags]
    if query.tags_any:
        where.append(sa.or_(*(_has_tag(tag, dialect) for tag in query.tags_any)))
    if query.not_tags:
        where.append(sa.not_(sa.and_(*(_has_tag(tag, dialect) for tag in query.not_tags))))
    where += [sa.not_(_has_tag(tag, dialect)) for tag in query.not_tags_any]
    return where


def _text(name: str, empty: str) -> sa.ColumnElement[str]:
    return sa.func.coalesce(sa.type_coerce(server.c[name], _TEXT), empty)


def _has_tag(tag: str, dialect: str) -> sa.ColumnElement[bool]:
    if dialect == "sqlite":
        each = sa.func.json_each(_text("tags", "[]")).table_valued("value")
        return sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.value == tag))
    held: sa.ColumnElement[bool] = sa.cast(_text("tags", "[]"), JSONB).has_key(tag)
    return held


def _has_address(pattern: str, dialect: str) -> sa.ColumnElement[bool]:
    if dialect == "sqlite":
        tree = sa.func.json_tree(_text("addresses", "{}")).table_valued("key", "value")
        return sa.exists(sa.select(sa.literal(1)).select_from(tree).where(
            tree.c.key == "addr", sa.cast(tree.c.value, sa.Text).regexp_match(pattern)))
    each = sa.func.jsonb_path_query(sa.cast(_text("addresses", "{}"), JSONB),
                                    sa.cast("$.*[*].addr", JSONPATH)).column_valued("address")
    address = sa.type_coerce(each.op("#>>")(sa.literal_column("'{}'")), sa.Text)
    return sa.exists(sa.select(sa.literal(1)).where(address.regexp_match(pattern)))


def _order(query: ServerQuery) -> list[tuple[sa.ColumnElement[Any], bool]]:
    return [(_comparable(name), descending) for name, descending in query.sort]


def _comparable(name: str) -> sa.ColumnElement[Any]:
    column: sa.ColumnElement[Any] = server.c[name]
    if isinstance(column.type, sa.Boolean):
        column = sa.cast(column, sa.Integer)  # PostgreSQL compares booleans, SQLAlchemy does not
    if name in _NEVER_NULL:
        return column
    return sa.func.coalesce(column, "" if isinstance(column.type, sa.String) else 0)


def _after(conn: Connection, scope: Scope, query: ServerQuery) -> sa.ColumnElement[bool]:
    """The condition for what stands behind the marker in this order."""
    order = _order(query)
    last = conn.execute(sa.select(*(column for column, _ in order)).where(
        *_scoped(scope), server.c.id == query.marker)).first()
    if last is None:
        raise Invalid(f"marker [{query.marker}] not found", code="bad_marker")
    columns = [column for column, _ in order]
    if len({descending for _, descending in order}) == 1:
        ours, theirs = sa.tuple_(*columns), sa.tuple_(*(
            sa.literal(value, column.type) for value, column in zip(last, columns, strict=True)))
        return ours < theirs if order[0][1] else ours > theirs
    behind: list[sa.ColumnElement[bool]] = []
    for index, (column, descending) in enumerate(order):
        same = [columns[earlier] == last[earlier] for earlier in range(index)]
        behind.append(sa.and_(*same, column < last[index] if descending else column > last[index]))
    return sa.or_(*behind)
