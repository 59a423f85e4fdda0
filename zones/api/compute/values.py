"""What a forwarded action names, by value: read here from a peer, written for the neighbour below."""

import uuid
from typing import Any

import msgspec

from zones.api.wsgi import Call
from zones.errors import Conflict, Invalid
from zones.protocol import FlavorValue, ImageValue, KeyValue
from zones.protocol.neighbours import VALUES, Values

MOST = 2**31 - 1
_SIZES = ("vcpus", "ram", "disk", "ephemeral", "swap")
_LONGEST_KEY = 16384


def values_of(call: Call, body: Any) -> tuple[Any, Values | None]:
    """The body without its values, and those: what a peer sent, None from anybody else.

    Raises `Invalid` for values that are none, and from a caller who is no peer.
    """
    if not isinstance(body, dict) or VALUES not in body:
        return body, None
    if not call.caller.peer:
        raise Invalid(f"The body must not have a member '{VALUES}'", code="bad_body")
    try:
        values = msgspec.convert(body[VALUES], Values)
    except msgspec.ValidationError as error:
        raise Invalid(f"{VALUES}: {error}", code="bad_values") from error
    _check(values)
    return {name: value for name, value in body.items() if name != VALUES}, values


def with_values(body: dict[str, Any], values: Values | None) -> dict[str, Any]:
    """The body as it goes to a neighbour."""
    return body if values is None else {**body, VALUES: msgspec.to_builtins(values)}


def flavor_of(call: Call, values: Values | None) -> FlavorValue | None:
    """The flavor that a peer means; None for our own users, who name one of ours."""
    if not call.caller.peer:
        return None
    if values is None or values.flavor is None:
        raise _missing("flavor")
    return values.flavor


def image_of(call: Call, values: Values | None) -> ImageValue | None:
    """The image that a peer means, found here by its content; None for our own users.

    Raises `Conflict`, code `image_wanted`, while its content is not here.
    """
    if not call.caller.peer:
        return None
    if values is None or values.image is None:
        raise _missing("image")
    image = values.image
    found = None
    if image.os_hash_value is not None and image.size is not None:
        found = call.parts.core.images.match(call.caller.project_id, image.os_hash_value, image.size)
    if found is None:
        raise Conflict(f"The content of image {image.id} is not in this zone.", code="image_wanted")
    return msgspec.structs.replace(image, local_id=None if found == image.id else found)


def key_of(call: Call, values: Values | None) -> KeyValue | None:
    """The key that a peer means; None for our own users."""
    if not call.caller.peer:
        return None
    if values is None or values.key is None:
        raise _missing("key pair")
    return values.key


def image_id_of(call: Call, values: Values | None) -> str | None:
    """The id that a peer has given to the image that is to be made."""
    return values.image_id if call.caller.peer and values is not None else None


def _missing(what: str) -> Invalid:
    return Invalid(f"{VALUES} must have the {what} by value", code="bad_values")


def _check(values: Values) -> None:
    """What is stored and reckoned with must fit where it is stored."""
    flavor, image, key = values.flavor, values.image, values.key
    if flavor is not None and not (
            _fits(flavor.id, 255) and _fits(flavor.name, 255) and flavor.vcpus > 0 and flavor.ram > 0
            and all(0 <= getattr(flavor, name) <= MOST for name in _SIZES)):
        raise Invalid(f"{VALUES}: no server can have that flavor", code="bad_values")
    if image is not None and not (
            _is_uuid(image.id) and 0 <= image.min_ram <= MOST and 0 <= image.min_disk <= MOST
            and (image.size is None or 0 <= image.size < 2**63)):
        raise Invalid(f"{VALUES}: no server can have that image", code="bad_values")
    if key is not None and not (_fits(key.name, 255) and _fits(key.public_key, _LONGEST_KEY)):
        raise Invalid(f"{VALUES}: that is no key pair", code="bad_values")
    if values.image_id is not None and not _is_uuid(values.image_id):
        raise Invalid(f"{VALUES}: an image's id is a UUID", code="bad_values")


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _fits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and "\x00" not in text
