"""Reading what users did to a server: the rows that `action_log` writes."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.tables import instance_action as table
from zones.errors import Invalid


class ActionQuery(NamedTuple):
    """Which actions: changed between these times (seconds), behind the action of `marker`."""

    changed_since: float | None = None
    changed_before: float | None = None
    limit: int | None = None
    marker: str | None = None
    """A request id."""


def of_server(conn: Connection, server_id: str, query: ActionQuery) -> list[dict[str, Any]]:
    """The actions on a server, newest first. Raises `Invalid` for a marker that is none of them."""
    statement = sa.select(table).where(table.c.server_id == server_id).order_by(table.c.id.desc())
    if query.changed_since is not None:
        statement = statement.where(table.c.updated_at >= query.changed_since)
    if query.changed_before is not None:
        statement = statement.where(table.c.updated_at <= query.changed_before)
    if query.marker is not None:
        last = by_request(conn, server_id, query.marker)
        if last is None:
            raise Invalid(f"marker [{query.marker}] not found", code="bad_marker")
        statement = statement.where(table.c.id < last["id"])
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return [dict(row) for row in conn.execute(statement).mappings()]


def by_request(conn: Connection, server_id: str, request_id: str) -> dict[str, Any] | None:
    """What this request did to the server, if anything."""
    row = conn.execute(sa.select(table).where(
        table.c.server_id == server_id, table.c.request_id == request_id)
        .order_by(table.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else dict(row)
