"""Which projects may use a private flavor."""

from zones.api.compute.flavors import reader
from zones.api.compute.schemas import flavors as schema
from zones.api.wsgi import Call, Reply
from zones.db import flavors as db
from zones.errors import Conflict, Forbidden, Invalid, NotFound

REFUSES_PUBLIC = (2, 7)


def index(call: Call) -> Reply:
    """GET /flavors/{id}/os-flavor-access. A public flavor has no such list: 404."""
    flavor = call.parts.db.run(db.get_flavor, call.params["id"], reader(call))
    if flavor["is_public"]:
        raise NotFound("Access list not available for public flavors.", code="flavor_is_public")
    return _reply(call)


def action(call: Call) -> Reply:
    """POST /flavors/{id}/action: `addTenantAccess` or `removeTenantAccess`."""
    body = call.json()
    name = next(iter(body)) if isinstance(body, dict) and len(body) == 1 else None
    if name not in ("addTenantAccess", "removeTenantAccess"):
        raise Invalid("There is no such action on a flavor: addTenantAccess and removeTenantAccess are",
                      code="no_such_action")
    rule = "add" if name == "addTenantAccess" else "remove"
    if not call.may(f"os_compute_api:os-flavor-access:{rule}_tenant_access"):
        raise Forbidden(f"Policy doesn't allow os_compute_api:os-flavor-access:{rule}_tenant_access "
                        "to be performed.", code="policy")
    if name == "addTenantAccess":
        _add(call, schema.ADD_ACCESS(body)[name]["tenant"])
    else:
        tenant = schema.REMOVE_ACCESS(body)[name]["tenant"]
        call.parts.db.run(db.remove_access, call.params["id"], tenant)
    return _reply(call)


def _add(call: Call, tenant: str) -> None:
    flavor = call.parts.db.run(db.get_flavor, call.params["id"])
    if flavor["is_public"] and call.version >= REFUSES_PUBLIC:
        raise Conflict("Can not add access to a public flavor.", code="flavor_is_public")
    call.parts.db.run(db.add_access, call.params["id"], tenant)


def _reply(call: Call) -> Reply:
    flavor_id = call.params["id"]
    return Reply(200, {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": project}
                                         for project in call.parts.db.run(db.list_access, flavor_id)]})
