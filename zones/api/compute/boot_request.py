"""From the body of POST /servers to the `BootRequest` that the core takes."""

import base64
import binascii
import ipaddress
from typing import Any

from zones.api.compute.availability_zones import check_known
from zones.api.compute.query import parse_boolean
from zones.api.compute.schemas.fields import whole
from zones.api.wsgi import Call
from zones.errors import Forbidden, Invalid
from zones.servers.request import BootRequest

MAX_COUNT = 1000
"""Servers of one request: more would be one transaction for too long."""


def boot_request(call: Call, body: dict[str, Any]) -> BootRequest:
    """What the checked body asks for. Raises `Invalid` with a reason, `Forbidden` for a host by name."""
    server = body["server"]
    least, most = _counts(server)
    zone, host, node = _where(call, server)
    check_known(call, zone or "")
    _refuse_certificates(server)
    if server.get("hostname") and most > 1:
        raise Invalid("A hostname can be given to one server only", code="hostname_for_many")
    return BootRequest(
        name=server["name"], flavor_id=str(server["flavorRef"]), image_id=_image(server),
        min_count=least, max_count=most, hostname=server.get("hostname"),
        description=server.get("description"), key_name=server.get("key_name"),
        user_data=base64_text("user_data", server.get("user_data")) or None,
        metadata=server.get("metadata", {}), tags=list(dict.fromkeys(server.get("tags", []))),
        files=files(server.get("personality", [])),
        config_drive=parse_boolean("config_drive", server.get("config_drive", False)),
        admin_pass=server.get("adminPass"), networks=_networks(server.get("networks")),
        security_groups=[group["name"] for group in server.get("security_groups", []) if "name" in group],
        availability_zone=zone, host=host, hypervisor_hostname=node,
        reservation_id=server.get("reservation_id"),
        hints=body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints") or {},
        access_ip_v4=access_ip(server, "accessIPv4", 4), access_ip_v6=access_ip(server, "accessIPv6", 6))


def wants_reservation(body: dict[str, Any]) -> bool:
    """Whether the answer is to be the reservation id alone."""
    return parse_boolean("return_reservation_id", body["server"].get("return_reservation_id", False))


def _counts(server: dict[str, Any]) -> tuple[int, int]:
    least = whole("min_count", server.get("min_count", 1), 1, MAX_COUNT)
    most = whole("max_count", server.get("max_count", least), 1, MAX_COUNT)
    if least > most:
        raise Invalid("min_count must be <= max_count", code="bad_counts")
    return least, most


def _where(call: Call, server: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Zone, host and hypervisor: by name only for whom policy lets."""
    zone, host, node = (*(server.get("availability_zone") or "").split(":", 2), "", "")[:3]
    if host or node:
        _permit(call, "os_compute_api:servers:create:forced_host")
    asked = server.get("host"), server.get("hypervisor_hostname")
    if any(asked):
        _permit(call, "compute:servers:create:requested_destination")
        if host or node:
            raise Invalid("A host is named both in availability_zone and in host or "
                          "hypervisor_hostname", code="two_hosts")
        host, node = asked[0] or "", asked[1] or ""
    if host and node and host != node:
        raise Invalid(f"No hypervisor '{node}' is at host '{host}'", code="no_such_node")
    return zone or None, host or None, node or None


def _permit(call: Call, rule: str) -> None:
    if not call.may(rule):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.", code="policy")


def _image(server: dict[str, Any]) -> str | None:
    """The image to boot from: `imageRef`, or the one local device that says the same."""
    image = server.get("imageRef") or None
    if server.get("block_device_mapping"):
        raise _no_volumes()
    for device in server.get("block_device_mapping_v2", []):
        source = device.get("uuid") or device.get("image_id")
        if (device.get("source_type") != "image" or device.get("destination_type", "local") != "local"
                or str(device.get("boot_index", 0)) != "0" or not source):
            raise _no_volumes()
        if image not in (None, source):
            raise Invalid("block_device_mapping_v2 and imageRef name different images",
                          code="two_images")
        image = source
    if image is None:
        raise Invalid("Missing imageRef attribute: boot from volume is not possible in this zone.",
                      code="no_volumes")
    return str(image)


def _no_volumes() -> Invalid:
    return Invalid("Block Device Mapping is Invalid: this zone has no volumes. One device from the "
                   "image itself (source_type image, destination_type local, boot_index 0) is all "
                   "that a server can have.", code="no_volumes")


def _refuse_certificates(server: dict[str, Any]) -> None:
    if server.get("trusted_image_certificates"):
        raise Invalid("Image signature certificate validation is not possible in this zone.",
                      code="no_certificates")


def _networks(networks: Any) -> Any:
    for wanted in networks if isinstance(networks, list) else ():
        if not wanted.get("uuid") and not wanted.get("port"):
            raise Invalid("Bad networks format: each network needs a uuid or a port", code="bad_networks")
        if wanted.get("fixed_ip"):
            _check_ip("fixed_ip", wanted["fixed_ip"])
    return networks


def access_ip(server: dict[str, Any], name: str, version: int) -> str | None:
    """An access address, or None where none is given; an empty one takes it away."""
    text = server.get(name)
    if text:
        _check_ip(name, text, version)
    return text or None


def _check_ip(name: str, text: str, version: int | None = None) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or version not in (None, address.version):
        kind = f"IPv{version}" if version else "IP"
        raise Invalid(f"Invalid input for field/attribute {name}. Value: {text}. "
                      f"It is not an {kind} address", code="bad_body")


def files(given: list[dict[str, str]]) -> list[dict[str, str]]:
    """Files to inject, their contents checked to be base64."""
    for file in given:
        base64_text(f"personality {file['path'][:80]}", file["contents"])
    return given


def base64_text(name: str, text: str | None) -> str | None:
    """The text, which must be base64. Raises `Invalid`."""
    if text is not None:
        try:
            base64.b64decode(text.encode("ascii"), validate=False)
        except (binascii.Error, ValueError) as error:
            raise Invalid(f"Invalid input for field/attribute {name}. It is not base64",
                          code="bad_body") from error
    return text
