"""Flavors: list, show, create, describe, delete."""

import math
import time
import uuid
from typing import Any

from zones.api.compute import query
from zones.api.compute.schemas import flavors as schema
from zones.api.compute.schemas.fields import whole
from zones.api.compute.views import flavors as view
from zones.api.wsgi import Call, Reply
from zones.db import flavors as db
from zones.errors import Invalid

_QUERY = ("limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir")


def reader(call: Call) -> str | None:
    """Whose private flavors may be seen: the caller's project, or None for everybody's."""
    return None if call.caller.is_admin else call.caller.project_id


def index(call: Call) -> Reply:
    """GET /flavors."""
    rows, links = _page(call)
    return Reply(200, {"flavors": [view.brief(call, row) for row in rows], **links})


def detail(call: Call) -> Reply:
    """GET /flavors/detail."""
    rows, links = _page(call)
    specs = _sees_specs(call)
    return Reply(200, {"flavors": [view.full(call, row, specs=specs) for row in rows], **links})


def show(call: Call) -> Reply:
    """GET /flavors/{id}. A name is no id: 404, at once."""
    row = call.parts.db.run(db.get_flavor, call.params["id"], reader(call))
    return Reply(200, {"flavor": view.full(call, row, specs=_sees_specs(call))})


def create(call: Call) -> Reply:
    """POST /flavors. Without an id, or with `auto`, it gets one."""
    check = schema.CREATE_2_55 if call.version >= view.DESCRIBED else schema.CREATE
    row = call.parts.db.run(db.create_flavor, _values(call.json(check)["flavor"]))
    return Reply(200, {"flavor": view.full(call, row, specs=_sees_specs(call))})


def update(call: Call) -> Reply:
    """PUT /flavors/{id}: the description (2.55)."""
    description = call.json(schema.UPDATE)["flavor"]["description"]
    row = call.parts.db.run(db.describe_flavor, call.params["id"], description)
    return Reply(200, {"flavor": view.full(call, row, specs=_sees_specs(call))})


def delete(call: Call) -> Reply:
    """DELETE /flavors/{id}."""
    call.parts.db.run(db.delete_flavor, call.params["id"])
    return Reply(202)


def _sees_specs(call: Call) -> bool:
    return call.may("os_compute_api:os-flavor-extra-specs:index")


def _page(call: Call) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    query.only(call, _QUERY)
    size = query.limit(call)
    direction = query.text(call, "sort_dir") or "asc"
    key = query.text(call, "sort_key") or "flavorid"
    if key not in db.SORT_KEYS or direction not in ("asc", "desc"):
        raise Invalid(f"Flavors can't be sorted by '{key}' '{direction}'. Keys: "
                      f"{', '.join(sorted(db.SORT_KEYS))}; asc or desc", code="bad_sort")
    rows = call.parts.db.run(db.list_flavors, db.FlavorFilter(
        reader=reader(call), is_public=_public(call), with_disabled=call.caller.is_admin,
        min_ram=query.number(call, "minRam") or 0, min_disk=query.number(call, "minDisk") or 0,
        sort_key=key, descending=direction == "desc", limit=size, marker=query.text(call, "marker")))
    links = query.next_link(call, rows, size, rows[-1]["id"]) if rows else []
    return rows, {"flavors_links": links} if links else {}


def _public(call: Call) -> bool | None:
    """`is_public`: only an administrator may ask for private ones, or with `None` for both."""
    value = query.text(call, "is_public")
    if not call.caller.is_admin or value is None:
        return True
    return None if value.lower() == "none" else query.parse_boolean("is_public", value)


def _values(given: dict[str, Any]) -> dict[str, Any]:
    flavor_id = given.get("id")
    if flavor_id is None or flavor_id == "auto":
        flavor_id = uuid.uuid4()
    factor = float(given.get("rxtx_factor", 1.0))
    if not 0 < factor < 3.4e38 or math.isnan(factor):
        raise Invalid(f"rxtx_factor must be greater than 0, not {factor}", code="bad_body")
    return {
        "id": str(flavor_id), "name": given["name"], "rxtx_factor": factor,
        "ram": whole("ram", given["ram"], 1), "vcpus": whole("vcpus", given["vcpus"], 1),
        "disk": whole("disk", given["disk"], 0), "swap": whole("swap", given.get("swap", 0), 0),
        "ephemeral": whole("OS-FLV-EXT-DATA:ephemeral", given.get("OS-FLV-EXT-DATA:ephemeral", 0), 0),
        "is_public": query.parse_boolean("os-flavor-access:is_public",
                                         given.get("os-flavor-access:is_public", True)),
        "disabled": False, "description": given.get("description"), "extra_specs": {},
        "created_at": time.time(), "updated_at": None,
    }
