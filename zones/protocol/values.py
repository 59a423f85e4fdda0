"""What is spoken of: flavors, images, keys, groups, servers and callers, by value."""

from typing import Any

import msgspec

from zones.errors import Invalid

VERSION = 1
"""What this code speaks; `info` carries the range `{min, max}` of a zone."""

OLDEST = 1
"""The oldest version that this code still understands."""


class FlavorValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flavor by value: what travels, so that a target need not know the flavor."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: int = 0
    swap: int = 0
    rxtx_factor: float = 1.0
    extra_specs: dict[str, str] = {}
    description: str | None = None
    is_public: bool = True

    @property
    def total_disk(self) -> int:
        """GiB of disk that one server of this flavor takes: root, ephemeral and swap."""
        return self.disk + self.ephemeral + -(-self.swap // 1024)


class ImageValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image by value: its content is named by hash and size.

    `id` is the one that the server's owner knows it by; `local_id` the one under which this zone has
    the content, where that is another.
    """

    id: str
    name: str = ""
    os_hash_value: str | None = None
    size: int | None = None
    min_ram: int = 0
    min_disk: int = 0
    properties: dict[str, str] = {}
    local_id: str | None = None


class KeyValue(msgspec.Struct, frozen=True):
    """A key pair by value."""

    name: str
    public_key: str
    type: str = "ssh"


class GroupValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server group by value: policy and the hosts of its members as the sender knew them."""

    id: str
    policy: str
    rules: dict[str, int] = {}
    members: list[str] = []


class File(msgspec.Struct, frozen=True):
    """One injected file; `contents` is base64, as the Compute API takes it."""

    path: str
    contents: str


class ServerSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is needed to place and to build one server. Immutable for one boot."""

    id: str
    name: str
    project_id: str
    user_id: str
    flavor: FlavorValue
    image: ImageValue | None = None
    owner_peer: str = ""
    hostname: str = ""
    description: str | None = None
    key: KeyValue | None = None
    user_data: str | None = None
    metadata: dict[str, str] = {}
    tags: list[str] = []
    files: list[File] = []
    config_drive: bool = False
    admin_pass: str | None = None
    networks: list[dict[str, Any]] | str | None = None
    security_groups: list[str] = []
    availability_zone: str | None = None
    force_host: str | None = None
    hints: dict[str, Any] = {}
    group: GroupValue | None = None
    reservation_id: str = ""
    launch_index: int = 0
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    path: list[str] = []
    hops_left: int = 8
    attempts_left: int = 10


class Caller(msgspec.Struct, frozen=True, omit_defaults=True):
    """On whose behalf something is done.

    `peer` is the peer record that calls, "" for this zone's own users: it reaches only what it booted.
    `owner_peer` is whose projects are meant: the same, or "" where that peer shares our projects.
    """

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()
    user_name: str = ""
    project_name: str = ""
    owner_peer: str = ""
    request_id: str = ""
    peer: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator of this zone."""
        return "admin" in self.roles


_spec_decoder = msgspec.json.Decoder(ServerSpec)


def decode_spec(body: bytes) -> ServerSpec:
    """A stored `ServerSpec`. Raises `Invalid` when the bytes are no spec."""
    try:
        return _spec_decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Invalid(f"not a server spec: {error}", code="bad_spec") from error
