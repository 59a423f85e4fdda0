"""Host aggregates for operators."""

import uuid
from collections.abc import Callable
from typing import Any

from zones.api.compute.known_hosts import known_hosts
from zones.api.compute.schemas import aggregates as schema
from zones.api.compute.times import naive
from zones.api.wsgi import Call, Reply
from zones.db import aggregates as db
from zones.errors import Forbidden, Invalid, NotFound, NotServed

WITH_UUID = (2, 41)


def index(call: Call) -> Reply:
    """GET /os-aggregates."""
    return Reply(200, {"aggregates": [_view(call, row) for row in call.parts.db.run(db.list_aggregates)]})


def show(call: Call) -> Reply:
    """GET /os-aggregates/{id}."""
    return Reply(200, {"aggregate": _view(call, call.parts.db.run(db.get_aggregate, _id(call)))})


def create(call: Call) -> Reply:
    """POST /os-aggregates. The answer has neither hosts nor metadata, as Nova's never had."""
    given = call.json(schema.CREATE)["aggregate"]
    row = call.parts.db.run(db.create_aggregate, str(uuid.uuid4()), given["name"],
                            given.get("availability_zone"))
    shown = _view(call, row)
    return Reply(200, {"aggregate": {name: shown[name] for name in shown
                                     if name not in ("hosts", "metadata")}})


def update(call: Call) -> Reply:
    """PUT /os-aggregates/{id}."""
    given = call.json(schema.UPDATE)["aggregate"]
    row = call.parts.db.run(db.update_aggregate, _id(call), given.get("name"),
                            given.get("availability_zone"))
    return Reply(200, {"aggregate": _view(call, row)})


def delete(call: Call) -> Reply:
    """DELETE /os-aggregates/{id}."""
    call.parts.db.run(db.delete_aggregate, _id(call))
    return Reply(200)


def action(call: Call) -> Reply:
    """POST /os-aggregates/{id}/action: `add_host`, `remove_host` or `set_metadata`."""
    body = call.json()
    name = next(iter(body)) if isinstance(body, dict) and len(body) == 1 else None
    if name not in _ACTIONS:
        raise Invalid(f"There is no such action on an aggregate: {', '.join(_ACTIONS)} are",
                      code="no_such_action")
    if not call.may(f"os_compute_api:os-aggregates:{name}"):
        raise Forbidden(f"Policy doesn't allow os_compute_api:os-aggregates:{name} to be performed.",
                        code="policy")
    return Reply(200, {"aggregate": _view(call, _ACTIONS[name](call, body))})


def images(call: Call) -> Reply:
    """POST /os-aggregates/{id}/images (2.81): no driver of this zone keeps a cache of images."""
    call.parts.db.run(db.get_aggregate, _id(call))
    raise NotServed("The hosts of this zone do not cache images ahead of boots.", code="no_image_cache")


def _add_host(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    name = schema.ADD_HOST(body)["add_host"]["host"]
    if name not in {host.name for host in known_hosts(call)}:
        raise NotFound(f"Compute host {name} could not be found.", code="no_host")
    row: dict[str, Any] = call.parts.db.run(db.add_host, _id(call), name)
    return row


def _remove_host(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    name = schema.REMOVE_HOST(body)["remove_host"]["host"]
    row: dict[str, Any] = call.parts.db.run(db.remove_host, _id(call), name)
    return row


def _set_metadata(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    changes = schema.SET_METADATA(body)["set_metadata"]["metadata"]
    row: dict[str, Any] = call.parts.db.run(db.set_metadata, _id(call), changes)
    return row


_ACTIONS: dict[str, Callable[[Call, dict[str, Any]], dict[str, Any]]] = {
    "add_host": _add_host, "remove_host": _remove_host, "set_metadata": _set_metadata}


def _id(call: Call) -> int:
    text = call.params["id"]
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > 0x7FFFFFFF:
        raise Invalid(f"Invalid input received: id {text} is not an integer", code="bad_id")
    return int(text)


def _view(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    shown = {"id": row["id"], "name": row["name"], "availability_zone": row["availability_zone"],
             "hosts": row["hosts"], "metadata": row["metadata"], "created_at": naive(row["created_at"]),
             "updated_at": naive(row["updated_at"]), "deleted": False, "deleted_at": None}
    return {**shown, "uuid": row["uuid"]} if call.version >= WITH_UUID else shown
