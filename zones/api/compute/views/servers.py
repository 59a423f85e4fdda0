"""Servers as the Compute API shows them, by microversion.

A list of a thousand must cost milliseconds: what is constant for a request is worked out once, in
`Look`; JSON that only passes through stays text (`orjson.Fragment`); what repeats is kept.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import orjson

from zones import states
from zones.api.wsgi import Call, Version
from zones.db.servers import ServerRow

DISK_CONFIG = "AUTO"
"""`OS-DCF:diskConfig` of every server: the root disk has the flavor's size, the guest grows into it."""

SILENT_SHOWN = (2, 69)
"""From here on a server whose zone does not answer is UNKNOWN; before, it is as it was last known."""

_SHOW_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE"})
_SHOW_FAULT = frozenset({"ERROR", "DELETED"})
_CHUNK = 100
"""Servers that are rendered before other green threads may run: about two milliseconds."""

_NO_OBJECT, _NO_LIST = orjson.Fragment(b"{}"), orjson.Fragment(b"[]")
_DEFAULT_GROUPS = [{"name": "default"}]


@dataclass(frozen=True)
class Look:
    """What one request may see, and how: made once for all of its servers.

    `host_status` is None where policy hides it, else host → UP, MAINTENANCE or UNKNOWN, asked for
    each host that is shown, for a zone may have ten thousand; `answering` are the neighbours that are
    linked and answer now.
    """

    version: Version
    here: str
    bookmark: str
    attributes: bool
    extra_specs: bool
    fault_details: bool
    host_status: Callable[[str], str] | None
    answering: frozenset[str] = frozenset()
    flavors: dict[str, Any] = field(default_factory=dict)
    groups: dict[str | None, Any] = field(default_factory=dict)
    host_ids: dict[tuple[str, str | None], str] = field(default_factory=dict)


def look_of(call: Call) -> Look:
    """The look of this call: its microversion, its links, what policy lets it see."""
    project = call.params.get("url_project")
    below = f"/{project}" if project else ""
    host_status = None
    if call.version >= (2, 16) and call.may("os_compute_api:servers:show:host_status"):
        host_status = cache(call.parts.host_status)
    attributes = call.may("os_compute_api:os-extended-server-attributes")
    specs = call.version >= (2, 47) and call.may("os_compute_api:servers:show:flavor-extra-specs")
    return Look(version=call.version, here=call.url(f"/v2.1{below}"), bookmark=call.url(below),
                attributes=attributes, extra_specs=specs, fault_details=call.caller.is_admin,
                host_status=host_status, answering=_answering(call))


def _answering(call: Call) -> frozenset[str]:
    linked = frozenset(link.zone_uuid for link in call.parts.links())
    return linked - call.parts.silent() if linked else linked


def links(look: Look, server_id: str) -> list[dict[str, str]]:
    """`self` and `bookmark` of a server."""
    return [{"rel": "self", "href": f"{look.here}/servers/{server_id}"},
            {"rel": "bookmark", "href": f"{look.bookmark}/servers/{server_id}"}]


def brief(look: Look, server_id: str, name: str) -> dict[str, Any]:
    """A server in the short list."""
    return {"id": server_id, "name": name, "links": links(look, server_id)}


def full(look: Look, row: ServerRow, *, group: bool = False, extended: bool = True) -> dict[str, Any]:
    """Everything that is to be seen of a server.

    `group` adds `server_groups` from 2.71 on, which a list never shows. Without `extended` it is
    what PUT and rebuild answer below 2.75.
    """
    shown = _core(look, row)
    version = look.version
    if extended:
        _extend(look, row, shown)
    if version >= (2, 9):
        shown["locked"] = bool(row.locked)
    if version >= (2, 19):
        shown["description"] = row.description
    if version >= (2, 26):
        shown["tags"] = orjson.Fragment(row.tags) if row.tags else _NO_LIST
    if version >= (2, 63):
        shown["trusted_image_certificates"] = None
    if group and version >= (2, 71):
        shown["server_groups"] = [row.group_id] if row.group_id else []
    if version >= (2, 73):
        shown["locked_reason"] = row.locked_reason
    if version >= (2, 90):
        shown["OS-EXT-SRV-ATTR:hostname"] = row.hostname
    return shown


def listed(look: Look, rows: Sequence[ServerRow], more: Sequence[Mapping[str, str]]) -> bytes:
    """The body of a detailed list: `servers`, and `servers_links` when there is a next page."""
    pieces = b",".join(_pieces(look, rows))
    tail = b',"servers_links":' + orjson.dumps(more) if more else b""
    return b'{"servers":[' + pieces + b"]" + tail + b"}"


def _pieces(look: Look, rows: Sequence[ServerRow]) -> Iterator[bytes]:
    for start in range(0, len(rows), _CHUNK):
        if start:
            time.sleep(0)
        yield orjson.dumps([full(look, row) for row in rows[start:start + _CHUNK]])[1:-1]


def _core(look: Look, row: ServerRow) -> dict[str, Any]:
    status = states.status(row.vm_state, row.task_state)
    if row.zone_uuid is not None and look.version >= SILENT_SHOWN and not row.deleted:
        status = status if row.zone_uuid in look.answering else "UNKNOWN"
    image: Any = ""
    if row.image_id:
        image = {"id": row.image_id, "links": [
            {"rel": "bookmark", "href": f"{look.bookmark}/images/{row.image_id}"}]}
    shown: dict[str, Any] = {
        "id": row.id, "name": row.name, "status": status, "tenant_id": row.project_id,
        "user_id": row.user_id,
        "metadata": orjson.Fragment(row.metadata) if row.metadata else _NO_OBJECT,
        "hostId": host_id(look, row), "image": image, "flavor": _flavor(look, row.flavor),
        "created": instant(row.created_at), "updated": instant(row.updated_at or row.created_at),
        "addresses": orjson.Fragment(row.addresses) if row.addresses else _NO_OBJECT,
        "accessIPv4": row.access_ip_v4 or "", "accessIPv6": row.access_ip_v6 or "",
        "links": links(look, row.id), "OS-DCF:diskConfig": DISK_CONFIG,
    }
    if status in _SHOW_PROGRESS:
        shown["progress"] = row.progress
    elif status in _SHOW_FAULT and row.fault:
        shown["fault"] = _fault(look, row.fault)
    return shown


