"""What is changed in a server's record alone, at once: name, metadata, tags, lock.

Every change is one transaction on the locked row: a new version that the feed has not numbered yet.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zones.db import action_log, changes
from zones.db.engine import Connection, now
from zones.errors import Conflict, Forbidden, Invalid, NotFound
from zones.protocol import Caller
from zones.servers.core import Core, Row
from zones.servers.delete import mine

MAX_TAGS = 50
FIELDS = frozenset({"name", "description", "access_ip_v4", "access_ip_v6", "hostname"})
"""What `update` may set."""

Edit = Callable[[Row], dict[str, Any]]
"""A row → the columns to set; what raises changes nothing."""


def update(core: Core, caller: Caller, server_id: str, values: Mapping[str, str | None]) -> None:
    """Set some of `FIELDS`. Raises `NotFound`."""
    wanted = {name: value for name, value in values.items() if name in FIELDS}
    core.db.run(_edit, caller, server_id, lambda row: wanted)


def replace_metadata(core: Core, caller: Caller, server_id: str, items: Mapping[str, str]) -> dict[str, str]:
    """All metadata anew; what it is now. Raises `NotFound`, `Conflict` (locked), `Forbidden` (too many)."""
    return _metadata(core, caller, server_id, lambda old: dict(items))


def merge_metadata(core: Core, caller: Caller, server_id: str, items: Mapping[str, str]) -> dict[str, str]:
    """Add these items, or change them; all items now. Raises as `replace_metadata`."""
    return _metadata(core, caller, server_id, lambda old: {**old, **items})


def delete_metadata(core: Core, caller: Caller, server_id: str, key: str) -> None:
    """Take one item away. Raises `NotFound` when there is none of this key."""
    def without(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise NotFound("Metadata item was not found", code="no_such_item")
        return {name: value for name, value in old.items() if name != key}
    _metadata(core, caller, server_id, without)


def replace_tags(core: Core, caller: Caller, server_id: str, tags: Sequence[str]) -> list[str]:
    """All tags anew, each once, in their order. Raises `NotFound`, `Invalid` (too many)."""
    wanted = list(dict.fromkeys(tags))
    return _tags(core, caller, server_id, lambda old: wanted)


def add_tag(core: Core, caller: Caller, server_id: str, tag: str) -> bool:
    """Add a tag; whether it is new. Raises `NotFound`, `Invalid` (too many)."""
    before: list[str] = []

    def added(old: list[str]) -> list[str]:
        before[:] = old
        return old if tag in old else [*old, tag]
    _tags(core, caller, server_id, added)
    return tag not in before


def delete_tag(core: Core, caller: Caller, server_id: str, tag: str) -> None:
    """Take a tag away. Raises `NotFound` when the server does not have it."""
    def without(old: list[str]) -> list[str]:
        if tag not in old:
            raise NotFound(f"Server {server_id} has no tag '{tag}'", code="no_such_tag")
        return [name for name in old if name != tag]
    _tags(core, caller, server_id, without)


def lock(core: Core, caller: Caller, server_id: str, reason: str | None) -> None:
    """Keep everybody but an administrator from acting on the server."""
    who = "admin" if caller.is_admin else "owner"
    core.db.run(_edit, caller, server_id, lambda row: {
        "locked": True, "locked_by": row["locked_by"] or who, "locked_reason": reason}, action="lock")


def unlock(core: Core, caller: Caller, server_id: str) -> None:
    """Take the lock away. Quiet when there is none; `Forbidden` for an owner when an admin locked it."""
    def without(row: Row) -> dict[str, Any]:
        if row["locked_by"] == "admin" and not caller.is_admin:
            raise Forbidden(f"Instance {row['id']} was locked by an administrator.", code="locked_by_admin")
        return {"locked": False, "locked_by": None, "locked_reason": None}
    core.db.run(_edit, caller, server_id, without, action="unlock")


def _metadata(core: Core, caller: Caller, server_id: str,
              change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    most = core.quota.metadata_items

    def edit(row: Row) -> dict[str, Any]:
        _check_unlocked(caller, row)
        old = row["metadata"] or {}
        items = change(old)
        if 0 <= most < len(items) and len(items) > len(old):
            raise Forbidden(f"Maximum number of metadata items exceeds {most}", code="too_many_items")
        return {"metadata": items}
    return dict(core.db.run(_edit, caller, server_id, edit)["metadata"])


def _tags(core: Core, caller: Caller, server_id: str,
          change: Callable[[list[str]], list[str]]) -> list[str]:
    def edit(row: Row) -> dict[str, Any]:
        tags = change(row["tags"] or [])
        if len(tags) > MAX_TAGS:
            raise Invalid(f"The number of tags exceeded the per-server limit {MAX_TAGS}",
                          code="too_many_tags")
        return {"tags": tags}
    return list(core.db.run(_edit, caller, server_id, edit)["tags"])


def _check_unlocked(caller: Caller, row: Row) -> None:
    if row["locked"] and not caller.is_admin:
        raise Conflict(f"Instance {row['id']} is locked", code="locked")


def _edit(conn: Connection, caller: Caller, server_id: str, edit: Edit,
          action: str | None = None) -> dict[str, Any]:
    """The columns as they are after the edit; what is set already makes no new version."""
    row = mine(conn, caller, server_id)
    values = edit(row)
    if any(row[name] != value for name, value in values.items()):
        at = now(conn)
        changes.change(conn, server_id, at, **values)
        if action is not None:
            action_log.begin(conn, [{
                "server_id": server_id, "action": action, "request_id": caller.request_id,
                "user_id": caller.user_id, "project_id": caller.project_id, "start_time": at,
                "finish_time": at, "result": "Success", "host": row["host"]}])
    return values
