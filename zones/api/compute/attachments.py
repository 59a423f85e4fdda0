"""What a server is attached to: addresses, interfaces, security groups, volumes. All read only."""

import uuid
from typing import Any

from zones.api.compute.networks import default_group
from zones.api.compute.servers import server_of
from zones.api.wsgi import Call, Reply
from zones.db.servers import ServerRow
from zones.errors import NotFound, NotServed
from zones.servers import read

_NAMES = uuid.UUID("6f4b0a52-5f0e-4c4c-9a6e-2f3f3a1f6f0d")
"""The name space of ids that follow from what they name."""
TAGGED = (2, 70)


def addresses(call: Call) -> Reply:
    """GET /servers/{server_id}/ips."""
    return Reply(200, {"addresses": {name: _plain(entries) for name, entries in
                                     read.addresses(server_of(call)).items()}})


def network(call: Call) -> Reply:
    """GET /servers/{server_id}/ips/{network}."""
    name = call.params["network"]
    found = read.addresses(server_of(call))
    if name not in found:
        raise NotFound("Instance is not a member of specified network", code="no_such_network")
    return Reply(200, {name: _plain(found[name])})


def interfaces(call: Call) -> Reply:
    """GET /servers/{server_id}/os-interface."""
    return Reply(200, {"interfaceAttachments": _interfaces(call, server_of(call))})


def interface(call: Call) -> Reply:
    """GET /servers/{server_id}/os-interface/{port_id}."""
    for shown in _interfaces(call, server_of(call)):
        if shown["port_id"] == call.params["port_id"]:
            return Reply(200, {"interfaceAttachment": shown})
    raise NotFound(f"Port {call.params['port_id'][:64]} could not be found.", code="no_such_port")


def security_groups(call: Call) -> Reply:
    """GET /servers/{server_id}/os-security-groups."""
    server = server_of(call)
    default = default_group(server.project_id)
    return Reply(200, {"security_groups": [
        default if name in ("default", default["id"]) else
        {"id": str(uuid.uuid5(_NAMES, f"{server.project_id}/{name}")), "name": name, "description": "",
         "rules": [], "tenant_id": server.project_id} for name in read.security_groups(server)]})


def volumes(call: Call) -> Reply:
    """GET /servers/{server_id}/os-volume_attachments: none, for there are no volumes."""
    server_of(call)
    return Reply(200, {"volumeAttachments": []})


def volume(call: Call) -> Reply:
    """Any request for one volume of a server: it has none."""
    server_of(call)
    raise NotFound(f"Volume {call.params['volume_id'][:64]} could not be found.", code="no_such_volume")


def migrations(call: Call) -> Reply:
    """GET /servers/{server_id}/migrations: none is ever under way."""
    server_of(call)
    return Reply(200, {"migrations": []})


def refused(call: Call) -> Reply:
    """What would change an attachment, or open a console."""
    server_of(call)
    raise NotServed("What a server is attached to is chosen when it is created, and remote consoles "
                    "are not served in this zone.", code="not_served")


def password(call: Call) -> Reply:
    """GET /servers/{server_id}/os-server-password: no server reports one."""
    server_of(call)
    return Reply(200, {"password": ""})


def forget_password(call: Call) -> Reply:
    """DELETE /servers/{server_id}/os-server-password: there is none to forget."""
    server_of(call)
    return Reply(204)


def _plain(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"version": entry.get("version", 4), "addr": entry["addr"]} for entry in entries]


def _interfaces(call: Call, server: ServerRow) -> list[dict[str, Any]]:
    """One interface a network and MAC, with the fixed addresses that it has there."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, entries in read.addresses(server).items():
        for entry in entries:
            if entry.get("OS-EXT-IPS:type", "fixed") != "fixed":
                continue
            mac = entry.get("OS-EXT-IPS-MAC:mac_addr", "")
            shown = found.setdefault((name, mac), {
                "net_id": str(uuid.uuid5(_NAMES, name)), "mac_addr": mac, "port_state": "ACTIVE",
                "port_id": str(uuid.uuid5(_NAMES, f"{server.id}/{name}/{mac}")), "fixed_ips": []})
            shown["fixed_ips"].append({"ip_address": entry["addr"],
                                       "subnet_id": str(uuid.uuid5(_NAMES, f"{name}/subnet"))})
    if call.version >= TAGGED:
        return [{**shown, "tag": None} for shown in found.values()]
    return list(found.values())
