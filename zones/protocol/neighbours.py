"""What zones say to each other over HTTP: the bodies and headers of the routes below `/os-zones`.

A request of a neighbour carries `X-Auth-Token` of a user of its peer record; one that is made for a
user carries that user in `ORIGIN` as well. Bodies are JSON of these values; unknown fields are
ignored, so that versions N and N-1 can talk.
"""

import base64
import binascii
from typing import Any

import msgspec

from zones.errors import Invalid
from zones.protocol.values import VERSION, FlavorValue, ImageValue, KeyValue, ServerSpec

ORIGIN = "X-Zone-Origin"
"""On whose behalf: an `Origin`, see `pack_origin`. Ignored from anybody who is not a peer."""
ASKER = "X-Zone-Id"
"""The UUID of the zone that asks: of a summary it gets neither itself nor what came from it."""
MEANT = "X-Zone-Meant"
"""The UUID of the zone that is meant: another one that answers at its URL does nothing (503). "" is any."""
OPERATION = "X-Zone-Operation"
"""The id of a change: the same one again gets the stored answer of the first, for `REPLAYED` seconds."""
REPLAYED = 600.0
MAX_ORIGIN = 4096


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user for whom a neighbour asks, in the neighbour's own words.

    `project_id` is the neighbour's; here it becomes a project of that peer alone. `roles` are those
    of `admin member reader` that the user has there: policy was asked where the user entered.
    """

    project_id: str
    user_id: str
    roles: list[str] = []
    user_name: str = ""
    request_id: str = ""
    hops_left: int = 8


class Values(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the body of a forwarded action names, by value: member `zones:values` beside the action."""

    flavor: FlavorValue | None = None
    image: ImageValue | None = None
    key: KeyValue | None = None
    image_id: str | None = None
    """createImage, shelve: the id that the new image has everywhere."""


VALUES = "zones:values"


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """A boot handed to a neighbour: POST /os-zones/boot `{"boots": [Handover, …]}`, at most 64.

    `spec.path` names the zones walked (the sender last), `spec.project_id` is the sender's, and
    `spec.admin_pass` is plain. Answered by `{"answers": [Answered, …]}` in the same order.
    """

    attempt: str
    spec: ServerSpec
    request_id: str = ""
    roles: list[str] = []
    v: int = VERSION


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an attempt, at once: `accepted`, `running`, `refused`, `cancelled`, or `wanted`.

    `wanted` (code `image_wanted`) is neither yes nor no: push the image, then repeat the attempt.
    `gone`: nothing of it exists there any more (answers a cancel).
    """

    attempt: str
    state: str
    code: str | None = None
    message: str = ""
    gone: bool = False


class ServerDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server as the zone that runs it (or passes it on) tells the one that booted it: state, not a log.

    `attempt` is the booting zone's. `seq` is its place in the feed, `version` its own count of
    changes. `placed`: a host or a zone below has it, so a summary whose `feed_head` has reached `seq`
    counts it. `refused`: this attempt failed here and nothing of it is left: place it elsewhere.
    JSON members are as in the `server` table; times are seconds since the epoch.
    """

    id: str
    attempt: str
    seq: int
    version: int
    project_id: str
    user_id: str
    name: str
    vm_state: str
    flavor: dict[str, Any]
    task_state: str | None = None
    power_state: int = 0
    placed: bool = False
    refused: bool = False
    deleted: bool = False
    old_flavor: dict[str, Any] | None = None
    hostname: str | None = None
    description: str | None = None
    image_id: str | None = None
    availability_zone: str | None = None
    addresses: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    tags: list[str] = []
    fault: dict[str, Any] | None = None
    key_name: str | None = None
    user_data: str | None = None
    config_drive: bool = False
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    locked: bool = False
    locked_by: str | None = None
    locked_reason: str | None = None
    progress: int = 0
    reservation_id: str | None = None
    launch_index: int = 0
    created_at: float | None = None
    updated_at: float | None = None
    launched_at: float | None = None
    terminated_at: float | None = None
    host_path: list[str] = []
    """Names of the zones from here down to the one that has the host, this zone first."""


class ImageDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image that a neighbour's user made of a server here; its content is fetched when it is read."""

    id: str
    seq: int
    version: int
    project_id: str
    status: str
    name: str | None = None
    size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    properties: dict[str, Any] = {}
    created_at: float | None = None


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    """GET /os-zones/changes: what changed since a cursor, the present state of each, oldest change first.

    `cursor` is for the next call, also when nothing was visible; `more`: call again at once.
    `generation` of the summary: another one than the caller has is a reason to poll now.
    """

    cursor: str
    servers: list[ServerDoc] = []
    images: list[ImageDoc] = []
    generation: int = 0
    more: bool = False


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """POST /os-zones/images `{"image": Offer}`: an image by hash and size; may it be pushed?

    Answered by `Offered`. `project_id` is the sender's; the image is that project's alone there.
    """

    os_hash_value: str
    size: int
    project_id: str
    name: str = ""
    disk_format: str = "raw"
    container_format: str = "bare"
    min_ram: int = 0
    min_disk: int = 0
    properties: dict[str, str] = {}


class Offered(msgspec.Struct, frozen=True, omit_defaults=True):
    """`active`: it is there as `id`. `wanted`: PUT /os-zones/images/{id}/file from byte `offset` on."""

    id: str
    state: str
    offset: int = 0


class Info(msgspec.Struct, frozen=True, omit_defaults=True):
    """GET /os-zones/info, the part that neighbours read; `zones` is a `capabilities.summary` in plain form.

    `feed_head`: the summary counts every server whose document was placed at or below that `seq`.
    """

    name: str
    uuid: str
    epoch: str
    generation: int
    protocol: dict[str, int]
    zones: dict[str, Any] = {}
    feed_head: int = 0
    max_microversion: str = ""


def pack_origin(origin: Origin) -> str:
    """An origin as the value of the header `ORIGIN`: JSON in URL-safe base64."""
    return base64.urlsafe_b64encode(msgspec.json.encode(origin)).decode()


def unpack_origin(text: str) -> Origin:
    """The origin in a header. Raises `Invalid`."""
    if len(text) > MAX_ORIGIN:
        raise Invalid(f"{ORIGIN} is longer than {MAX_ORIGIN} characters", code="bad_origin")
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode("ascii")), type=Origin)
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"{ORIGIN} is no origin: {error}", code="bad_origin") from error
