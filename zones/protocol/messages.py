"""What is said on a zone's bus, between the zone and its compute services."""

from typing import Any

import msgspec

from zones.errors import Invalid
from zones.protocol.values import VERSION, ServerSpec

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
    shares: str = ""
    """The name of limits that this host has in common with others: each reports what is left of them."""
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


class LinksChanged(msgspec.Struct, frozen=True, tag=True):
    """A link was added, changed, heard or lost: read the links again. Carries nothing, as `Wake`."""


class FeedMoved(msgspec.Struct, frozen=True, tag=True):
    """The feed has been numbered up to `head`: whoever waits for changes may look."""

    head: int


Message = (Boot | Remove | Act | Ask | Answer | Heard | HostReport | News | Done | Solicit | Echo | Wake
           | LinksChanged | FeedMoved)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message | ServerSpec) -> bytes:
    """The message as JSON bytes."""
    return _encoder.encode(message)


def decode(body: bytes) -> Message:
    """The message in `body`. Raises `Invalid` when it is none that this version knows."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Invalid(f"not a message of this protocol: {error}", code="bad_message") from error
