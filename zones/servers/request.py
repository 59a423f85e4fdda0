"""What a user asked for, and from it the specs that are placed: everything resolved, by value."""

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from zones.db import keypairs, server_groups
from zones.db.engine import Connection
from zones.errors import Invalid
from zones.protocol import (
    Caller,
    File,
    FlavorValue,
    GroupValue,
    ImageValue,
    KeyValue,
    ServerSpec,
)
from zones.scheduler import requirements


@dataclass(frozen=True)
class BootRequest:
    """The validated body of a create: names and ids as the user gave them.

    `image_id` None is a boot from volume (refused until a driver can). `networks` as in the API:
    `"auto"`, `"none"`, a list, or None. `min_count` ≤ servers made ≤ `max_count`.
    """

    name: str
    flavor_id: str
    image_id: str | None = None
    min_count: int = 1
    max_count: int = 1
    hostname: str | None = None
    description: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)
    config_drive: bool = False
    admin_pass: str | None = None
    networks: list[dict[str, Any]] | str | None = None
    security_groups: list[str] = field(default_factory=list)
    availability_zone: str | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    reservation_id: str | None = None


@dataclass(frozen=True)
class Naming:
    """Everything that must stay the same when the accepting transaction runs twice."""

    server_ids: list[str]
    reservation_id: str
    admin_pass: str


def name_it(request: BootRequest) -> Naming:
    """Ids, reservation and password for a request, made before anything is stored."""
    return Naming([str(uuid.uuid4()) for _ in range(request.max_count)],
                  request.reservation_id or f"r-{secrets.token_hex(4)}",
                  request.admin_pass or secrets.token_urlsafe(12))


def resolve(conn: Connection, caller: Caller, request: BootRequest, naming: Naming,
            image: ImageValue, sealed_pass: str, flavor: FlavorValue) -> list[ServerSpec]:
    """One spec a server, with key and group by value as well. Raises `Invalid` for what is not there."""
    check_image_fits(flavor, image)
    if request.hints.get("zone_capabilities"):
        requirements.of_hint(request.hints["zone_capabilities"])
    key = keypairs.value(conn, caller, request.key_name) if request.key_name else None
    group = server_groups.value(conn, caller, str(request.hints["group"])) if request.hints.get(
        "group") else None
    return [_spec(caller, request, naming, number, flavor, image, key, group, sealed_pass)
            for number in range(request.max_count)]


def check_image_fits(flavor: FlavorValue, image: ImageValue) -> None:
    """Raises `Invalid` when the flavor is too small for the image."""
    if image.min_ram > flavor.ram:
        raise Invalid(f"Flavor's memory is too small for requested image: {image.min_ram} MiB are "
                      f"needed, flavor {flavor.name} has {flavor.ram}", code="flavor_too_small")
    if flavor.disk and image.min_disk > flavor.disk:
        raise Invalid(f"Flavor's disk is too small for requested image: {image.min_disk} GiB are "
                      f"needed, flavor {flavor.name} has {flavor.disk}", code="flavor_too_small")
    if flavor.disk and image.size is not None and image.size > flavor.disk * 2**30:
        raise Invalid(f"Flavor's disk is too small for requested image of {image.size} bytes",
                      code="flavor_too_small")


def _spec(caller: Caller, request: BootRequest, naming: Naming, number: int, flavor: FlavorValue,
          image: ImageValue, key: KeyValue | None, group: GroupValue | None,
          sealed_pass: str) -> ServerSpec:
    name = request.name if request.max_count == 1 else f"{request.name}-{number + 1}"
    return ServerSpec(
        id=naming.server_ids[number], name=name, project_id=caller.project_id, user_id=caller.user_id,
        owner_peer=caller.owner_peer, flavor=flavor, image=image,
        hostname=request.hostname or hostname_of(name, naming.server_ids[number]),
        description=request.description, key=key, user_data=request.user_data,
        metadata=request.metadata, tags=request.tags,
        files=[File(path=file["path"], contents=file["contents"]) for file in request.files],
        config_drive=request.config_drive, admin_pass=sealed_pass, networks=request.networks,
        security_groups=request.security_groups, availability_zone=request.availability_zone,
        force_host=request.host or request.hypervisor_hostname, hints=request.hints, group=group,
        reservation_id=naming.reservation_id, launch_index=number,
        access_ip_v4=request.access_ip_v4, access_ip_v6=request.access_ip_v6)


def hostname_of(name: str, server_id: str) -> str:
    """A name as a DNS label (RFC 1123): letters, digits and hyphens, at most 63 of them."""
    label = "".join(letter if letter.isascii() and letter.isalnum() else "-"
                    for letter in name.lower().replace("_", "-")).strip("-")
    return label[:63].strip("-") or f"server-{server_id}"
