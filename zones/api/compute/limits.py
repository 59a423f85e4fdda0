"""The limits of a project beside what it uses of them."""

from zones.api.compute import query
from zones.api.compute.quotas import in_use
from zones.api.compute.views.quotas import absolute
from zones.api.wsgi import Call, Reply
from zones.db.quotas import effective_limits
from zones.errors import Forbidden

OTHERS = "os_compute_api:limits:other_project"


def index(call: Call) -> Reply:
    """GET /limits; `tenant_id` of another project for administrators. There are no rate limits."""
    query.only(call, ("reserved", "tenant_id"))
    project_id = query.text(call, "tenant_id") or call.caller.project_id
    if project_id != call.caller.project_id and not call.may(OTHERS):
        raise Forbidden(f"Policy doesn't allow {OTHERS} to be performed.", code="policy")
    limits = call.parts.db.run(effective_limits, project_id, call.parts.config.quota)
    return Reply(200, {"limits": {
        "rate": [], "absolute": absolute(limits, in_use(call, project_id), call.version)}})
