"""A boot that a peer offers, as a spec of this zone: what can be said of it before it is accepted."""

import re
import uuid
from dataclasses import dataclass

import msgspec

from zones.db import changes
from zones.db.engine import Connection
from zones.db.peers import Row, project_of
from zones.errors import Invalid, ZonesError
from zones.protocol import Caller, FlavorValue, GroupValue, ImageValue, ServerSpec, encode
from zones.protocol.neighbours import Answered, Handover
from zones.scheduler import requirements
from zones.servers.boot import row_of
from zones.servers.core import Core
from zones.servers.request import check_image_fits

REFUSED, WANTED = "refused", "wanted"
MOST_HOPS = 64
LARGEST = 512 * 1024
"""Bytes of a boot, as of the body of a user's."""
MOST_ATTEMPTS = 10
"""A peer may ask for fewer."""

_POLICIES = frozenset({"affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"})
_REQUEST = re.compile(r"req-[A-Za-z0-9-]{1,60}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}")


@dataclass(frozen=True)
class Offer:
    """One boot: `spec` is what would be built here; without it, `answer` says why not."""

    boot: Handover
    spec: ServerSpec | None
    answer: Answered | None = None

    @property
    def project(self) -> str:
        """Whose quota it needs."""
        return self.spec.project_id if self.spec is not None else ""


def refusal(attempt: str, code: str, message: str) -> Answered:
    """A no, for good."""
    return Answered(attempt, REFUSED, code, message)


def is_id(text: str) -> bool:
    """Whether this is a UUID as all zones write it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def request_of(boot: Handover, caller: Caller) -> str:
    """The request that a boot was asked for by, if its zone names one; else the one that brought it."""
    return boot.request_id if _REQUEST.fullmatch(boot.request_id) else caller.request_id


def projects(conn: Connection, peer: Row, theirs: set[str]) -> dict[str, str | ZonesError]:
    """The project here of each of a peer's, or why it can't have one."""
    found: dict[str, str | ZonesError] = {}
    for project in sorted(theirs):
        try:
            found[project] = project_of(conn, peer, project)
        except ZonesError as error:
            found[project] = error
    return found


def offers(core: Core, caller: Caller, boots: list[Handover],
           ours: dict[str, str | ZonesError]) -> list[Offer]:
    """Each boot with its image looked up and its password sealed; what is wrong with one is its alone."""
    images: dict[tuple[str, str, int], str | None] = {}
    return [_offer(core, caller, boot, ours[boot.spec.project_id], images) for boot in boots]


def _offer(core: Core, caller: Caller, boot: Handover, project: str | ZonesError,
           images: dict[tuple[str, str, int], str | None]) -> Offer:
    try:
        if isinstance(project, ZonesError):
            raise project
        spec = _local(core, caller, boot.spec, project)
        _check(spec)
        image = _image(spec)
        key = (project, image.os_hash_value or "", image.size or 0)
        if key not in images:
            images[key] = core.images.match(*key)
        local = images[key]
        if local is None:
            return Offer(boot, None, Answered(boot.attempt, WANTED, "image_wanted",
                                              f"image {image.id} is not in this zone"))
        check_image_fits(spec.flavor, image)
        return Offer(boot, msgspec.structs.replace(
            spec, image=msgspec.structs.replace(image, local_id=local),
            admin_pass=None if spec.admin_pass is None else core.seal(spec.admin_pass)))
    except ZonesError as error:
        return Offer(boot, None, refusal(boot.attempt, error.code, error.message))


def _local(core: Core, caller: Caller, spec: ServerSpec, project: str) -> ServerSpec:
    """The spec under its owner here, without what only the peer's own zone knows."""
    group = None if spec.group is None else GroupValue(
        str(uuid.uuid5(uuid.UUID(caller.peer), spec.group.id)), spec.group.policy, spec.group.rules)
    return msgspec.structs.replace(
        spec, project_id=project, owner_peer=caller.owner_peer, force_host=None, group=group,
        attempts_left=max(1, min(spec.attempts_left, MOST_ATTEMPTS)),
        hops_left=min(spec.hops_left, MOST_HOPS))


def _check(spec: ServerSpec) -> None:
    """Raises `Invalid` for what no server of this zone can be, or no row can hold."""
    if not spec.name or not _USER.fullmatch(spec.user_id):
        raise Invalid("a server has a name, and a user of 1 to 64 letters, digits and '_.:@-'",
                      code="bad_spec")
    if spec.group is not None and spec.group.policy not in _POLICIES:
        raise Invalid(f"no server group has the policy {spec.group.policy[:64]!r}", code="bad_spec")
    if isinstance(spec.networks, list) and spec.networks:
        raise Invalid("Networks, ports and addresses are each zone's own: here none that a request names "
                      "can be meant.", code="networks_are_zone_local")
    if isinstance(spec.networks, str) and spec.networks not in ("auto", "none"):
        raise Invalid("networks are 'auto' or 'none'", code="bad_spec")
    _check_flavor(spec.flavor)
    if spec.hints.get("zone_capabilities"):
        requirements.of_hint(spec.hints["zone_capabilities"])
    encoded = encode(spec)
    if len(encoded) > LARGEST:
        raise Invalid(f"a boot is at most {LARGEST} bytes", code="bad_spec")
    if b"\\u0000" in encoded:
        raise Invalid("a text contains a NUL character", code="bad_spec")
    if not changes.fits({name: value for name, value in row_of(spec, 0.0).items() if name != "spec"}):
        raise Invalid("a name is too long, or a number too large, to be kept", code="bad_spec")


def _check_flavor(flavor: FlavorValue) -> None:
    least = {"vcpus": 1, "ram": 1, "disk": 0, "ephemeral": 0, "swap": 0}
    for name, number in least.items():
        if not number <= getattr(flavor, name) < 2**31:
            raise Invalid(f"no flavor has {name} = {getattr(flavor, name)}", code="bad_spec")


def _image(spec: ServerSpec) -> ImageValue:
    if spec.image is None:
        raise Invalid("Boot from volume is not possible in this zone.", code="no_volumes")
    if not spec.image.os_hash_value or spec.image.size is None:
        raise Invalid(f"Image {spec.image.id} has no hash by which another zone could know it.",
                      code="image_has_no_hash")
    if len(spec.image.os_hash_value) > 128 or not 0 <= spec.image.size < 2**63:
        raise Invalid("an image's hash is sha512, its size in bytes", code="bad_spec")
    return spec.image