def _extend(look: Look, row: ServerRow, shown: dict[str, Any]) -> None:
    shown["OS-EXT-AZ:availability_zone"] = row.availability_zone or ""
    shown["config_drive"] = "True" if row.config_drive else ""
    shown["key_name"] = row.key_name
    shown["OS-SRV-USG:launched_at"] = _naive(row.launched_at)
    shown["OS-SRV-USG:terminated_at"] = _naive(row.terminated_at)
    shown["OS-EXT-STS:task_state"] = row.task_state
    shown["OS-EXT-STS:vm_state"] = row.vm_state
    shown["OS-EXT-STS:power_state"] = row.power_state
    shown["os-extended-volumes:volumes_attached"] = []
    shown["security_groups"] = security_groups(look, row.security_groups)
    if look.attributes:
        _add_attributes(look, row, shown)
    if look.host_status is not None:
        shown["host_status"] = _host_status(look, row, look.host_status)


def _host_status(look: Look, row: ServerRow, of_host: Callable[[str], str]) -> str:
    """Of a server in a neighbour it is told by the link: whether that zone answers."""
    if row.zone_uuid is not None:
        return "UP" if row.zone_uuid in look.answering else "UNKNOWN"
    return of_host(row.host) if row.host else ""


def _add_attributes(look: Look, row: ServerRow, shown: dict[str, Any]) -> None:
    shown["OS-EXT-SRV-ATTR:host"] = shown["OS-EXT-SRV-ATTR:hypervisor_hostname"] = host_of(row)
    shown["OS-EXT-SRV-ATTR:instance_name"] = f"instance-{row.id[:8]}"
    if look.version >= (2, 3):
        shown["OS-EXT-SRV-ATTR:hostname"] = row.hostname
        shown["OS-EXT-SRV-ATTR:reservation_id"] = row.reservation_id
        shown["OS-EXT-SRV-ATTR:launch_index"] = row.launch_index
        shown["OS-EXT-SRV-ATTR:kernel_id"] = ""
        shown["OS-EXT-SRV-ATTR:ramdisk_id"] = ""
        shown["OS-EXT-SRV-ATTR:root_device_name"] = "/dev/vda"
        shown["OS-EXT-SRV-ATTR:user_data"] = row.user_data


def _flavor(look: Look, text: str) -> Any:
    shown = look.flavors.get(text)
    if shown is None:
        shown = look.flavors[text] = orjson.Fragment(orjson.dumps(_flavor_of(look, orjson.loads(text))))
    return shown


def _flavor_of(look: Look, flavor: dict[str, Any]) -> dict[str, Any]:
    if look.version < (2, 47):
        return {"id": flavor["id"], "links": [
            {"rel": "bookmark", "href": f"{look.bookmark}/flavors/{flavor['id']}"}]}
    shown = {"original_name": flavor["name"], "vcpus": flavor["vcpus"], "ram": flavor["ram"],
             "disk": flavor["disk"], "ephemeral": flavor.get("ephemeral", 0),
             "swap": flavor.get("swap", 0)}
    if look.extra_specs:
        shown["extra_specs"] = flavor.get("extra_specs") or {}
    return shown


def security_groups(look: Look, text: str | None) -> Any:
    """`[{"name": …}]` of a JSON list of names; none asked for is the default one."""
    shown = look.groups.get(text)
    if shown is None:
        names = orjson.loads(text) if text else []
        shown = look.groups[text] = [{"name": name} for name in names] or _DEFAULT_GROUPS
    return shown


def host_of(row: ServerRow) -> str | None:
    """Where a server is, for operators: its host, or the zones down to it, such as "east/rack-7"."""
    return row.host if row.zone_uuid is None else "/".join(orjson.loads(row.host_path or "[]")) or None


def host_id(look: Look, row: ServerRow) -> str:
    """The host's name as this project may know it: equal for servers of one host, else a riddle.

    All that is known of a server in another zone is that zone.
    """
    key = (row.project_id, row.host if row.zone_uuid is None else row.zone_uuid)
    shown = look.host_ids.get(key)
    if shown is None:
        shown = look.host_ids[key] = hide_host(*key)
    return shown


def hide_host(project_id: str, host: str | None) -> str:
    """SHA-224 of project and host; empty while there is no host."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def _fault(look: Look, text: str) -> dict[str, Any]:
    fault = orjson.loads(text)
    created = fault.get("created")
    shown = {"code": fault.get("code", 500), "message": fault.get("message", ""),
             "created": instant(created) if isinstance(created, int | float) else created}
    if fault.get("details") and (look.fault_details or shown["code"] != 500):
        shown["details"] = fault["details"]
    return shown


def instant(seconds: float) -> str:
    """`2026-11-20T12:00:00Z`."""
    minute, second = divmod(int(seconds), 60)
    return f"{_minute(minute)}{second:02}Z"


def _naive(seconds: float | None) -> str | None:
    """`times.naive`, three times as fast."""
    if seconds is None:
        return None
    minute, microseconds = divmod(round(seconds * 1e6), 60_000_000)
    return f"{_minute(minute)}{microseconds // 1_000_000:02}.{microseconds % 1_000_000:06}"


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(minute * 60))
