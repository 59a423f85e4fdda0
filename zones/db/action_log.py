"""What users did to a server, as os-instance-actions shows it: written with the change itself."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.tables import instance_action, server


def begin(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Each row has server_id, action, request_id, user_id, project_id, start_time, and op if any."""
    conn.execute(sa.insert(instance_action), [
        {"op": None, "host": None, "message": None, "result": None, "finish_time": None,
         "details": None, "updated_at": row["start_time"], **row} for row in rows])


def end(conn: Connection, at: float, *, op: str | None = None, server_id: str | None = None,
        action: str | None = None, result: str = "Success", message: str | None = None,
        host: str | None = None, details: Any = None) -> None:
    """End the action of this `op`, or the unfinished `action` of this server."""
    which = (instance_action.c.op == op if op is not None else sa.and_(
        instance_action.c.server_id == server_id, instance_action.c.action == action,
        instance_action.c.finish_time.is_(None)))
    conn.execute(sa.update(instance_action).where(which).values(
        finish_time=at, updated_at=at, result=result, message=message, host=host, details=details))


def prune(conn: Connection, before: float) -> int:
    """Forget the actions of servers that were deleted before that time."""
    gone = sa.select(server.c.id).where(server.c.deleted.is_(True), server.c.terminated_at < before)
    return int(conn.execute(sa.delete(instance_action)
                            .where(instance_action.c.server_id.in_(gone))).rowcount)
