"""What a finished action means for its server: the ends of the table in `states.ACTIONS`."""

from typing import Any, Protocol

from zones import states
from zones.db import action_log, attempts, changes, quotas, work
from zones.db.engine import Connection
from zones.protocol import Done
from zones.servers.core import Row


class View(Protocol):
    """The part of a news batch that an outcome reads and writes."""

    at: float
    servers: dict[str, Row]
    attempts: dict[str, dict[str, Any]]
    wake: bool
    discard_images: list[str]


def done(conn: Connection, view: View, message: Done) -> None:
    """Apply the end of an action once; a repeat finds its work gone and changes nothing."""
    item = work.drop_op(conn, message.op)
    row = view.servers.get(message.server)
    if item is None or row is None or row["deleted"]:
        return
    name, args = item["args"]["action"], item["args"]["args"]
    failed = message.error is not None
    action_log.end(conn, view.at, op=message.op, result="Error" if failed else "Success",
                   message=message.message or None, host=message.host)
    values = _failed(conn, view, row, name, args) if failed else _succeeded(
        conn, view, row, name, args, message)
    if row["task_state"] in (states.ACTIONS[name].task_state, None) and "task_state" not in values:
        values["task_state"] = None
    if values:
        changes.change(conn, row["id"], view.at, **values)
        row.update(values)


def cut_off(conn: Connection, server_id: str, at: float, why: str) -> None:
    """Forget the actions of a server that are under way: their end, should it come, changes nothing."""
    for item in work.of_server(conn, server_id):
        if item["kind"] == "act":
            action_log.end(conn, at, op=item["op"], result="Error", message=why)
            work.remove_row(conn, item["id"])


def _failed(conn: Connection, view: View, row: Row, name: str, args: dict[str, Any]) -> dict[str, Any]:
    if name in ("create_image", "shelve"):
        view.discard_images.append(args["image_id"])
    if name == "resize":
        return _settle_quota(conn, row, row["flavor"])
    return {}


def _succeeded(conn: Connection, view: View, row: Row, name: str, args: dict[str, Any],
               message: Done) -> dict[str, Any]:
    values = _state_after(row, name, message)
    if name == "resize":
        values.update(old_flavor=row["flavor"], flavor=args["flavor"], flavor_id=args["flavor"]["id"])
    elif name == "confirm_resize":
        values.update(old_flavor=None, **_settle_quota(conn, row, row["flavor"]))
    elif name == "revert_resize":
        old = row["old_flavor"]
        values.update(flavor=old, flavor_id=old["id"], old_flavor=None,
                      **_settle_quota(conn, row, old))
    elif name == "shelve":
        values.update(vm_state=states.SHELVED_OFFLOADED, fault=None,
                      shelved_image_id=args["image_id"], **_offload(conn, view, row))
    return values


def _state_after(row: Row, name: str, message: Done) -> dict[str, Any]:
    """The state that the action led to, and what the host has noticed since then, if anything."""
    vm_state = states.after(states.ACTIONS[name], row["vm_state"], message.power_state)
    if message.version < row["news_version"]:
        if row["vm_state"] == states.ERROR and (row["fault"] or {}).get("reason"):
            return {}
        return {"vm_state": states.observed(vm_state, row["power_state"]), "fault": None}
    values = {"vm_state": vm_state, "power_state": message.power_state, "news_version": message.version}
    if message.addresses:
        values["addresses"] = message.addresses
    return {**values, "fault": None} if vm_state != states.ERROR else values


def _settle_quota(conn: Connection, row: Row, flavor: dict[str, Any]) -> dict[str, Any]:
    """Give back what a resize held beyond the flavor that the server has now."""
    quotas.release(conn, row["owner_peer"], row["project_id"], 0,
                   row["quota_cores"] - flavor["vcpus"], row["quota_ram"] - flavor["ram"])
    return {"quota_cores": flavor["vcpus"], "quota_ram": flavor["ram"]}


def _offload(conn: Connection, view: View, row: Row) -> dict[str, Any]:
    """The snapshot is safe: free the host. The server may come back once that is confirmed."""
    cancelled = {"state": states.CANCELLED, "answered_at": None}
    attempts.change(conn, row["attempt_id"], view.at, **cancelled)
    if row["attempt_id"] in view.attempts:  # later news in this batch finds it cancelled
        view.attempts[row["attempt_id"]].update(cancelled)
    work.add(conn, [{"kind": "remove", "server_id": row["id"], "host": row["host"], "due_at": view.at,
                     "created_at": view.at, "args": {"attempts": [row["attempt_id"]]}}])
    view.wake = True
    return {"task_state": "shelving_offloading", "attempt_id": None, "news_version": 0}
