"""The bodies of POST /servers/{id}/action: one schema an action, by microversion where it changed."""

from collections.abc import Callable, Mapping

from zones.api.compute.schemas.by_version import by_version, fields_at
from zones.api.compute.schemas.fields import BOOLEAN, NAME, TEXT, Check, Schema, members
from zones.api.compute.schemas.servers import (
    ADDRESS,
    CERTIFICATES,
    DISK_CONFIG,
    FILES,
    FIRST,
    FLAVOR_REF,
    HOSTNAME,
    IMAGE_REF,
    LAST,
    METADATA,
    NAME_OR_NULL,
    PASSWORD,
    USER_DATA_OR_NULL,
    UUID,
)
from zones.api.wsgi import Version

ANYTHING: Schema = {}
"""What Nova ignores: `null` as a rule."""

_REBUILD: tuple[tuple[str, Schema, Version, Version], ...] = (
    ("name", NAME, FIRST, LAST),
    ("adminPass", PASSWORD, FIRST, LAST),
    ("metadata", METADATA, FIRST, LAST),
    ("preserve_ephemeral", BOOLEAN, FIRST, LAST),
    ("OS-DCF:diskConfig", DISK_CONFIG, FIRST, LAST),
    ("accessIPv4", ADDRESS, FIRST, LAST),
    ("accessIPv6", ADDRESS, FIRST, LAST),
    ("personality", FILES, FIRST, (2, 56)),
    ("description", TEXT, (2, 19), LAST),
    ("key_name", NAME_OR_NULL, (2, 54), LAST),
    ("user_data", USER_DATA_OR_NULL, (2, 57), LAST),
    ("trusted_image_certificates", CERTIFICATES, (2, 63), LAST),
    ("hostname", HOSTNAME, (2, 90), LAST),
)
_CONSOLE: Schema = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "length": {"type": ["integer", "string", "null"], "pattern": "^(-1|[0-9]{1,9})$", "minimum": -1,
               "maximum": 10**9}}}
_RESCUE: Schema = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "adminPass": PASSWORD, "rescue_image_ref": UUID}}
_GROUP = members({"name": NAME})


def _lock(version: Version) -> Schema:
    if version < (2, 73):
        return ANYTHING
    return {"type": ["object", "null"], "additionalProperties": False, "properties": {
        "locked_reason": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*$"}}}


def _unshelve(version: Version) -> Schema:
    if version < (2, 77):
        return ANYTHING
    return {"type": ["object", "null"], "additionalProperties": False, "required": ["availability_zone"],
            "properties": {"availability_zone": NAME}}


def _rebuild(version: Version) -> Schema:
    return members({"imageRef": IMAGE_REF}, fields_at(version, _REBUILD))


def _same(name: str, schema: Schema) -> Callable[[Version], Check]:
    return by_version(lambda _: members({name: schema}), (FIRST,))


def _changing(name: str, at: Callable[[Version], Schema],
              *starts: Version) -> Callable[[Version], Check]:
    return by_version(lambda version: members({name: at(version)}), (FIRST, *starts))


CHECKS: Mapping[str, Callable[[Version], Check]] = {
    "reboot": _same("reboot", members({"type": {
        "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}})),
    "rescue": _same("rescue", _RESCUE),
    "resize": _same("resize", members({"flavorRef": FLAVOR_REF}, {"OS-DCF:diskConfig": DISK_CONFIG})),
    "rebuild": _changing("rebuild", _rebuild, (2, 19), (2, 54), (2, 57), (2, 63), (2, 90)),
    "createImage": _same("createImage", members({"name": NAME}, {"metadata": METADATA})),
    "changePassword": _same("changePassword", members({"adminPass": PASSWORD})),
    "os-getConsoleOutput": _same("os-getConsoleOutput", _CONSOLE),
    "os-resetState": _same("os-resetState", members({"state": {"enum": ["active", "error"]}})),
    "lock": _changing("lock", _lock, (2, 73)),
    "unshelve": _changing("unshelve", _unshelve, (2, 77)),
    "addSecurityGroup": _same("addSecurityGroup", _GROUP),
    "removeSecurityGroup": _same("removeSecurityGroup", _GROUP),
}
"""The check of the whole body; an action that is not here takes anything, which Nova ignores."""
