"""Server groups: a policy, and the servers that were booted into it."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.config import Quota
from zones.db.engine import insert_new
from zones.db.quotas import count_groups, effective_limits, hold
from zones.db.tables import server, server_group
from zones.errors import Invalid, NotFound, OverQuota
from zones.protocol import Caller, GroupValue

Row = dict[str, Any]

_MEMBER = sa.and_(server.c.deleted.is_(False), server.c.hidden.is_(False))
_OURS = server_group.c.user_id.is_not(None)
"""Not one that a peer's servers are kept together by (see `incoming.keep_group`)."""


def create_group(conn: Connection, row: Row, defaults: Quota) -> Row:
    """Add a group, whose id is made already. Raises `OverQuota` when the project has too many."""
    hold(conn, f"server groups of {row['project_id']}")
    if conn.execute(sa.select(server_group.c.id).where(server_group.c.id == row["id"])).first() is None:
        most = effective_limits(conn, row["project_id"], defaults).server_groups
        if 0 <= most <= count_groups(conn, row["project_id"]):
            raise OverQuota("Quota exceeded, too many server groups.", over=["server_groups"])
        insert_new(conn, server_group, [row])
    return get_group(conn, row["id"])


def get_group(conn: Connection, group_id: str, project_id: str | None = None) -> Row:
    """One group with its `members`; of any project when that is None. Raises `NotFound`."""
    statement = sa.select(server_group).where(server_group.c.id == group_id, _OURS)
    if project_id is not None:
        statement = statement.where(server_group.c.project_id == project_id)
    row = conn.execute(statement).mappings().first()
    if row is None:
        raise NotFound(f"Instance group {group_id} could not be found.", code="no_server_group")
    return {**row, "members": _members(conn, [group_id]).get(group_id, [])}


def list_groups(conn: Connection, project_id: str | None, limit: int, offset: int) -> list[Row]:
    """One page of groups with their `members`, oldest first; of all projects when that is None."""
    statement = sa.select(server_group).where(_OURS)
    if project_id is not None:
        statement = statement.where(server_group.c.project_id == project_id)
    rows = conn.execute(statement.order_by(server_group.c.created_at, server_group.c.id)
                        .limit(limit).offset(offset)).mappings().all()
    members = _members(conn, [row["id"] for row in rows])
    return [{**row, "members": members.get(row["id"], [])} for row in rows]


def delete_group(conn: Connection, group_id: str, project_id: str | None = None) -> None:
    """Remove a group; its servers stay. Raises `NotFound`."""
    get_group(conn, group_id, project_id)
    conn.execute(sa.delete(server_group).where(server_group.c.id == group_id))


def value(conn: Connection, caller: Caller, group_id: str) -> GroupValue:
    """The group by value, as a boot carries it: policy and the hosts of its members now.

    Raises `Invalid`, as Nova does for a hint that names no group of the project.
    """
    row = conn.execute(sa.select(server_group).where(
        server_group.c.id == group_id, server_group.c.project_id == caller.project_id,
        _OURS)).mappings().first()
    if row is None:
        raise Invalid(f"Instance group {group_id} could not be found.", code="no_server_group")
    hosts = conn.execute(sa.select(server.c.host).where(
        server.c.group_id == group_id, server.c.host.is_not(None), server.c.deleted.is_(False))).scalars()
    return GroupValue(id=row["id"], policy=row["policy"], rules=row["rules"] or {},
                      members=sorted(host for host in hosts if host))


def check_room(conn: Connection, caller: Caller, group_id: str, adding: int, defaults: Quota) -> None:
    """Raises `OverQuota` when the group can't take so many servers more."""
    hold(conn, f"members of {group_id}")
    most = effective_limits(conn, caller.project_id, defaults).server_group_members
    there = len(_members(conn, [group_id]).get(group_id, []))
    if 0 <= most < there + adding:
        raise OverQuota("Quota exceeded, too many servers in group", over=["server_group_members"])


def _members(conn: Connection, groups: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rows = conn.execute(sa.select(server.c.group_id, server.c.id)
                        .where(server.c.group_id.in_(list(groups)), _MEMBER)
                        .order_by(server.c.created_at, server.c.id))
    for group_id, server_id in rows:
        found.setdefault(group_id, []).append(server_id)
    return found
