"""What the functions of this package work with, and the interfaces that they need of others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from zones.config import Placement, Quota, Timing
from zones.db.engine import Database
from zones.protocol import Caller, ImageValue, Message
from zones.servers.intake import Intake


class Images(Protocol):
    """The image service, as boots and snapshots need it."""

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        """The image by value. Raises `NotFound`; `Conflict` while it is not active."""

    def reserve(self, caller: Caller, image_id: str, name: str, properties: dict[str, str],
                base: ImageValue | None) -> None:
        """Make the row of an image whose content comes later (`queued`). Harmless when repeated."""

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
    intake: Intake = field(default_factory=Intake)


Row = dict[str, Any]
"""A row of the `server` table."""
