"""Compute services for operators: list, enable, disable, force down, forget."""

from typing import Any

from zones.api.compute import query
from zones.api.compute.known_hosts import UUID_IDS, known_hosts, known_services, number_of
from zones.api.compute.schemas import services as schema
from zones.api.compute.times import naive
from zones.api.wsgi import Call, Reply
from zones.db import services as db
from zones.errors import Invalid, NotFound

FORCED_DOWN = (2, 11)


def index(call: Call) -> Reply:
    """GET /os-services; filters `host` and `binary`."""
    query.only(call, ("host", "binary"))
    host, binary = query.text(call, "host"), query.text(call, "binary")
    zones = _zones(call)
    return Reply(200, {"services": [
        _view(call, row, zones) for row in known_services(call)
        if host in (None, "", row["host"]) and binary in (None, "", row["binary"])]})


def update(call: Call) -> Reply:
    """PUT /os-services/{id} (2.53): status, reason, forced_down."""
    given = call.json(schema.UPDATE)
    row = _find(call)
    changes: dict[str, Any] = {}
    if "forced_down" in given:
        changes["forced_down"] = query.parse_boolean("forced_down", given["forced_down"])
    if "status" in given:
        changes |= {"disabled": given["status"] == "disabled",
                    "disabled_reason": given.get("disabled_reason")}
    if "disabled_reason" in given and given.get("status") != "disabled":
        raise Invalid("Specifying disabled_reason when status is not 'disabled' is invalid.",
                      code="bad_body")
    if not changes:
        raise Invalid("No updates were requested. Fields 'status' or 'forced_down' should be "
                      "specified.", code="bad_body")
    call.parts.db.run(db.change_service, _compute(row)["host"], changes)
    return Reply(200, {"service": _view(call, _find(call), _zones(call))})


def act(call: Call) -> Reply:
    """PUT /os-services/enable, /disable, /disable-log-reason and (2.11) /force-down, below 2.53."""
    action = call.params["id"]
    if action not in schema.ACTIONS or (action == "force-down" and call.version < FORCED_DOWN):
        raise NotFound("Unknown action", code="no_such_action")
    given = call.json(schema.ACTIONS[action])
    if given["binary"] != "nova-compute":
        raise Invalid(f"Updating a {given['binary']} service is not supported. Only nova-compute "
                      "services can be updated.", code="not_compute")
    changes, shown = _changes(action, given)
    call.parts.db.run(db.change_service, given["host"], changes)
    return Reply(200, {"service": {"host": given["host"], "binary": given["binary"], **shown}})


def delete(call: Call) -> Reply:
    """DELETE /os-services/{id}."""
    call.parts.db.run(db.delete_service, _find(call)["host"], call.parts.config.timing.service_down)
    return Reply(204)


def _changes(action: str, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is stored, and what the answer shows of it."""
    if action == "force-down":
        forced = query.parse_boolean("forced_down", given["forced_down"])
        return {"forced_down": forced}, {"forced_down": forced}
    if action == "enable":
        return {"disabled": False, "disabled_reason": None}, {"status": "enabled"}
    reason = given.get("disabled_reason")
    return ({"disabled": True, "disabled_reason": reason},
            {"status": "disabled", **({"disabled_reason": reason} if reason else {})})


def _find(call: Call) -> dict[str, Any]:
    asked = call.params["id"]
    for row in known_services(call):
        if asked == (row["id"] if call.version >= UUID_IDS else str(number_of(row["host"]))):
            return row
    raise NotFound(f"Service {asked} not found.", code="no_service")


def _compute(row: dict[str, Any]) -> dict[str, Any]:
    if row["binary"] != "nova-compute":
        raise Invalid(f"Updating a {row['binary']} service is not supported. Only nova-compute "
                      "services can be updated.", code="not_compute")
    return row


def _zones(call: Call) -> dict[str, set[str]]:
    """Service → the availability zones of its hosts."""
    zones: dict[str, set[str]] = {}
    for host in known_hosts(call):
        zones.setdefault(host.service["host"], set()).add(host.zone)
    return zones


def _view(call: Call, row: dict[str, Any], zones: dict[str, set[str]]) -> dict[str, Any]:
    default = call.parts.config.placement.default_availability_zone
    shown = {
        "id": row["id"] if call.version >= UUID_IDS else number_of(row["host"]),
        "binary": row["binary"], "host": row["host"],
        "zone": ",".join(sorted(zones.get(row["host"], ()))) or row["zone"] or default,
        "status": "disabled" if row["disabled"] else "enabled", "state": "up" if row["up"] else "down",
        "updated_at": naive(row["updated_at"]), "disabled_reason": row["disabled_reason"]}
    if call.version >= FORCED_DOWN:
        shown["forced_down"] = row["forced_down"]
    return shown
