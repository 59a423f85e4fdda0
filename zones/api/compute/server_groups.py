"""Server groups of a project: list, show, create, delete."""

import time
import uuid

from zones.api.compute import query
from zones.api.compute.schemas import server_groups as schema
from zones.api.compute.schemas.fields import whole
from zones.api.compute.views import server_groups as view
from zones.api.wsgi import Call, Reply
from zones.db import server_groups as db
from zones.errors import Invalid


def index(call: Call) -> Reply:
    """GET /os-server-groups; `all_projects` for administrators."""
    query.only(call, ("all_projects", "limit", "offset"))
    everybody = call.caller.is_admin and query.text(call, "all_projects") is not None
    rows = call.parts.db.run(db.list_groups, None if everybody else call.caller.project_id,
                             query.limit(call), min(query.number(call, "offset") or 0, 2**31))
    return Reply(200, {"server_groups": [view.full(call, row) for row in rows]})


def show(call: Call) -> Reply:
    """GET /os-server-groups/{id}."""
    row = call.parts.db.run(db.get_group, call.params["id"], _project(call))
    return Reply(200, {"server_group": view.full(call, row)})


def create(call: Call) -> Reply:
    """POST /os-server-groups."""
    given = call.json(schema.create(call.version))["server_group"]
    policy = given["policy"] if call.version >= view.ONE_POLICY else given["policies"][0]
    rules = {name: whole(name, value, 1) for name, value in given.get("rules", {}).items()}
    if rules and policy != "anti-affinity":
        raise Invalid("Only anti-affinity policy supports rules.", code="bad_rules")
    row = call.parts.db.run(db.create_group, {
        "id": str(uuid.uuid4()), "project_id": call.caller.project_id, "user_id": call.caller.user_id,
        "name": given["name"], "policy": policy, "rules": rules, "anchor": None,
        "created_at": time.time()}, call.parts.config.quota)
    return Reply(200, {"server_group": view.full(call, row)})


def delete(call: Call) -> Reply:
    """DELETE /os-server-groups/{id}."""
    call.parts.db.run(db.delete_group, call.params["id"], _project(call))
    return Reply(204)


def _project(call: Call) -> str | None:
    return None if call.caller.is_admin else call.caller.project_id
