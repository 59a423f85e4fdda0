"""Quota sets of projects, and the one quota class, `default`, that holds for all others."""

from typing import Any

from zones.api.compute import query
from zones.api.compute.schemas import quotas as schema
from zones.api.compute.schemas.fields import whole
from zones.api.compute.views import quotas as view
from zones.api.wsgi import Call, Reply
from zones.config import Quota
from zones.db import quotas as db
from zones.errors import Forbidden, Invalid


def show(call: Call) -> Reply:
    """GET /os-quota-sets/{id}."""
    project_id = _readable(call)
    return _reply(project_id, view.values(_limits(call, project_id), view.of_project(call.version)))


def detail(call: Call) -> Reply:
    """GET /os-quota-sets/{id}/detail: with what is in use."""
    project_id = _readable(call)
    used = in_use(call, project_id)
    return _reply(project_id, view.detailed(_limits(call, project_id), view.of_project(call.version), used))


def defaults(call: Call) -> Reply:
    """GET /os-quota-sets/{id}/defaults: what holds for a project without limits of its own."""
    limits = _limits(call, db.DEFAULT_CLASS)
    return _reply(call.params["id"], view.values(limits, view.of_project(call.version)))


def update(call: Call) -> Reply:
    """PUT /os-quota-sets/{id}."""
    _whole_project(call)
    given = dict(call.json(schema.update(call.version))["quota_set"])
    force = query.parse_boolean("force", given.pop("force", False))
    if given.pop("tenant_id", call.params["id"]) != call.params["id"]:
        raise Invalid("quota_set.tenant_id names another project than the URL", code="other_project")
    call.parts.db.run(db.set_limits, call.params["id"], _checked(given), force=force)
    limits = _limits(call, call.params["id"])
    return Reply(200, {"quota_set": view.values(limits, view.of_project(call.version))})


def delete(call: Call) -> Reply:
    """DELETE /os-quota-sets/{id}: the defaults hold again."""
    _whole_project(call)
    call.parts.db.run(db.forget_limits, call.params["id"])
    return Reply(202)


def show_class(call: Call) -> Reply:
    """GET /os-quota-class-sets/{id}."""
    limits = _limits(call, f"class:{call.params['id']}")
    return Reply(200, {"quota_class_set": {
        "id": call.params["id"], **view.values(limits, view.of_class(call.version))}})


def update_class(call: Call) -> Reply:
    """PUT /os-quota-class-sets/{id}: only `default` means something, so only that may be set."""
    if f"class:{call.params['id']}" != db.DEFAULT_CLASS:
        raise Invalid("There is one quota class only: default", code="no_such_class")
    given = call.json(schema.update_class(call.version))["quota_class_set"]
    call.parts.db.run(db.set_limits, db.DEFAULT_CLASS, _checked(given))
    limits = _limits(call, db.DEFAULT_CLASS)
    return Reply(200, {"quota_class_set": view.values(limits, view.of_class(call.version))})


def in_use(call: Call, project_id: str) -> dict[str, int]:
    """What the project uses of each quota; key pairs are the caller's own, for they belong to users."""
    used = call.parts.db.run(db.usage, "", project_id)
    used["server_groups"] = call.parts.db.run(db.count_groups, project_id)
    if project_id == call.caller.project_id:
        used["key_pairs"] = call.parts.db.run(db.count_keypairs, call.caller.user_id)
    return dict(used)


def _limits(call: Call, project_id: str) -> Quota:
    limits: Quota = call.parts.db.run(db.effective_limits, project_id, call.parts.config.quota)
    return limits


def _readable(call: Call) -> str:
    query.only(call, ("user_id",))
    project_id = call.params["id"]
    if project_id != call.caller.project_id and not call.caller.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.",
                        code="policy")
    return project_id


def _whole_project(call: Call) -> None:
    """Limits of a single user are refused: nothing here would enforce them."""
    query.only(call, ("user_id",))
    if query.text(call, "user_id") is not None:
        raise Invalid("Quotas of a single user are not supported: set the project's", code="user_quota")


def _checked(given: dict[str, Any]) -> dict[str, int]:
    limits = {name: whole(name, value, -1) for name, value in given.items()}
    elsewhere = [name for name, most in limits.items() if name in schema.ELSEWHERE and most != -1]
    if elsewhere:
        raise Invalid(f"{', '.join(elsewhere)}: the network service keeps these limits", code="not_ours")
    return {name: most for name, most in limits.items() if name not in schema.ELSEWHERE}


def _reply(project_id: str, shown: dict[str, Any]) -> Reply:
    return Reply(200, {"quota_set": {"id": project_id, **shown}})
