"""Extra specs of a flavor: what its servers need of a host, as keys and texts."""

from typing import Any

from zones.api.compute.flavors import reader
from zones.api.compute.schemas import flavors as schema
from zones.api.compute.schemas.extra_specs import CHECKED, check
from zones.api.wsgi import Call, Reply
from zones.db import flavors as db
from zones.errors import Invalid, NotFound


def index(call: Call) -> Reply:
    """GET /flavors/{id}/os-extra_specs."""
    return Reply(200, {"extra_specs": _specs(call)})


def show(call: Call) -> Reply:
    """GET /flavors/{id}/os-extra_specs/{key}."""
    key, specs = call.params["key"], _specs(call)
    if key not in specs:
        raise NotFound(f"Flavor {call.params['id']} has no extra specs with key {key}.",
                       code="no_extra_spec")
    return Reply(200, {key: specs[key]})


def create(call: Call) -> Reply:
    """POST /flavors/{id}/os-extra_specs: add or replace."""
    return Reply(200, {"extra_specs": _set(call, call.json(schema.EXTRA_SPECS)["extra_specs"])})


def update(call: Call) -> Reply:
    """PUT /flavors/{id}/os-extra_specs/{key}."""
    given = call.json(schema.EXTRA_SPEC)
    if call.params["key"] not in given:
        raise Invalid("Request body and URI mismatch", code="key_mismatch")
    return Reply(200, _set(call, given))


def delete(call: Call) -> Reply:
    """DELETE /flavors/{id}/os-extra_specs/{key}."""
    call.parts.db.run(db.delete_extra_spec, call.params["id"], call.params["key"])
    return Reply(200)


def _specs(call: Call) -> dict[str, Any]:
    row = call.parts.db.run(db.get_flavor, call.params["id"], reader(call))
    return row["extra_specs"] or {}


def _set(call: Call, given: dict[str, Any]) -> dict[str, str]:
    texts = {key: str(value) for key, value in given.items()}
    if call.version >= CHECKED:
        check(texts)
    call.parts.db.run(db.set_extra_specs, call.params["id"], texts)
    return texts
