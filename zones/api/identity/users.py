"""/v3/users, and a user's own password."""

from typing import Any

import msgspec

from zones.api.bodies import Name, Text, checked, given
from zones.api.identity.parts import check_domain, check_own, link, listed
from zones.api.identity.projects import filters
from zones.api.identity.projects import view as project_view
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound, Unauthorized
from zones.identity.login import DOMAIN


class _New(msgspec.Struct):
    name: Name
    password: str | None = None
    enabled: bool = True
    default_project_id: Name | None = None
    email: Name | None = None
    description: Text | None = None
    domain_id: str | None = None


class _Change(msgspec.Struct):
    name: Name | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    default_project_id: Name | msgspec.UnsetType | None = msgspec.UNSET
    email: Name | msgspec.UnsetType | None = msgspec.UNSET
    description: Text | msgspec.UnsetType | None = msgspec.UNSET


class _Passwords(msgspec.Struct):
    original_password: str
    password: str


class _NewBody(msgspec.Struct):
    user: _New


class _ChangeBody(msgspec.Struct):
    user: _Change


class _PasswordBody(msgspec.Struct):
    user: _Passwords


_new, _change, _passwords = checked(_NewBody), checked(_ChangeBody), checked(_PasswordBody)


def index(call: Call) -> Reply:
    """GET /v3/users."""
    rows = call.parts.identity.directory.rows("user", filters(call))
    if call.request.GET.get("domain_id", DOMAIN["id"]) != DOMAIN["id"]:
        rows = []
    return Reply(200, listed(call, "users", [_view(call, row) for row in rows]))


def create(call: Call) -> Reply:
    """POST /v3/users."""
    new = call.json(_new).user
    check_domain(new.domain_id)
    if new.default_project_id is not None:
        call.parts.identity.directory.get("project", new.default_project_id)
    row = call.parts.identity.directory.create_user(
        new.name, new.password, enabled=new.enabled, default_project_id=new.default_project_id,
        email=new.email, description=new.description)
    return Reply(201, {"user": _view(call, row)})


def show(call: Call) -> Reply:
    """GET /v3/users/{user_id}: anyone sees itself."""
    _check_self(call, "identity:get_user")
    row = call.parts.identity.directory.get("user", call.params["user_id"])
    return Reply(200, {"user": _view(call, row)})


def update(call: Call) -> Reply:
    """PATCH /v3/users/{user_id}."""
    change = given(call.json(_change).user)
    if change.get("default_project_id") is not None:
        call.parts.identity.directory.get("project", change["default_project_id"])
    row = call.parts.identity.directory.change_user(call.params["user_id"], change)
    return Reply(200, {"user": _view(call, row)})


def delete(call: Call) -> Reply:
    """DELETE /v3/users/{user_id}."""
    call.parts.identity.directory.remove_user(call.params["user_id"])
    return Reply(204)


def change_password(call: Call) -> Reply:
    """POST /v3/users/{user_id}/password: with the old password, so that it needs no token."""
    user_id, body = call.params["user_id"], call.json(_passwords).user
    identity = call.parts.identity
    try:
        user = identity.directory.get("user", user_id)
    except NotFound:
        user = None
    guesser = (call.request.remote_addr or "", user_id)
    found = identity.log_in.verify(user, body.original_password, guesser)
    if body.password == body.original_password:
        raise Unauthorized("The new password must not be the old one.", code="same_password")
    identity.directory.change_user(found["id"], {"password": body.password})
    return Reply(204)


def projects(call: Call) -> Reply:
    """GET /v3/users/{user_id}/projects."""
    _check_self(call, "identity:list_user_projects")
    call.parts.identity.directory.get("user", call.params["user_id"])
    rows = call.parts.identity.directory.projects_of(call.params["user_id"])
    return Reply(200, listed(call, "projects", [project_view(call, row) for row in rows]))


def groups(call: Call) -> Reply:
    """GET /v3/users/{user_id}/groups: an embedded identity has none."""
    _check_self(call, "identity:get_user")
    call.parts.identity.directory.get("user", call.params["user_id"])
    return Reply(200, listed(call, "groups", []))


def _check_self(call: Call, rule: str) -> None:
    check_own(call, call.params["user_id"] == call.caller.user_id, rule)


def _view(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    shown = {"id": row["id"], "name": row["name"], "enabled": row["enabled"],
             "domain_id": DOMAIN["id"], "options": {}, "password_expires_at": None,
             "links": link(call, f"users/{row['id']}")}
    for key in ("default_project_id", "email", "description"):
        if row[key] is not None:
            shown[key] = row[key]
    return shown
