"""Servers: list, show, create, change, delete."""

from collections.abc import Mapping
from typing import Any

from zones.api.compute import query
from zones.api.compute.boot_request import access_ip, boot_request, wants_reservation
from zones.api.compute.schemas import servers as schema
from zones.api.compute.server_query import server_query
from zones.api.compute.views import servers as view
from zones.api.wsgi import Call, Reply
from zones.db.servers import ServerRow
from zones.servers import boot as booting
from zones.servers import delete as deleting
from zones.servers import edit, read

COLUMNS = {"name": "name", "description": "description", "hostname": "hostname",
           "accessIPv4": "access_ip_v4", "accessIPv6": "access_ip_v6"}


def server_of(call: Call) -> ServerRow:
    """The server that the path names. Raises `NotFound` for a name, at once."""
    return read.get(call.parts.core, call.caller, call.params["server_id"])


def id_of(call: Call) -> str:
    """The server id in the path, whether there is such a server or not. Raises `NotFound` for a name."""
    return read.as_id(call.params["server_id"])


def index(call: Call) -> Reply:
    """GET /servers: ids and names."""
    wanted, everybody = server_query(call, "index")
    found = read.names(call.parts.core, call.caller, wanted, everybody=everybody)
    look = view.look_of(call)
    body: dict[str, Any] = {"servers": [view.brief(look, *one) for one in found]}
    more = query.next_link(call, found, wanted.limit, found[-1][0] if found else "")
    if more:
        body["servers_links"] = more
    return Reply(200, body)


def detail(call: Call) -> Reply:
    """GET /servers/detail."""
    wanted, everybody = server_query(call, "detail")
    rows = read.page(call.parts.core, call.caller, wanted, everybody=everybody)
    more = query.next_link(call, rows, wanted.limit, rows[-1].id if rows else "")
    return Reply(200, view.listed(view.look_of(call), rows, more))


def show(call: Call) -> Reply:
    """GET /servers/{server_id}."""
    return Reply(200, {"server": view.full(view.look_of(call), server_of(call), group=True)})


def create(call: Call) -> Reply:
    """POST /servers."""
    body = call.json(schema.create(call.version))
    request = boot_request(call, body)
    wants_id = wants_reservation(body)
    booted = booting.boot(call.parts.core, call.caller, request)
    if wants_id:
        return Reply(202, {"reservation_id": booted.reservation_id})
    look = view.look_of(call)
    server_id = booted.server_ids[0]
    groups = [{"name": name} for name in request.security_groups] or [{"name": "default"}]
    return Reply(202, {"server": {
        "id": server_id, "links": view.links(look, server_id), "OS-DCF:diskConfig": view.DISK_CONFIG,
        "security_groups": groups, "adminPass": booted.admin_pass,
    }}, {"Location": f"{look.here}/servers/{server_id}"})


def update(call: Call) -> Reply:
    """PUT /servers/{server_id}."""
    given = check_update(call, call.json())
    edit.update(call.parts.core, call.caller, id_of(call), _columns(given))
    return updated(call)


def check_update(call: Call, body: Any) -> Mapping[str, Any]:
    """What a PUT asks for. Raises `Invalid`."""
    given: Mapping[str, Any] = schema.update(call.version)(body)["server"]
    return given


def updated(call: Call) -> Reply:
    """The answer to a PUT: the server as it is known here now."""
    return Reply(200, {"server": view.full(view.look_of(call), server_of(call), group=True,
                                           extended=call.version >= (2, 75))})


def _columns(given: Mapping[str, Any]) -> dict[str, str | None]:
    values = {column: given[name] for name, column in COLUMNS.items() if name in given}
    for name, version in (("accessIPv4", 4), ("accessIPv6", 6)):
        if name in given:
            values[COLUMNS[name]] = access_ip(dict(given), name, version)
    return values


def delete(call: Call) -> Reply:
    """DELETE /servers/{server_id}."""
    deleting.delete(call.parts.core, call.caller, id_of(call))
    return Reply(204)
