"""os-simple-tenant-usage: server hours of projects in a time."""

import time
from typing import Any

from zones.api.compute import query
from zones.api.compute.times import naive, parse_naive
from zones.api.wsgi import Call, Reply
from zones.db.usage import ProjectUsage, Usage, usage_between
from zones.errors import Forbidden, Invalid

PAGED = (2, 40)
_QUERY = ("start", "end", "detailed", "limit", "marker")


def index(call: Call) -> Reply:
    """GET /os-simple-tenant-usage: all projects."""
    query.only(call, _QUERY)
    start, stop = _period(call)
    detailed = query.text(call, "detailed") == "1"
    usage, links = _usage(call, start, stop, None, detailed)
    body: dict[str, Any] = {"tenant_usages": [_view(one, start, stop, detailed) for one in usage.projects]}
    return Reply(200, {**body, **({"tenant_usages_links": links} if links else {})})


def show(call: Call) -> Reply:
    """GET /os-simple-tenant-usage/{id}: one project, server by server."""
    query.only(call, _QUERY)
    project_id = call.params["id"]
    if project_id != call.caller.project_id and not call.caller.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:os-simple-tenant-usage:show to be "
                        "performed.", code="policy")
    start, stop = _period(call)
    usage, links = _usage(call, start, stop, project_id, True)
    shown = _view(usage.projects[0], start, stop, True) if usage.projects else {}
    return Reply(200, {"tenant_usage": shown, **({"tenant_usage_links": links} if links else {})})


def _period(call: Call) -> tuple[float, float]:
    """`start` and `end`, which both default to now; nothing is told of the future."""
    now = time.time()
    start, stop = query.text(call, "start"), query.text(call, "end")
    begin, end = parse_naive(start) if start else now, parse_naive(stop) if stop else now + 1e-6
    if not begin < end:
        raise Invalid("Invalid start time. The start time cannot occur after the end time.",
                      code="bad_period")
    return begin, min(end, now)


def _usage(call: Call, start: float, stop: float, project_id: str | None,
           detailed: bool) -> tuple[Usage, list[dict[str, str]]]:
    paged = call.version >= PAGED
    size = query.limit(call) if paged else None
    usage: Usage = call.parts.db.run(
        usage_between, start, stop, project_id=project_id, detailed=detailed, limit=size,
        marker=query.text(call, "marker") if paged else None)
    links = query.next_link(call, range(usage.counted), size, usage.last) if size else []
    return usage, links


def _view(one: ProjectUsage, start: float, stop: float, detailed: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "tenant_id": one.project_id, "start": naive(start), "stop": naive(stop),
        "total_hours": one.hours, "total_memory_mb_usage": one.memory,
        "total_local_gb_usage": one.disk, "total_vcpus_usage": one.vcpus}
    if detailed:
        shown["server_usages"] = [
            {**server, "started_at": naive(server["started_at"]), "ended_at": naive(server["ended_at"])}
            for server in one.servers]
    return shown
