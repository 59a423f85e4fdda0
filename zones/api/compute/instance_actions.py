"""What was done to a server: list and show; from 2.21 on of deleted servers too."""

from typing import Any

from zones.api.compute import query
from zones.api.compute.server_query import parse_instant
from zones.api.compute.views import instance_actions as view
from zones.api.wsgi import Call, Reply
from zones.db import instance_actions as db
from zones.db.instance_actions import ActionQuery
from zones.db.servers import ServerRow
from zones.errors import Invalid, NotFound
from zones.servers import read

OF_DELETED, PAGED, CHANGED_BEFORE = (2, 21), (2, 58), (2, 66)
FILTERS = ("limit", "marker", "changes-since", "changes-before")
"""The query parameters, the last of them since 2.66."""


def index(call: Call) -> Reply:
    """GET /servers/{server_id}/os-instance-actions."""
    wanted = query_of(call)
    rows = call.parts.db.run(db.of_server, _server(call).id, wanted)
    body: dict[str, Any] = {"instanceActions": [view.brief(call.version, row) for row in rows]}
    more = query.next_link(call, rows, wanted.limit or 0, rows[-1]["request_id"] if rows else "")
    if more:
        body["links"] = more
    return Reply(200, body)


def show(call: Call) -> Reply:
    """GET /servers/{server_id}/os-instance-actions/{request_id}."""
    request_id = call.params["request_id"]
    server = _server(call)
    row = None if "\x00" in request_id else call.parts.db.run(db.by_request, server.id, request_id)
    if row is None:
        raise NotFound(f"Action {request_id[:64]} not found", code="no_such_action")
    insight = view.Insight(all=call.may("os_compute_api:os-instance-actions:events"),
                           details=call.may("os_compute_api:os-instance-actions:events:details"))
    return Reply(200, {"instanceAction": view.full(call.version, row, insight)})


def _server(call: Call) -> ServerRow:
    return read.get(call.parts.core, call.caller, call.params["server_id"],
                    deleted=call.version >= OF_DELETED)


def query_of(call: Call) -> ActionQuery:
    """Which actions are asked for. Raises `Invalid`."""
    if call.version < PAGED:
        return ActionQuery()
    query.only(call, FILTERS if call.version >= CHANGED_BEFORE else FILTERS[:3], since=PAGED)
    since = query.text(call, "changes-since")
    before = query.text(call, "changes-before") if call.version >= CHANGED_BEFORE else None
    found = ActionQuery(
        changed_since=None if since is None else parse_instant("changes-since", since),
        changed_before=None if before is None else parse_instant("changes-before", before),
        limit=query.limit(call), marker=query.text(call, "marker"))
    if (found.changed_since is not None and found.changed_before is not None
            and found.changed_before < found.changed_since):
        raise Invalid("The value of changes-since must be less than or equal to changes-before.",
                      code="bad_filter")
    return found
