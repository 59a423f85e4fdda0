"""Accept a boot: everything that a 202 promises, in one transaction."""

from dataclasses import dataclass
from typing import Any

from zones import states
from zones.config import Quota
from zones.db import action_log, changes, flavors, quotas, server_groups, work
from zones.db.engine import Connection, now
from zones.errors import Invalid, OverQuota, Unavailable, ZonesError
from zones.protocol import Caller, FlavorValue, ServerSpec, encode
from zones.servers.core import Core
from zones.servers.intake import Outcome, Wanted
from zones.servers.request import BootRequest, name_it, resolve


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
    wanted = Wanted(caller, request, naming, image, core.seal(naming.admin_pass))
    ids = core.intake.take(wanted, lambda batch: core.db.run(_accept, core, batch))
    core.wires.wake()
    return Booted(ids, naming.reservation_id, naming.admin_pass)


def _accept(conn: Connection, core: Core, batch: list[Wanted]) -> list[Outcome]:
    """Each request for itself: what is wrong with one is no matter to the others."""
    at = now(conn)
    if work.is_full(conn, core.max_backlog):
        raise Unavailable(f"{core.max_backlog} requests wait already; try again shortly",
                          code="backlog", retry_after=5)
    outcomes: dict[Wanted, Outcome] = _made_before(conn, batch)
    specs: dict[Wanted, list[ServerSpec]] = {}
    known: dict[tuple[bool, str, str], FlavorValue] = {}
    for wanted in batch:
        if wanted not in outcomes:
            try:
                specs[wanted] = resolve(conn, wanted.caller, wanted.request, wanted.naming, wanted.image,
                                        wanted.sealed_pass, _flavor(conn, wanted, known))
            except ZonesError as error:
                outcomes[wanted] = error
    for project in sorted({(one.caller.owner_peer, one.caller.project_id) for one in specs}):
        of_project = [one for one in specs if (one.caller.owner_peer, one.caller.project_id) == project]
        _take_quota(conn, core, of_project, specs, outcomes)
    _insert(conn, at, [(one, spec) for one in specs if one not in outcomes for spec in specs[one]])
    return [outcomes.get(one) or [spec.id for spec in specs[one]] for one in batch]


def _made_before(conn: Connection, batch: list[Wanted]) -> dict[Wanted, Outcome]:
    """What an earlier run of this transaction made, whose commit was not heard of."""
    there = changes.lock(conn, [wanted.naming.server_ids[0] for wanted in batch])
    found: dict[Wanted, Outcome] = {}
    for wanted in batch:
        ids = wanted.naming.server_ids
        if ids[0] in there:
            found[wanted] = sorted(changes.lock(conn, ids), key=ids.index)
    return found


def _flavor(conn: Connection, wanted: Wanted, known: dict[tuple[bool, str, str], FlavorValue]) -> FlavorValue:
    """The flavor, read once for all who ask for it with the same rights."""
    key = wanted.caller.is_admin, wanted.caller.project_id, wanted.request.flavor_id
    if key not in known:
        known[key] = flavors.value(conn, wanted.caller, wanted.request.flavor_id)
    return known[key]


def _take_quota(conn: Connection, core: Core, asked: list[Wanted], specs: dict[Wanted, list[ServerSpec]],
                outcomes: dict[Wanted, Outcome]) -> None:
    """Reserve for requests of one project: for all at once or, where not all have room, in turn."""
    caller, first = asked[0].caller, asked[0]
    limits = quotas.effective_limits(conn, caller.project_id, core.quota)
    if first.alone:  # what it raises undoes its transaction, in which nobody else is
        specs[first] = _as_many_as_fit(conn, core, first, specs[first], limits)
        return
    every = [spec for one in asked for spec in specs[one]]
    if len(asked) > 1 and _reserve(conn, limits, caller, every) is None:
        return
    for one in asked:
        error = _reserve(conn, limits, caller, specs[one])
        if error is not None:
            outcomes[one] = error


def _reserve(conn: Connection, limits: Quota, caller: Caller, specs: list[ServerSpec]) -> OverQuota | None:
    """Count all of these servers; or none, and why."""
    try:
        quotas.reserve(conn, caller.owner_peer, caller.project_id, limits, len(specs),
                       sum(spec.flavor.vcpus for spec in specs), sum(spec.flavor.ram for spec in specs))
    except OverQuota as error:
        return error
    return None


def _as_many_as_fit(conn: Connection, core: Core, wanted: Wanted, specs: list[ServerSpec],
                    limits: Quota) -> list[ServerSpec]:
    """As many as quota allows, reserved; at least `min_count`, or `OverQuota`."""
    caller, flavor, group = wanted.caller, specs[0].flavor, specs[0].group
    number = quotas.reserve_between(conn, caller.owner_peer, caller.project_id, limits,
                                    wanted.request.min_count, len(specs), flavor.vcpus, flavor.ram)
    if group is not None:
        server_groups.check_room(conn, caller, group.id, number, core.quota)
    return specs[:number]


def _insert(conn: Connection, at: float, made: list[tuple[Wanted, ServerSpec]]) -> None:
    if not made:
        return
    changes.insert_servers(conn, [row_of(spec, at) for _, spec in made])
    work.add(conn, [{"kind": "boot", "server_id": spec.id, "due_at": at, "created_at": at}
                    for _, spec in made])
    action_log.begin(conn, [{
        "server_id": spec.id, "action": "create", "request_id": one.caller.request_id,
        "user_id": one.caller.user_id, "project_id": one.caller.project_id, "start_time": at}
        for one, spec in made])


def row_of(spec: ServerSpec, at: float) -> dict[str, Any]:
    """The row of a server that is booted now."""
    flavor = spec.flavor
    return {
        "id": spec.id, "owner_peer": spec.owner_peer, "project_id": spec.project_id,
        "user_id": spec.user_id, "name": spec.name, "hostname": spec.hostname,
        "description": spec.description, "flavor_id": flavor.id, "flavor": flavor_json(spec),
        "image_id": spec.image.id if spec.image else None, "vm_state": states.BUILDING,
        "task_state": "scheduling", "power_state": states.NOSTATE,
        "availability_zone": spec.availability_zone, "key_name": spec.key.name if spec.key else None,
        "metadata": spec.metadata, "tags": spec.tags, "addresses": {}, "user_data": spec.user_data,
        "config_drive": spec.config_drive, "access_ip_v4": spec.access_ip_v4,
        "access_ip_v6": spec.access_ip_v6, "reservation_id": spec.reservation_id,
        "launch_index": spec.launch_index, "group_id": spec.group.id if spec.group else None,
        "created_at": at, "updated_at": at, "spec": encode(spec), "quota_cores": flavor.vcpus,
        "quota_ram": flavor.ram, "version": 1}


def flavor_json(spec: ServerSpec) -> dict[str, Any]:
    """The flavor of a spec as the server's row keeps it."""
    flavor = spec.flavor
    return {name: getattr(flavor, name) for name in flavor.__struct_fields__}
