"""What may be set on an image: the attributes of a create body and of a JSON patch, checked."""

from typing import Annotated, Any

import msgspec

from zones.api.bodies import checked, given
from zones.api.image.views import CONTAINER_FORMATS, DISK_FORMATS, READ_ONLY, VISIBILITIES
from zones.api.wsgi import Call
from zones.errors import Conflict, Forbidden, Invalid, TooLarge

Row = dict[str, Any]
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Tag = Annotated[str, msgspec.Meta(max_length=255)]
MAX_TAGS = 128
MAX_PROPERTIES = 128
MAX_VALUE = 65535
_UNSET = msgspec.UNSET


class Attributes(msgspec.Struct):
    """The attributes that clients set; everything else in a body is a property."""

    id: str | msgspec.UnsetType = _UNSET
    name: Annotated[str, msgspec.Meta(max_length=255)] | msgspec.UnsetType | None = _UNSET
    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType | None = _UNSET
    visibility: str | msgspec.UnsetType = _UNSET
    disk_format: str | msgspec.UnsetType | None = _UNSET
    container_format: str | msgspec.UnsetType | None = _UNSET
    min_disk: Whole | msgspec.UnsetType = _UNSET
    min_ram: Whole | msgspec.UnsetType = _UNSET
    protected: bool | msgspec.UnsetType = _UNSET
    os_hidden: bool | msgspec.UnsetType = _UNSET
    tags: list[Tag] | msgspec.UnsetType = _UNSET


_ONE_OF = {"visibility": VISIBILITIES, "disk_format": (*DISK_FORMATS, None),
           "container_format": (*CONTAINER_FORMATS, None)}
_DEFAULTS: Row = {"name": None, "disk_format": None, "container_format": None, "min_disk": 0,
                  "min_ram": 0, "protected": False, "tags": []}
_attributes = checked(Attributes)
_NAMES = frozenset(Attributes.__struct_fields__)


def values_of(call: Call, body: Any) -> tuple[Row, dict[str, str]]:
    """The columns and the properties that a body sets. Raises `Invalid`, `Forbidden`, `TooLarge`."""
    if not isinstance(body, dict):
        raise Invalid("The body must be an object.", code="invalid_body")
    for name in body:
        if name in READ_ONLY and name != "id":
            raise Forbidden(f"Attribute '{name}' is read-only.", code="read_only")
    columns = given(_attributes({name: value for name, value in body.items() if name in _NAMES}))
    for name, choices in _ONE_OF.items():
        if name in columns and columns[name] not in choices:
            raise Invalid(f"{columns[name]!r} is no valid {name}.", code="invalid_body")
    if columns.pop("os_hidden", False):
        raise Invalid("Images can't be hidden here.", code="not_hidden")
    if "tags" in columns:
        columns["tags"] = tags_of(columns["tags"])
    _check_allowed(call, columns)
    return columns, _properties({name: value for name, value in body.items() if name not in _NAMES})


def tags_of(tags: list[str]) -> list[str]:
    """Each tag once, in order. Raises `TooLarge`."""
    tags = list(dict.fromkeys(tags))
    if len(tags) > MAX_TAGS:
        raise TooLarge(f"An image has at most {MAX_TAGS} tags.", code="too_many_tags")
    return tags


def _check_allowed(call: Call, columns: Row) -> None:
    rule = {"public": "image:publicize_image", "community": "image:communitize_image"}.get(
        columns.get("visibility", ""))
    if rule is not None and not call.may(rule):
        raise Forbidden(f"You are not authorized to perform the requested action: {rule}.", code="policy")
    if columns.get("owner", call.caller.project_id) != call.caller.project_id and not call.may(
            "image:set_owner"):
        raise Forbidden("You are not permitted to set the owner of an image.", code="not_owner")


def _properties(found: Row) -> dict[str, str]:
    checked_properties = _property_values(found)
    for name, value in checked_properties.items():
        if not 0 < len(name) <= 255 or len(value) > MAX_VALUE:
            raise TooLarge(f"Property {name[:64]!r} is too long.", code="long_property")
    return checked_properties


_property_values = checked(dict[str, str])


def check_count(properties: dict[str, str]) -> None:
    """Raises `TooLarge` past `MAX_PROPERTIES`."""
    if len(properties) > MAX_PROPERTIES:
        raise TooLarge(f"An image has at most {MAX_PROPERTIES} properties.", code="too_many_properties")


class Operation(msgspec.Struct):
    """One step of a JSON patch, as Glance has it: `path` names one attribute or property."""

    op: str
    path: str
    value: Any = None


operations = checked(list[Operation])


def patched(call: Call, row: Row, steps: list[Operation]) -> Row:
    """The columns that a patch changes. Raises `Conflict` for a property that is, or is not, there."""
    body: Row = {}
    properties = dict(row["properties"])
    for step in steps:
        name = _named(step.path)
        if name in READ_ONLY:
            raise Forbidden(f"Attribute '{name}' is read-only.", code="read_only")
        if step.op not in ("add", "replace", "remove"):
            raise Invalid(f"Operation {step.op[:32]!r} is not supported.", code="bad_patch")
        if name in _NAMES:
            if step.op == "remove" and name not in _DEFAULTS:
                raise Forbidden(f"Attribute '{name}' may not be removed.", code="not_removable")
            body[name] = _DEFAULTS[name] if step.op == "remove" else step.value
            continue
        if (step.op != "add") and name not in properties:
            raise Conflict(f"Property {name[:64]} does not exist.", code="no_such_property")
        if step.op == "remove":
            del properties[name]
        else:
            properties[name] = step.value
    columns, properties = values_of(call, {**properties, **body})
    check_count(properties)
    _check_formats(row, columns)
    return {**columns, "properties": properties}


def _check_formats(row: Row, columns: Row) -> None:
    for name in ("disk_format", "container_format"):
        if name in columns and columns[name] != row[name] and row["status"] != "queued":
            raise Forbidden(f"Attribute {name} can be only replaced for a queued image.", code="not_queued")


def _named(path: str) -> str:
    name = path.removeprefix("/").replace("~1", "/").replace("~0", "~")
    if not path.startswith("/") or not name or "/" in path[1:]:
        raise Invalid(f"Path {path[:64]!r} does not name one attribute.", code="bad_patch")
    return name
