"""The tags of a server (2.26): all, or one."""

from urllib.parse import quote

from zones.api.compute.schemas import tags as schema
from zones.api.compute.servers import id_of, server_of
from zones.api.compute.views import servers as view
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound
from zones.servers import edit, read


def index(call: Call) -> Reply:
    """GET /servers/{server_id}/tags."""
    return Reply(200, {"tags": read.tags(server_of(call))})


def show(call: Call) -> Reply:
    """GET /servers/{server_id}/tags/{tag}: 204 when the server has it."""
    tag = call.params["tag"]
    server = server_of(call)
    if tag not in read.tags(server):
        raise NotFound(f"Server {server.id} has no tag '{tag[:80]}'", code="no_such_tag")
    return Reply(204)


def replace(call: Call) -> Reply:
    """PUT /servers/{server_id}/tags: these tags and no others."""
    wanted = call.json(schema.ALL)["tags"]
    return Reply(200, {"tags": edit.replace_tags(call.parts.core, call.caller, id_of(call), wanted)})


def add(call: Call) -> Reply:
    """PUT /servers/{server_id}/tags/{tag}: 201 when it is new, else 204."""
    tag = schema.ONE({"tag": call.params["tag"]})["tag"]
    server_id = id_of(call)
    if not edit.add_tag(call.parts.core, call.caller, server_id, tag):
        return Reply(204)
    here = view.look_of(call).here
    return Reply(201, None, {"Location": f"{here}/servers/{server_id}/tags/{quote(tag)}"})


def delete(call: Call) -> Reply:
    """DELETE /servers/{server_id}/tags/{tag}."""
    edit.delete_tag(call.parts.core, call.caller, id_of(call), call.params["tag"])
    return Reply(204)


def clear(call: Call) -> Reply:
    """DELETE /servers/{server_id}/tags."""
    edit.replace_tags(call.parts.core, call.caller, id_of(call), [])
    return Reply(204)
