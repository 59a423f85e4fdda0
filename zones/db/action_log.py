"""What users did to a server, as os-instance-actions shows it: written with the change itself."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.later import Writer
from zones.db.tables import instance_action, server

_INSERT = sa.insert(instance_action)
_ENDED = sa.update(instance_action).values({
    name: sa.bindparam(f"b_{name}", type_=instance_action.c[name].type)
    for name in ("finish_time", "updated_at", "result", "message", "host", "details")})
_END_OP = _ENDED.where(instance_action.c.op == sa.bindparam("b_op"))
_END = _ENDED.where(instance_action.c.server_id == sa.bindparam("b_server"),
                    instance_action.c.action == sa.bindparam("b_action"),
                    instance_action.c.finish_time.is_(None))
_CUT_OFF = sa.update(instance_action).values(
    finish_time=sa.bindparam("b_finish_time"), updated_at=sa.bindparam("b_updated_at"), result="Error",
    message=sa.bindparam("b_message")).where(
    instance_action.c.server_id == sa.bindparam("b_server"), instance_action.c.finish_time.is_(None))


def begin(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Each row has server_id, action, request_id, user_id, project_id, start_time, and op if any."""
    conn.execute(_INSERT, [
        {"op": None, "host": None, "message": None, "result": None, "finish_time": None,
         "details": None, "updated_at": row["start_time"], **row} for row in rows])


def end(conn: Writer, at: float, *, op: str | None = None, server_id: str | None = None,
        action: str | None = None, result: str = "Success", message: str | None = None,
        host: str | None = None, details: Any = None) -> None:
    """End the action of this `op`, or the unfinished `action` of this server."""
    which = {"b_op": op} if op is not None else {"b_server": server_id, "b_action": action}
    conn.execute(_END if op is None else _END_OP, {
        **which, "b_finish_time": at, "b_updated_at": at, "b_result": result, "b_message": message,
        "b_host": host, "b_details": details})


def cut_off(conn: Writer, at: float, server_id: str, message: str) -> None:
    """End as failed whatever of this server's actions has no end yet: its server is no more."""
    conn.execute(_CUT_OFF, {"b_server": server_id, "b_finish_time": at, "b_updated_at": at,
                            "b_message": message})


def request_ids(conn: Connection, server_ids: Sequence[str]) -> dict[str, str]:
    """The id of the request that made each of these servers."""
    rows = conn.execute(sa.select(instance_action.c.server_id, instance_action.c.request_id).where(
        instance_action.c.server_id.in_(list(server_ids)), instance_action.c.action == "create"))
    return {row.server_id: row.request_id or "" for row in rows}


def prune(conn: Connection, before: float) -> int:
    """Forget the actions of servers that were deleted before that time."""
    gone = sa.select(server.c.id).where(server.c.deleted.is_(True), server.c.terminated_at < before)
    return int(conn.execute(sa.delete(instance_action)
                            .where(instance_action.c.server_id.in_(gone))).rowcount)
