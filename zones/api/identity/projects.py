"""/v3/projects."""

from typing import Any

import msgspec

from zones.api.bodies import Name, Text, checked, given, query_flag
from zones.api.identity.parts import check_domain, check_own, link, listed
from zones.api.wsgi import Call, Reply
from zones.identity.login import DOMAIN


class _New(msgspec.Struct):
    name: Name
    description: Text | None = None
    enabled: bool = True
    domain_id: str | None = None


class _Change(msgspec.Struct):
    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class _NewBody(msgspec.Struct):
    project: _New


class _ChangeBody(msgspec.Struct):
    project: _Change


_new, _change = checked(_NewBody), checked(_ChangeBody)


def index(call: Call) -> Reply:
    """GET /v3/projects."""
    rows = call.parts.identity.directory.rows("project", filters(call))
    if call.request.GET.get("domain_id", DOMAIN["id"]) != DOMAIN["id"]:
        rows = []
    return Reply(200, listed(call, "projects", [view(call, row) for row in rows]))


def create(call: Call) -> Reply:
    """POST /v3/projects."""
    new = call.json(_new).project
    check_domain(new.domain_id)
    row = call.parts.identity.directory.create_project(
        new.name, enabled=new.enabled, description=new.description or "")
    return Reply(201, {"project": view(call, row)})


def show(call: Call) -> Reply:
    """GET /v3/projects/{project_id}: anyone sees the project that its token is for."""
    project_id = call.params["project_id"]
    check_own(call, project_id == call.caller.project_id, "identity:get_project")
    return Reply(200, {"project": view(call, call.parts.identity.directory.get("project", project_id))})


def update(call: Call) -> Reply:
    """PATCH /v3/projects/{project_id}."""
    change = given(call.json(_change).project)
    row = call.parts.identity.directory.change_project(call.params["project_id"], change)
    return Reply(200, {"project": view(call, row)})


def delete(call: Call) -> Reply:
    """DELETE /v3/projects/{project_id}."""
    call.parts.identity.directory.remove_project(call.params["project_id"])
    return Reply(204)


def filters(call: Call) -> dict[str, Any]:
    """The filters that users and projects share: name and enabled."""
    found: dict[str, Any] = {}
    if "name" in call.request.GET:
        found["name"] = call.request.GET["name"]
    enabled = query_flag(call.request.GET, "enabled")
    return found if enabled is None else {**found, "enabled": enabled}


def view(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    """A project as Keystone shows it."""
    return {"id": row["id"], "name": row["name"], "description": row["description"] or "",
            "enabled": row["enabled"], "domain_id": DOMAIN["id"], "parent_id": DOMAIN["id"],
            "is_domain": False, "tags": [], "options": {}, "links": link(call, f"projects/{row['id']}")}
