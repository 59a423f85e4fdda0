"""The language between zones and on the bus: frozen values, versioned, encoded as JSON.

Every message is a tagged `msgspec.Struct`: `encode` puts its class name into `"type"`, `decode`
validates every field and gives the class back. Unknown fields are ignored, so that N and N-1 can
talk; a message of a type that this version does not know raises `Invalid`. Times are seconds;
memory is MiB, disk GiB, as in Nova.
"""

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
    """An image by value: its content is named by hash and size."""

    id: str
    name: str = ""
    os_hash_value: str | None = None
    size: int | None = None
    min_ram: int = 0
    min_disk: int = 0
    properties: dict[str, str] = {}


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
    path: list[str] = []
    hops_left: int = 8
    attempts_left: int = 10


class Caller(msgspec.Struct, frozen=True, omit_defaults=True):
    """On whose behalf something is done. `owner_peer` is empty for this zone's own users."""

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()
    user_name: str = ""
    project_name: str = ""
    owner_peer: str = ""
    request_id: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator of this zone."""
        return "admin" in self.roles


# ---------------------------------------------------------------- zone → compute service

class Boot(msgspec.Struct, frozen=True, tag=True):
    """Build this server on `host`. The attempt id makes a repeat harmless; answered by `News`."""

    attempt: str
    host: str
    spec: ServerSpec


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Refuse these attempts for ever, even never seen ones, and destroy what they built.

    `keep_record` is for shelve-offload and settle: the server lives on in the zone.
    Answered by one `News` per attempt with state `cancelled`.
    """

    server: str
    attempts: list[str]
    host: str


class Act(msgspec.Struct, frozen=True, tag=True):
    """Do one action on a server that runs here. `op` makes a repeat harmless; answered by `Done`."""

    op: str
    server: str
    attempt: str
    host: str
    action: str
    args: dict[str, Any] = {}


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A question that changes nothing (console, diagnostics); answered at once by `Answer`."""

    server: str
    host: str
    question: str
    args: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The answer to an `Ask`: a value, or an error as code and message."""

    value: Any = None
    error: str | None = None
    message: str = ""


class Heard(msgspec.Struct, frozen=True, tag=True):
    """The zone has committed this news; the ledger may forget it. Never repeated: news is."""

    news: list[str]


# ---------------------------------------------------------------- compute service → zone

class HostReport(msgspec.Struct, frozen=True, tag=True):
    """One host's whole state, to every scheduler and API worker. `seq` grows within a `boot`.

    `capabilities` holds the static ones as lists of values and the live ones as numbers.
    """

    service: str
    host: str
    boot: int
    seq: int
    availability_zone: str
    vcpus: int
    ram: int
    disk: int
    vcpus_used: int
    ram_used: int
    disk_used: int
    servers: int
    enabled: bool = True
    hypervisor: str = "simulated"
    building: int = 0
    failed_builds: int = 0
    capabilities: dict[str, list[str]] = {}
    live: dict[str, float] = {}
    unsupported: list[str] = []
    """Server actions (of `states.ACTIONS`) that the driver of this host can't do."""
    interval: float = 10.0
    v: int = VERSION


class News(msgspec.Struct, frozen=True, tag=True):
    """What became of an attempt, and the server's state as its host sees it now.

    State, not a log: a newer `version` of the same attempt replaces an older one, so loss, repeats
    and reordering do no harm. `state` is `accepted`, `running`, `refused` or `cancelled`. `report`
    is the host as it was right after, and says from which (boot, seq) on the claim is counted.
    """

    id: str
    service: str
    host: str
    server: str
    attempt: str
    version: int
    state: str
    power_state: int = 0
    addresses: dict[str, list[dict[str, Any]]] = {}
    availability_zone: str = ""
    reason: str | None = None
    message: str = ""
    launched_at: float | None = None
    gone: bool = False
    """Nothing of the attempt exists any more: its room is free again."""
    report: HostReport | None = None


class Done(msgspec.Struct, frozen=True, tag=True):
    """What became of an action: `error` is None when it was done."""

    id: str
    service: str
    host: str
    op: str
    server: str
    attempt: str
    version: int
    power_state: int
    error: str | None = None
    message: str = ""
    result: dict[str, Any] = {}
    addresses: dict[str, list[dict[str, Any]]] | None = None
    report: HostReport | None = None


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt in a compute service's ledger: the claim that it holds and what became of it.

    A cancelled claim is the tombstone of its attempt. Until `gone` its room is still taken and
    something of it may exist; `spec` is None only for a tombstone of an attempt never seen.
    """

    attempt: str
    server: str
    host: str
    state: str
    version: int
    spec: ServerSpec | None = None
    vcpus: int = 0
    ram: int = 0
    disk: int = 0
    gone: bool = False
    power_state: int = 0
    addresses: dict[str, list[dict[str, Any]]] = {}
    reason: str | None = None
    message: str = ""
    launched_at: float | None = None
    heard: int = 0

    @property
    def holds_room(self) -> bool:
        """Whether this claim still takes room on its host."""
        return not self.gone


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One action in a compute service's ledger; `done` is None while it is under way."""

    act: Act
    done: Done | None = None


# ---------------------------------------------------------------- to everyone in the zone

class Solicit(msgspec.Struct, frozen=True, tag=True):
    """Somebody has just started: publish every host's report now."""

    asker: str


class Echo(msgspec.Struct, frozen=True, tag=True):
    """A process hears its own fan-out: while it does not, nobody's silence counts."""

    process: str
    at: float


class Wake(msgspec.Struct, frozen=True, tag=True):
    """There is work that is due. Carries nothing: the database says what."""


Message = Boot | Remove | Act | Ask | Answer | Heard | HostReport | News | Done | Solicit | Echo | Wake

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_spec_decoder = msgspec.json.Decoder(ServerSpec)


def encode(message: Message | ServerSpec) -> bytes:
    """The message as JSON bytes."""
    return _encoder.encode(message)


def decode(body: bytes) -> Message:
    """The message in `body`. Raises `Invalid` when it is none that this version knows."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Invalid(f"not a message of this protocol: {error}", code="bad_message") from error


def decode_spec(body: bytes) -> ServerSpec:
    """A stored `ServerSpec`. Raises `Invalid` when the bytes are no spec."""
    try:
        return _spec_decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Invalid(f"not a server spec: {error}", code="bad_spec") from error
