"""The metadata of a server: all items, or one."""

from zones.api.compute.schemas import metadata as schema
from zones.api.compute.servers import id_of, server_of
from zones.api.wsgi import Call, Reply
from zones.errors import Invalid, NotFound
from zones.servers import edit, read


def index(call: Call) -> Reply:
    """GET /servers/{server_id}/metadata."""
    return Reply(200, {"metadata": read.metadata(server_of(call))})


def show(call: Call) -> Reply:
    """GET /servers/{server_id}/metadata/{key}."""
    key = call.params["key"]
    items = read.metadata(server_of(call))
    if key not in items:
        raise NotFound("Metadata item was not found", code="no_such_item")
    return Reply(200, {"meta": {key: items[key]}})


def replace(call: Call) -> Reply:
    """PUT /servers/{server_id}/metadata: these items and no others."""
    items = call.json(schema.ITEMS)["metadata"]
    return Reply(200, {"metadata": edit.replace_metadata(call.parts.core, call.caller, id_of(call), items)})


def merge(call: Call) -> Reply:
    """POST /servers/{server_id}/metadata: these items beside the others."""
    items = call.json(schema.ITEMS)["metadata"]
    return Reply(200, {"metadata": edit.merge_metadata(call.parts.core, call.caller, id_of(call), items)})


def update(call: Call) -> Reply:
    """PUT /servers/{server_id}/metadata/{key}."""
    items, key = call.json(schema.ITEM)["meta"], call.params["key"]
    if key not in items:
        raise Invalid("Request body and URI mismatch", code="two_keys")
    edit.merge_metadata(call.parts.core, call.caller, id_of(call), items)
    return Reply(200, {"meta": items})


def delete(call: Call) -> Reply:
    """DELETE /servers/{server_id}/metadata/{key}."""
    edit.delete_metadata(call.parts.core, call.caller, id_of(call), call.params["key"])
    return Reply(204)
