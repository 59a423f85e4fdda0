"""/v3/users/{user_id}/application_credentials: secrets for programs, limited to one project."""

from typing import Any

import msgspec

from zones.api.bodies import Name, Text, checked, iso_time, read_time
from zones.api.identity.parts import check_own, link, listed, token_of
from zones.api.wsgi import Call, Reply
from zones.errors import Forbidden, Invalid
from zones.identity.directory import missing
from zones.identity.login import Ref


class _New(msgspec.Struct):
    name: Name
    secret: str | None = None
    description: Text | None = None
    expires_at: str | None = None
    roles: list[Ref] | None = None
    unrestricted: bool = False
    access_rules: list[Any] | None = None


class _NewBody(msgspec.Struct):
    application_credential: _New


_new = checked(_NewBody)


def index(call: Call) -> Reply:
    """GET: the credentials of a user, its own or, for an admin, any."""
    _check_self(call)
    where = {"user_id": call.params["user_id"]}
    if "name" in call.request.GET:
        where["name"] = call.request.GET["name"]
    rows = call.parts.identity.directory.rows("app_credential", where)
    roles = _role_names(call)
    return Reply(200, listed(call, "application_credentials", [_view(call, row, roles) for row in rows]))


def create(call: Call) -> Reply:
    """POST: one can only be made for oneself. The secret is in this answer and nowhere else."""
    if call.params["user_id"] != call.caller.user_id:
        raise Forbidden("Application credentials are made by their own user.", code="not_yourself")
    new = call.json(_new).application_credential
    if new.access_rules:
        raise Invalid("Access rules are not served here.", code="no_access_rules")
    roles = _role_names(call)
    row, secret = call.parts.identity.directory.create_credential(
        token_of(call), new.name, secret=new.secret, roles=_role_ids(new.roles, roles),
        expires_at=read_time(new.expires_at) if new.expires_at else None,
        unrestricted=new.unrestricted, description=new.description)
    return Reply(201, {"application_credential": {**_view(call, row, roles), "secret": secret}})


def show(call: Call) -> Reply:
    """GET one."""
    _check_self(call)
    credential_id = call.params["application_credential_id"]
    row = call.parts.identity.directory.get("app_credential", credential_id)
    if row["user_id"] != call.params["user_id"]:
        raise missing("app_credential", credential_id)
    return Reply(200, {"application_credential": _view(call, row, _role_names(call))})


def delete(call: Call) -> Reply:
    """DELETE one; its tokens end with it."""
    _check_self(call)
    call.parts.identity.directory.remove_credential(
        token_of(call), call.params["user_id"], call.params["application_credential_id"])
    return Reply(204)


def _check_self(call: Call) -> None:
    check_own(call, call.params["user_id"] == call.caller.user_id, "identity:any_application_credential")


def _role_names(call: Call) -> dict[str, str]:
    return {row["id"]: row["name"] for row in call.parts.identity.directory.rows("role")}


def _role_ids(wanted: list[Ref] | None, names: dict[str, str]) -> list[str] | None:
    if not wanted:
        return None
    by_name = {name: role_id for role_id, name in names.items()}
    found = [by_name.get(role.name or "") if role.id is None else role.id for role in wanted]
    if None in found:
        raise Invalid("A role of the credential does not exist.", code="bad_role")
    return [role_id for role_id in found if role_id is not None]


def _view(call: Call, row: dict[str, Any], roles: dict[str, str]) -> dict[str, Any]:
    path = f"users/{row['user_id']}/application_credentials/{row['id']}"
    expires = iso_time(row["expires_at"])
    return {"id": row["id"], "name": row["name"], "description": row["description"],
            "project_id": row["project_id"], "user_id": row["user_id"],
            "unrestricted": row["unrestricted"], "system": None,
            "expires_at": expires.rstrip("Z") if expires else None,
            "roles": [{"id": role_id, "name": roles[role_id], "domain_id": None}
                      for role_id in row["roles"] if role_id in roles],
            "links": link(call, path)}
