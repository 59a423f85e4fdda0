"""The bodies that make and change a server, by microversion.

Source: Compute API reference, "Create Server", "Update Server", "Rebuild Server".
"""

from collections.abc import Mapping
from typing import Any

from zones.api.compute.schemas.by_version import by_version, fields_at
from zones.api.compute.schemas.fields import BOOLEAN, LOOSE_NAME, NAME, TEXT, Schema, integer, members
from zones.api.wsgi import Version

FIRST, LAST = (2, 1), (99, 99)
MAX_USER_DATA = 65535

UUID: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"}
UUID_OR_NULL: Schema = {**UUID, "type": ["string", "null"]}
NAME_OR_NULL: Schema = {**NAME, "type": ["string", "null"]}
PASSWORD: Schema = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
DISK_CONFIG: Schema = {"enum": ["AUTO", "MANUAL"]}
ADDRESS: Schema = {"type": "string", "maxLength": 64, "pattern": "^[0-9a-fA-F:.]*$"}
TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": r"^[^,/\x00]*$"}
TAGS: Schema = {"type": "array", "items": TAG, "maxItems": 50}
NIC_TAG: Schema = {**TAG}
HOSTNAME: Schema = {"type": "string", "minLength": 1, "maxLength": 63,
                    "pattern": r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"}
HOST: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"}
FLAVOR_REF: Schema = {"type": ["string", "integer"], "minLength": 1, "maxLength": 255,
                      "pattern": r"^[^\x00]*$"}
IMAGE_REF: Schema = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
USER_DATA: Schema = {"type": "string", "maxLength": MAX_USER_DATA}
USER_DATA_OR_NULL: Schema = {**USER_DATA, "type": ["string", "null"]}
CERTIFICATES: Schema = {"type": ["array", "null"], "minItems": 1, "maxItems": 50, "uniqueItems": True,
                        "items": {"type": "string", "minLength": 1}}
METADATA: Schema = {
    "type": "object", "additionalProperties": False,
    "patternProperties": {r"^[a-zA-Z0-9\-_:. ]{1,255}$": {
        "type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}}}
FILES: Schema = {"type": "array", "items": members({
    "path": {"type": "string", "pattern": r"^[^\x00]*$"}, "contents": {"type": "string"}})}
RESERVATION: Schema = {"type": "string", "maxLength": 64, "pattern": "^[a-zA-Z0-9._-]+$"}
HINTS: Schema = {"type": "object", "maxProperties": 64}
GROUPS: Schema = {"type": "array", "maxItems": 64, "items": members({}, {"name": NAME})}

_LEGACY_DEVICE: dict[str, Schema] = {
    "virtual_name": {"type": "string", "maxLength": 255}, "volume_id": UUID, "snapshot_id": UUID,
    "volume_size": integer(0), "device_name": {**HOST, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN, "no_device": {}, "connection_info": {"type": "string"}}
_DEVICE: dict[str, Schema] = {
    **_LEGACY_DEVICE,
    "source_type": {"enum": ["volume", "image", "snapshot", "blank"]}, "uuid": HOST, "image_id": UUID,
    "destination_type": {"enum": ["local", "volume"]},
    "guest_format": {"type": "string", "maxLength": 255},
    "device_type": {"type": "string", "maxLength": 255},
    "disk_bus": {"type": "string", "maxLength": 255},
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}}


def _tagged(version: Version) -> bool:
    """Network and device tags: in 2.32 alone for devices, to 2.36 for networks, in both from 2.42 on."""
    return version >= (2, 42)


def _devices(version: Version) -> Schema:
    more: dict[str, Schema] = {}
    if version == (2, 32) or _tagged(version):
        more["tag"] = TAG
    if version >= (2, 67):
        more["volume_type"] = {"type": ["string", "null"], "maxLength": 255}
    return {"type": "array", "maxItems": 64, "items": members({}, {**_DEVICE, **more})}


def _networks(version: Version) -> Schema:
    named = version >= (2, 37)
    one: dict[str, Schema] = {"uuid": UUID if named else IMAGE_REF, "port": UUID_OR_NULL,
                              "fixed_ip": ADDRESS}
    if (2, 32) <= version < (2, 37) or _tagged(version):
        one["tag"] = TAG
    some: dict[str, Any] = {"type": "array", "maxItems": 64, "items": members({}, one)}
    return {"anyOf": [some, {"enum": ["auto", "none"]}]} if named else some


_CREATE: tuple[tuple[str, Schema, Version, Version], ...] = (
    ("imageRef", IMAGE_REF, FIRST, LAST),
    ("adminPass", PASSWORD, FIRST, LAST),
    ("metadata", METADATA, FIRST, LAST),
    ("OS-DCF:diskConfig", DISK_CONFIG, FIRST, LAST),
    ("accessIPv4", ADDRESS, FIRST, LAST),
    ("accessIPv6", ADDRESS, FIRST, LAST),
    ("personality", FILES, FIRST, (2, 56)),
    ("availability_zone", LOOSE_NAME, FIRST, LAST),
    ("block_device_mapping", {"type": "array", "items": members({}, _LEGACY_DEVICE)}, FIRST, LAST),
    ("config_drive", BOOLEAN, FIRST, LAST),
    ("key_name", NAME, FIRST, LAST),
    ("min_count", integer(1), FIRST, LAST),
    ("max_count", integer(1), FIRST, LAST),
    ("return_reservation_id", BOOLEAN, FIRST, LAST),
    ("security_groups", GROUPS, FIRST, LAST),
    ("user_data", USER_DATA, FIRST, LAST),
    ("description", TEXT, (2, 19), LAST),
    ("tags", TAGS, (2, 52), LAST),
    ("trusted_image_certificates", CERTIFICATES, (2, 63), LAST),
    ("host", HOST, (2, 74), LAST),
    ("hypervisor_hostname", HOST, (2, 74), LAST),
    ("hostname", HOSTNAME, (2, 90), LAST),
)


def _create(version: Version, more: Mapping[str, Schema]) -> Schema:
    required: dict[str, Schema] = {"name": NAME, "flavorRef": FLAVOR_REF}
    optional = {**fields_at(version, _CREATE), "block_device_mapping_v2": _devices(version), **more}
    (required if version >= (2, 37) else optional)["networks"] = _networks(version)
    return members({"server": members(required, optional)},
                   {"os:scheduler_hints": HINTS, "OS-SCH-HNT:scheduler_hints": HINTS})


_CREATE_STARTS = ((2, 1), (2, 19), (2, 32), (2, 33), (2, 37), (2, 42), (2, 52), (2, 57), (2, 63), (2, 67),
                  (2, 74), (2, 90))
create = by_version(lambda version: _create(version, {}), _CREATE_STARTS)
"""The check of POST /servers at a microversion."""

zone_boot = by_version(lambda version: _create(version, {"reservation_id": RESERVATION}), _CREATE_STARTS)
"""The check of a user's POST /os-zones/boot: in 2011 the reservation could be named."""

_UPDATE: tuple[tuple[str, Schema, Version, Version], ...] = (
    ("name", NAME, FIRST, LAST),
    ("OS-DCF:diskConfig", DISK_CONFIG, FIRST, LAST),
    ("accessIPv4", ADDRESS, FIRST, LAST),
    ("accessIPv6", ADDRESS, FIRST, LAST),
    ("description", TEXT, (2, 19), LAST),
    ("hostname", HOSTNAME, (2, 90), LAST),
)

update = by_version(lambda version: members({"server": members({}, fields_at(version, _UPDATE))}),
                    ((2, 1), (2, 19), (2, 90)))
"""The check of PUT /servers/{id} at a microversion."""
