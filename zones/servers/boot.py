"""Accept a boot: everything that a 202 promises, in one transaction."""

from dataclasses import dataclass
from typing import Any

from zones import states
from zones.config import Quota
from zones.db import action_log, changes, quotas, server_groups, work
from zones.db.engine import Connection, now
from zones.errors import Invalid, Unavailable
from zones.protocol import Caller, ImageValue, ServerSpec, encode
from zones.servers.core import Core
from zones.servers.request import BootRequest, Naming, name_it, resolve


@dataclass(frozen=True)
class Booted:
    """What was accepted."""

    server_ids: list[str]
    reservation_id: str
    admin_pass: str


def boot(core: Core, caller: Caller, request: BootRequest) -> Booted:
    """Accept between `min_count` and `max_count` servers; they exist, in BUILD, when this returns.

    Raises `Invalid`, `NotFound`, `OverQuota`, and `Unavailable` when too much work waits already.
    """
    if request.image_id is None:
        raise Invalid("Boot from volume is not possible in this zone: name an image with imageRef.",
                      code="no_volumes")
    image = core.images.value(caller, request.image_id)
    naming = name_it(request)
    sealed = core.seal(naming.admin_pass)
    ids = core.db.run(_accept, core, caller, request, naming, image, sealed)
    core.wires.wake()
    return Booted(ids, naming.reservation_id, naming.admin_pass)


def _accept(conn: Connection, core: Core, caller: Caller, request: BootRequest, naming: Naming,
            image: ImageValue, sealed_pass: str) -> list[str]:
    at = now(conn)
    if work.is_full(conn, core.max_backlog):
        raise Unavailable(f"{core.max_backlog} requests wait already; try again shortly",
                          code="backlog", retry_after=5)
    if changes.lock(conn, naming.server_ids[:1]):
        return sorted(changes.lock(conn, naming.server_ids), key=naming.server_ids.index)
    specs = resolve(conn, caller, request, naming, image, sealed_pass)
    flavor, exact = specs[0].flavor, request.min_count == len(specs)
    _check_group(conn, core, caller, specs[:request.min_count])
    if not exact:
        specs = specs[:quotas.reserve_between(
            conn, caller.owner_peer, caller.project_id, _limits(conn, core, caller),
            request.min_count, len(specs), flavor.vcpus, flavor.ram)]
        _check_group(conn, core, caller, specs)
    changes.insert_servers(conn, [_row(spec, request, at) for spec in specs])
    work.add(conn, [{"kind": "boot", "server_id": spec.id, "due_at": at, "created_at": at}
                    for spec in specs])
    action_log.begin(conn, [{
        "server_id": spec.id, "action": "create", "request_id": caller.request_id,
        "user_id": caller.user_id, "project_id": caller.project_id, "start_time": at}
        for spec in specs])
    if exact:  # at the end, for until the commit every other boot of the project waits for this row
        quotas.reserve(conn, caller.owner_peer, caller.project_id, _limits(conn, core, caller),
                       len(specs), len(specs) * flavor.vcpus, len(specs) * flavor.ram)
    return [spec.id for spec in specs]


def _limits(conn: Connection, core: Core, caller: Caller) -> Quota:
    return quotas.effective_limits(conn, caller.project_id, core.quota)


def _check_group(conn: Connection, core: Core, caller: Caller, specs: list[ServerSpec]) -> None:
    """Before quota in every case, for both wait for others."""
    if specs[0].group is not None:
        server_groups.check_room(conn, caller, specs[0].group.id, len(specs), core.quota)


def _row(spec: ServerSpec, request: BootRequest, at: float) -> dict[str, Any]:
    flavor = spec.flavor
    return {
        "id": spec.id, "owner_peer": spec.owner_peer, "project_id": spec.project_id,
        "user_id": spec.user_id, "name": spec.name, "hostname": spec.hostname,
        "description": spec.description, "flavor_id": flavor.id, "flavor": flavor_json(spec),
        "image_id": spec.image.id if spec.image else None, "vm_state": states.BUILDING,
        "task_state": "scheduling", "power_state": states.NOSTATE,
        "availability_zone": spec.availability_zone, "key_name": spec.key.name if spec.key else None,
        "metadata": spec.metadata, "tags": spec.tags, "addresses": {}, "user_data": spec.user_data,
        "config_drive": spec.config_drive, "access_ip_v4": request.access_ip_v4,
        "access_ip_v6": request.access_ip_v6, "reservation_id": spec.reservation_id,
        "launch_index": spec.launch_index, "group_id": spec.group.id if spec.group else None,
        "created_at": at, "updated_at": at, "spec": encode(spec), "quota_cores": flavor.vcpus,
        "quota_ram": flavor.ram, "version": 1}


def flavor_json(spec: ServerSpec) -> dict[str, Any]:
    """The flavor of a spec as the server's row keeps it."""
    flavor = spec.flavor
    return {name: getattr(flavor, name) for name in flavor.__struct_fields__}
