"""Delete a server: tombstone every attempt first, so that no late boot can bring it back."""

import logging
from typing import Any

from zones import states
from zones.db import action_log, attempts, changes, quotas, work
from zones.db.engine import Connection, now
from zones.errors import Conflict, NotFound, ZonesError
from zones.protocol import Caller
from zones.servers.core import Core, Row

LOG = logging.getLogger(__name__)


def delete(core: Core, caller: Caller, server_id: str) -> None:
    """The server is gone, or going, when this returns. Raises `NotFound`; `Conflict` when locked.

    Where its host or zone is down it vanishes from lists at once (Nova's local delete), while its
    quota is held until that has confirmed.
    """
    going, shelved, snapshots = core.db.run(_delete, core, caller, server_id)
    if going:
        core.wires.wake()
    discard(core, caller, server_id, shelved, snapshots)


def discard(core: Core, caller: Caller, server_id: str, shelved: list[str], snapshots: list[str]) -> None:
    """Forget the images of a deleted server: of its shelving, and of snapshots that came to nothing."""
    try:
        for image_id in [*shelved, *(one for one in snapshots if not _is_whole(core, caller, one))]:
            core.images.discard(image_id)
    except ZonesError as error:  # the server goes all the same; of its image its owner can see to
        LOG.warning("an image of deleted server %s is left behind: %s", server_id, error)


def _is_whole(core: Core, caller: Caller, image_id: str) -> bool:
    """Whether an image that was being made has got its content after all."""
    try:
        core.images.value(caller, image_id)
    except (Conflict, NotFound):
        return False
    return True


def _delete(conn: Connection, core: Core, caller: Caller,
            server_id: str) -> tuple[bool, list[str], list[str]]:
    row = mine(conn, caller, server_id)
    if row["locked"] and not caller.is_admin:
        raise Conflict(f"Instance {server_id} is locked", code="locked")
    if row["task_state"] == "deleting":
        return False, [], []
    return begin(conn, core, caller, row, now(conn))


def begin(conn: Connection, core: Core, caller: Caller, row: Row,
          at: float) -> tuple[bool, list[str], list[str]]:
    """Begin to delete a locked server that is not being deleted yet, whoever may ask for that.

    Whether hosts or neighbours are to be told, the images of its shelving, and of snapshots under way.
    """
    server_id = row["id"]
    action_log.begin(conn, [{
        "server_id": server_id, "action": "delete", "request_id": caller.request_id,
        "user_id": caller.user_id, "project_id": caller.project_id, "start_time": at}])
    making = [item["args"] for item in work.of_server(conn, server_id) if item["kind"] == "act"]
    work.drop(conn, server_id, ["boot", "act", "push", "held"])
    cancel_attempts(conn, server_id, at)
    removals = work.of_server(conn, server_id)
    if not removals:
        finish(conn, row, at)
    else:
        values = {"task_state": "deleting",
                  "hidden": row["hidden"] or not all(_is_up(core, item) for item in removals)}
        changes.change(conn, server_id, at, **values)
        row.update(values)
    shelved = [row["shelved_image_id"]] if row["shelved_image_id"] else []
    shelved += [one["args"]["image_id"] for one in making if one["action"] == "shelve"]
    return bool(removals), shelved, [one["args"]["image_id"] for one in making
                                     if one["action"] == "create_image"]


def _is_up(core: Core, removal: Row) -> bool:
    if removal["zone_uuid"] is not None:
        return core.neighbours.is_up(removal["zone_uuid"])
    return core.is_up(removal["host"])


def mine(conn: Connection, caller: Caller, server_id: str) -> Row:
    """The living server's row, locked, if this caller may touch it. Raises `NotFound`."""
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is None or row["deleted"] or row["hidden"] or not _reaches(caller, row):
        raise NotFound(f"Instance {server_id} could not be found.", code="server_not_found")
    return row


def _reaches(caller: Caller, row: Row) -> bool:
    """As `read.scope_of`: a peer what it booted, an administrator of this zone everything."""
    if caller.is_admin and not caller.peer:
        return True
    return (row["owner_peer"] == caller.owner_peer and caller.peer in ("", row["peer_id"])
            and (caller.is_admin or row["project_id"] == caller.project_id))


def cancel_attempts(conn: Connection, server_id: str, at: float) -> list[tuple[str, str]]:
    """Tombstone what is not over yet and add the work that tells where it is: those (kind, target)."""
    by_target: dict[tuple[str, str], list[str]] = {}
    for attempt in attempts.of_servers(conn, [server_id]).get(server_id, []):
        if attempt["state"] in states.LIVE_ATTEMPTS:
            attempts.change(conn, attempt["id"], at, state=states.CANCELLED, answered_at=None)
            by_target.setdefault((attempt["kind"], attempt["target"]), []).append(attempt["id"])
    work.add(conn, [removal(server_id, kind, target, ids, at) for (kind, target), ids in by_target.items()])
    return list(by_target)


def removal(server_id: str, kind: str, target: str, attempt_ids: list[str], at: float) -> Row:
    """The work of telling a host or a neighbour that these attempts are cancelled."""
    where = {"zone_uuid": target} if kind == "link" else {"host": target}
    return {"kind": "remove", "server_id": server_id, "due_at": at, "created_at": at,
            "args": {"attempts": attempt_ids}, **where}


def finish(conn: Connection, row: Row, at: float) -> None:
    """Nothing of the server exists any more: mark it deleted and give its quota back.

    `row` is brought up to date, so that a repeated confirmation in the same batch gives nothing back.
    """
    work.drop(conn, row["id"], ["boot", "act", "remove", "push", "held"])
    values = {"deleted": True, "hidden": False, "vm_state": states.DELETED, "task_state": None,
              "power_state": states.NOSTATE, "terminated_at": at, "locked": False}
    changes.change(conn, row["id"], at, **values)
    row.update(values)
    action_log.end(conn, at, server_id=row["id"], action="delete", host=row["host"])
    action_log.cut_off(conn, at, row["id"], "The server was deleted before this had ended.")
    quotas.release(conn, row["owner_peer"], row["project_id"], 1, row["quota_cores"],
                   row["quota_ram"])
    if row["group_id"]:
        changes.free_anchor(conn, row["group_id"])


def confirm(conn: Connection, row: Row | None, attempt: dict[str, Any], at: float) -> None:
    """Its host, or neighbour, says that nothing of this cancelled attempt exists: act on what waited."""
    attempts.change(conn, attempt["id"], at, answered_at=at)
    attempt["answered_at"] = at
    left = 0
    for item in work.of_server(conn, attempt["server_id"]):
        if item["kind"] != "remove":
            continue
        remaining = [name for name in item["args"]["attempts"] if name != attempt["id"]]
        left += len(remaining)
        if not remaining:
            work.remove_row(conn, item["id"])
        elif len(remaining) < len(item["args"]["attempts"]):
            work.replace_args(conn, item["id"], {"attempts": remaining})
    if row is None or left or row["deleted"]:
        return
    if row["task_state"] == "deleting":
        finish(conn, row, at)
    elif row["task_state"] == "shelving_offloading":
        values = {"task_state": None, "host": None, "power_state": states.SHUTDOWN}
        changes.change(conn, row["id"], at, **values)
        row.update(values)
