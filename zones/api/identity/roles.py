"""/v3/roles and who has them: assignments of roles to users on projects."""

from typing import Any

import msgspec

from zones.api.bodies import Name, checked
from zones.api.identity.parts import check_domain, check_own, link, listed
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound
from zones.identity.login import DOMAIN


class _New(msgspec.Struct):
    name: Name
    domain_id: str | None = None


class _NewBody(msgspec.Struct):
    role: _New


_new = checked(_NewBody)


def index(call: Call) -> Reply:
    """GET /v3/roles."""
    where = {"name": call.request.GET["name"]} if "name" in call.request.GET else {}
    rows = call.parts.identity.directory.rows("role", where)
    return Reply(200, listed(call, "roles", [_view(call, row["id"], row["name"]) for row in rows]))


def create(call: Call) -> Reply:
    """POST /v3/roles."""
    new = call.json(_new).role
    check_domain(new.domain_id)
    row = call.parts.identity.directory.create_role(new.name)
    return Reply(201, {"role": _view(call, row["id"], row["name"])})


def show(call: Call) -> Reply:
    """GET /v3/roles/{role_id}."""
    row = call.parts.identity.directory.get("role", call.params["role_id"])
    return Reply(200, {"role": _view(call, row["id"], row["name"])})


def delete(call: Call) -> Reply:
    """DELETE /v3/roles/{role_id}."""
    call.parts.identity.directory.remove_role(call.params["role_id"])
    return Reply(204)


def granted(call: Call) -> Reply:
    """GET /v3/projects/{project_id}/users/{user_id}/roles."""
    directory = call.parts.identity.directory
    for noun in ("project", "user"):
        directory.get(noun, call.params[f"{noun}_id"])
    rows = directory.assignments(
        {"project_id": call.params["project_id"], "user_id": call.params["user_id"]})
    roles = [_view(call, row["role_id"], row["role_name"]) for row in rows]
    return Reply(200, listed(call, "roles", roles))


def check(call: Call) -> Reply:
    """GET and HEAD /v3/projects/{project_id}/users/{user_id}/roles/{role_id}."""
    wanted = {key: call.params[key] for key in ("project_id", "user_id", "role_id")}
    if not call.parts.identity.directory.assignments(wanted):
        raise NotFound("Could not find role assignment.", code="no_such_assignment")
    return Reply(204)


def grant(call: Call) -> Reply:
    """PUT /v3/projects/{project_id}/users/{user_id}/roles/{role_id}."""
    call.parts.identity.directory.grant(
        call.params["user_id"], call.params["project_id"], call.params["role_id"])
    return Reply(204)


def withdraw(call: Call) -> Reply:
    """DELETE /v3/projects/{project_id}/users/{user_id}/roles/{role_id}."""
    call.parts.identity.directory.withdraw(
        call.params["user_id"], call.params["project_id"], call.params["role_id"])
    return Reply(204)


def assignments(call: Call) -> Reply:
    """GET /v3/role_assignments; one's own need no special right."""
    query = call.request.GET
    where = {column: query[name] for name, column in (
        ("user.id", "user_id"), ("scope.project.id", "project_id"), ("role.id", "role_id"))
        if name in query}
    check_own(call, where.get("user_id") == call.caller.user_id, "identity:list_role_assignments")
    rows = call.parts.identity.directory.assignments(where)
    if any(name in query for name in ("group.id", "scope.domain.id", "scope.system")):
        rows = []
    names = query.get("include_names", "false").lower() not in ("false", "0")
    return Reply(200, listed(call, "role_assignments", [_assignment(call, row, names) for row in rows]))


def _assignment(call: Call, row: dict[str, Any], names: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {noun: {"id": row[f"{noun}_id"]} for noun in ("user", "project", "role")}
    if names:
        for noun, part in shown.items():
            part["name"] = row[f"{noun}_name"]
            if noun != "role":
                part["domain"] = DOMAIN
    path = f"projects/{row['project_id']}/users/{row['user_id']}/roles/{row['role_id']}"
    return {"user": shown["user"], "role": shown["role"], "scope": {"project": shown["project"]},
            "links": {"assignment": call.url(f"/v3/{path}")}}


def _view(call: Call, role_id: str, name: str) -> dict[str, Any]:
    return {"id": role_id, "name": name, "domain_id": None, "description": None, "options": {},
            "links": link(call, f"roles/{role_id}")}
