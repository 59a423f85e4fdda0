"""What the functions of this package work with, and the interfaces that they need of others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from zones.config import Placement, Quota, Timing
from zones.db.engine import Database
from zones.protocol import Caller, ImageValue, Message
from zones.protocol.neighbours import Handover
from zones.servers.intake import Intake


class Images(Protocol):
    """The image service, as boots and snapshots need it."""

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        """The image by value. Raises `NotFound`; `Conflict` while it is not active."""

    def reserve(self, caller: Caller, image_id: str, name: str, properties: dict[str, str],
                base: ImageValue | None, zone_uuid: str | None = None) -> None:
        """Make the row of an image whose content comes later (`queued`), to that zone if it is named.

        Harmless when repeated. Raises `Conflict` when another image has that id.
        """

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        """The id of an active image with this content, public or that project's own; None: not here."""

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> ImageValue:
        """Take the content of a reserved image and make it active. Harmless when repeated."""

    def discard(self, image_id: str) -> None:
        """Delete an image that will never get its content. Quiet when there is none."""


class Wires(Protocol):
    """The bus, as this package needs it: it may lose anything, and never blocks for long."""

    def send(self, service: str, message: Message) -> bool:
        """Hand a message to a compute service's queue; False when the broker is away."""

    def wake(self) -> None:
        """Tell the workers that something is due."""

    def ask(self, service: str, message: Message, deadline: float) -> Message:
        """Ask a compute service and wait for its answer. Raises `Unknown` after `deadline` seconds."""


class Neighbours(Protocol):
    """The linked zones, as servers need them. What is handed over never blocks and may be lost: it is
    repeated from its row until `servers.forward.answered` hears of it."""

    def hand(self, zone_uuid: str, handover: Handover) -> bool:
        """Send a boot to that zone soon; False when its queue is full or it is not reached now."""

    def recall(self, zone_uuid: str, server_id: str, attempts: list[str]) -> bool:
        """Ask that zone to refuse these attempts for ever and to delete what they made."""

    def push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> bool:
        """Bring an image there for that project's boot of a server; then its work is due again."""

    def is_up(self, zone_uuid: str) -> bool:
        """Whether that zone answered lately."""

    def name_of(self, zone_uuid: str) -> str:
        """The name of the link to that zone; its UUID when there is no link."""


class Alone:
    """The neighbours of a zone that has none."""

    def hand(self, zone_uuid: str, handover: Handover) -> bool:
        """Nobody takes it."""
        return False

    def recall(self, zone_uuid: str, server_id: str, attempts: list[str]) -> bool:
        """Nobody is asked."""
        return False

    def push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> bool:
        """Nothing is brought."""
        return False

    def is_up(self, zone_uuid: str) -> bool:
        """Nobody answers."""
        return False

    def name_of(self, zone_uuid: str) -> str:
        """Its UUID: there is no link."""
        return zone_uuid


@dataclass(frozen=True)
class Core:
    """The collaborators of `servers`: made once in `service`, handed to every function."""

    db: Database
    wires: Wires
    images: Images
    quota: Quota
    placement: Placement
    timing: Timing
    max_backlog: int
    service_of: Callable[[str], str | None]
    """The compute service that owns a host, by its last report; None when it never reported."""
    unsupported: Callable[[str], frozenset[str]]
    """The actions that the driver of a host has said it can't do."""
    is_up: Callable[[str], bool]
    """Whether the service of a host was heard lately."""
    seal: Callable[[str], str]
    unseal: Callable[[str], str]
    """Secrets at rest: what is stored is sealed."""
    neighbours: Neighbours = field(default_factory=Alone)
    zone_uuid: str = ""
    """This zone's own."""
    intake: Intake = field(default_factory=Intake)


Row = dict[str, Any]
"""A row of the `server` table."""
