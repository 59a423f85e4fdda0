"""An operator decides what nobody answers: tombstone what is open, and place the server again."""

from typing import Any

import msgspec

from zones import states
from zones.db import action_log, changes, links, quotas, work
from zones.db.engine import Connection, Database, now
from zones.errors import Conflict, NotFound
from zones.protocol import FlavorValue, decode_spec, encode
from zones.servers.core import Row
from zones.servers.delete import cancel_attempts
from zones.servers.handover import is_refused
from zones.servers.outcome import cut_off

IN_DOUBT = frozenset({"unknown_at_zone", "lost_by_hypervisor", "lost_by_zone", "no_valid_host"})
"""Reasons of a fault that leave open whether the server exists."""


def settle(db: Database, server_id: str, operator: str) -> dict[str, Any]:
    """Place a server again whose host or zone never said what became of it; which are to forget it.

    The old attempts are tombstoned first: should their host come back, what it built is destroyed.
    `tombstoned_at` are hosts, and links by name.
    Raises `NotFound`; `Conflict` for a server that is not in doubt.
    """
    return db.run(_settle, server_id, operator)


def _settle(conn: Connection, server_id: str, operator: str) -> dict[str, Any]:
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is None or row["deleted"] or is_refused(row):
        raise NotFound(f"there is no server {server_id} in this zone", code="server_not_found")
    reason = (row["fault"] or {}).get("reason")
    in_doubt = row["vm_state"] == states.BUILDING or (
        row["vm_state"] == states.ERROR and reason in IN_DOUBT)
    if not in_doubt or row["task_state"] == "deleting":
        raise Conflict(f"server {server_id} is {states.status(row['vm_state'], row['task_state'])}: "
                       "only one that builds, or that ended in ERROR without an answer, is settled",
                       code="not_in_doubt")
    at = now(conn)
    cut_off(conn, server_id, at, "The server was settled before this had ended.")
    work.drop(conn, server_id, ["boot", "push", "held"])
    targets = cancel_attempts(conn, server_id, at)
    changes.change(conn, server_id, at, vm_state=states.BUILDING, task_state="scheduling", fault=None,
                   attempt_id=None, attempts=0, host=None, zone_uuid=None, host_path=None,
                   news_version=0, addresses={}, power_state=states.NOSTATE, **_as_it_is_now(conn, row))
    work.add(conn, [{"kind": "boot", "server_id": server_id, "due_at": at, "created_at": at}])
    action_log.begin(conn, [{
        "server_id": server_id, "action": "settle", "request_id": "", "user_id": operator,
        "project_id": row["project_id"], "start_time": at, "finish_time": at, "result": "Success"}])
    return {"server": server_id, "tombstoned_at": [_name(conn, *one) for one in targets]}


def _name(conn: Connection, kind: str, target: str) -> str:
    link = links.of_zone(conn, target) if kind == "link" else None
    return target if link is None else str(link["name"])


def _as_it_is_now(conn: Connection, row: Row) -> dict[str, Any]:
    """It is built in the flavor that it has now; a resize that was under way is over."""
    flavor = msgspec.convert(row["flavor"], FlavorValue)
    quotas.release(conn, row["owner_peer"], row["project_id"], 0, row["quota_cores"] - flavor.vcpus,
                   row["quota_ram"] - flavor.ram)
    spec = msgspec.structs.replace(decode_spec(row["spec"]), flavor=flavor)
    return {"spec": encode(spec), "old_flavor": None, "quota_cores": flavor.vcpus, "quota_ram": flavor.ram}
