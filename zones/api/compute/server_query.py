"""From the query string of GET /servers to a `ServerQuery`.

Which filters there are at a microversion, and which of them are for administrators, is Nova's
(API reference, "List Servers"). What the caller may not use is ignored, as Nova does.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from zones import states
from zones.api.compute import query
from zones.api.wsgi import Call, Version
from zones.db.servers import ServerQuery
from zones.errors import Forbidden, Invalid

_TEXT = {
    "user_id": "user_id", "project_id": "project_id", "tenant_id": "project_id", "image": "image_id",
    "image_ref": "image_id", "flavor": "flavor_id", "host": "host", "node": "host", "uuid": "id",
    "reservation_id": "reservation_id", "key_name": "key_name", "availability_zone": "availability_zone",
    "access_ip_v4": "access_ip_v4", "access_ip_v6": "access_ip_v6", "vm_state": "vm_state",
    "task_state": "task_state"}
_NUMBERS = ("launch_index", "power_state", "progress")
_FLAGS = ("config_drive", "locked")
_TIMES = ("created_at", "launched_at", "terminated_at")
_MATCHING = {"name": "name", "display_name": "name", "description": "description",
             "display_description": "description", "hostname": "hostname"}
_CONSTANT = {"kernel_id": "", "ramdisk_id": "", "root_device_name": "/dev/vda"}
_TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
_JOINED = frozenset({"block_device_mapping", "services", "metadata", "system_metadata", "info_cache",
                     "security_groups", "pci_devices"})
_OTHERS = ("all_tenants", "auto_disk_config", "changes-since", "deleted", "ip", "ip6", "limit",
           "locked_by", "marker", "soft_deleted", "sort_dir", "sort_key", "status")

_KNOWN_SINCE: Mapping[Version, Sequence[str]] = {
    (2, 1): (*(name for name in (*_TEXT, *_NUMBERS, *_FLAGS, *_TIMES) if name != "locked"), *_MATCHING,
             *_CONSTANT, *_JOINED, *_OTHERS),
    (2, 26): _TAGS, (2, 66): ("changes-before",), (2, 73): ("locked",)}
_FOR_ALL_SINCE: Mapping[Version, Sequence[str]] = {
    (2, 1): ("reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"),
    (2, 5): ("ip6",), (2, 26): _TAGS, (2, 66): ("changes-before",), (2, 73): ("locked",),
    (2, 83): ("availability_zone", "config_drive", "key_name", "created_at", "launched_at",
              "terminated_at", "power_state", "task_state", "vm_state", "progress", "user_id"),
    (2, 90): ("hostname",)}

_SORT = {
    "access_ip_v4": "access_ip_v4", "access_ip_v6": "access_ip_v6", "availability_zone":
    "availability_zone", "config_drive": "config_drive", "created_at": "created_at",
    "display_description": "description", "display_name": "name", "host": "host",
    "hostname": "hostname", "image_ref": "image_id", "instance_type_id": "flavor_id",
    "key_name": "key_name", "launch_index": "launch_index", "launched_at": "launched_at",
    "locked_by": "locked", "node": "host", "power_state": "power_state", "progress": "progress",
    "project_id": "project_id", "task_state": "task_state", "terminated_at": "terminated_at",
    "updated_at": "updated_at", "user_id": "user_id", "uuid": "id", "vm_state": "vm_state",
    "auto_disk_config": None, "kernel_id": None, "ramdisk_id": None, "root_device_name": None}
"""Nova's sort keys → columns; None is the same for every server."""
_SORT_IGNORED = frozenset({
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
    "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data",
    "launched_on", "locked", "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate",
    "user_data", "vcpus", "vm_mode"})
_MAX_SORT_KEYS = 8
_MAX_TAGS = 64


def server_query(call: Call, operation: str) -> tuple[ServerQuery, bool]:
    """The query, and whether it crosses projects. `operation` is index or detail, as in the policy.

    Raises `Invalid`, and `Forbidden` for what is for administrators only.
    """
    query.only(call, _at(call.version, _KNOWN_SINCE))
    given = _usable(call)
    everybody = _everybody(call, given, operation)
    if not everybody:
        given = {name: value for name, value in given.items() if name not in ("tenant_id", "project_id")}
    statuses, deleted = _statuses(call)
    if _matches_nothing(given):
        statuses = []
    since, before = _changes(given)
    if deleted is None and "deleted" in given:
        deleted = query.parse_boolean("deleted", given["deleted"])
    elif deleted is None and since is None and before is None:
        deleted = False
    tags = {name: _tags(given.get(name)) for name in _TAGS}
    found = ServerQuery(
        equal=_equal(given),
        matching={column: given[name] for name, column in _MATCHING.items() if name in given},
        between={name: _second(name, given[name]) for name in _TIMES if name in given},
        statuses=statuses, addresses=[given[name] for name in ("ip", "ip6") if name in given],
        tags=tags["tags"], tags_any=tags["tags-any"], not_tags=tags["not-tags"],
        not_tags_any=tags["not-tags-any"], changed_since=since, changed_before=before, deleted=deleted,
        sort=_sort(call), limit=query.limit(call), marker=query.text(call, "marker"))
    return found, everybody


def _at(version: Version, since: Mapping[Version, Sequence[str]]) -> set[str]:
    return {name for start, names in since.items() if version >= start for name in names}


def _usable(call: Call) -> dict[str, str]:
    """The filters that are known at this microversion and that this caller may use."""
    known = _at(call.version, _KNOWN_SINCE)
    everything = call.may("os_compute_api:servers:allow_all_filters")
    usable = known if everything else known & _at(call.version, _FOR_ALL_SINCE)
    for name in call.request.GET:
        if everything and (name in _JOINED or name.startswith("_")):
            raise Invalid(f"Invalid filter field: {name[:80]}.", code="bad_filter")
    found = {name: query.text(call, name) for name in sorted(usable & set(call.request.GET))}
    return {name: value for name, value in found.items() if value is not None}


def _everybody(call: Call, given: dict[str, str], operation: str) -> bool:
    named = "tenant_id" in given or "project_id" in given
    if "all_tenants" not in given:
        return named
    if given["all_tenants"] != "" and not query.parse_boolean("all_tenants", given["all_tenants"]):
        return False
    rule = f"os_compute_api:servers:{operation}:get_all_tenants"
    if not call.may(rule):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.", code="policy")
    return True


def _statuses(call: Call) -> tuple[list[tuple[str, str | None]] | None, bool | None]:
    """The states of the statuses asked for, and True when it is deleted servers that are wanted."""
    wanted = call.request.GET.getall("status")
    if not wanted:
        return None, None
    pairs = [pair for status in wanted for pair in states.vm_states_of(status)]
    if not pairs and call.version >= (2, 38):
        raise Invalid("Invalid status value", code="bad_status")
    if {vm for vm, _ in pairs} != {states.DELETED}:
        return pairs, None
    if not call.caller.is_admin:
        raise Forbidden("Only administrators may list deleted instances", code="policy")
    return pairs, True


def _matches_nothing(given: dict[str, str]) -> bool:
    """Whether a filter asks for what no server of ours has."""
    return (any(given[name] != value for name, value in _CONSTANT.items() if name in given)
            or query.parse_boolean("soft_deleted", given.get("soft_deleted", "false"))
            or not query.parse_boolean("auto_disk_config", given.get("auto_disk_config", "true")))


def _equal(given: dict[str, str]) -> dict[str, Sequence[Any]]:
    equal: dict[str, Sequence[Any]] = {
        column: [given[name]] for name, column in _TEXT.items() if name in given}
    for name in _NUMBERS:
        if name in given:
            equal[name] = [_number(name, given[name])]
    for name in _FLAGS:
        if name in given:
            equal[name] = [query.parse_boolean(name, given[name])]
    if "locked_by" in given:
        equal["locked"] = [True]
    return equal


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(f"Invalid filter {name}: '{text[:80]}' is not a number", code="bad_filter")
    return int(text)


def _tags(text: str | None) -> list[str]:
    tags = text.split(",") if text is not None else []
    if len(tags) > _MAX_TAGS:
        raise Invalid(f"At most {_MAX_TAGS} tags can be searched for", code="bad_filter")
    return tags


def _changes(given: dict[str, str]) -> tuple[float | None, float | None]:
    since, before = (parse_instant(name, given[name]) if name in given else None
                     for name in ("changes-since", "changes-before"))
    if since is not None and before is not None and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.",
                      code="bad_filter")
    return since, before


def _second(name: str, text: str) -> tuple[float, float]:
    start = parse_instant(name, text)
    return start, start + 1


def parse_instant(name: str, text: str) -> float:
    """An ISO 8601 time in seconds since the epoch; UTC where it does not say. Raises `Invalid`."""
    try:
        # a '+' that the client did not quote arrives as a space
        when = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(f"Invalid input for query parameters {name}. Value: {text[:80]}. "
                      "It is not a date-time", code="bad_filter") from error


def _sort(call: Call) -> list[tuple[str, bool]]:
    keys, directions = call.request.GET.getall("sort_key"), call.request.GET.getall("sort_dir")
    if len(keys) > _MAX_SORT_KEYS:
        raise Invalid(f"At most {_MAX_SORT_KEYS} sort keys can be given", code="bad_sort")
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise Invalid(f"Unknown sort direction '{direction[:80]}', must be one of: asc, desc",
                          code="bad_sort")
    chosen: dict[str, bool] = {}
    first = not directions or directions[0] == "desc"
    for index, key in enumerate(keys):
        column = _sort_column(call, key)
        if column is not None:
            chosen.setdefault(column, directions[index] == "desc" if index < len(directions) else first)
    chosen.setdefault("created_at", first)
    chosen.setdefault("id", first)
    return list(chosen.items())


def _sort_column(call: Call, key: str) -> str | None:
    if key == "locked" and call.version >= (2, 73):
        return "locked"
    if key in _SORT_IGNORED and call.version < query.STRICT:
        return None
    if key not in _SORT:
        raise Invalid(f"Invalid sort key '{key[:80]}'", code="bad_sort")
    if key in ("host", "node") and not call.caller.is_admin:
        raise Forbidden(f"Only administrators can sort servers by {key}", code="policy")
    return _SORT[key]
