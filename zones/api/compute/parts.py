"""What the handlers of the Compute API work with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zones.capabilities.link_table import LinkState
from zones.config import Config
from zones.db.engine import Database
from zones.errors import Unavailable
from zones.image.arriving import Arriving
from zones.neighbours.adding import Means
from zones.protocol import HostReport, ImageValue
from zones.protocol.neighbours import Origin, ServerDoc
from zones.servers.core import Core, Row
from zones.servers.steps import Told


class Response(Protocol):
    """What a neighbour answered."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""

    @property
    def body(self) -> bytes:
        """Its body, bounded."""


class Neighbour(Protocol):
    """The calls to one neighbour that handlers make."""

    def forward(self, method: str, path: str, *, origin: Origin, microversion: str,
                body: bytes | None = None, operation: str | None = None) -> Response:
        """One request, below its `/v2.1`, for a user. Raises `Unavailable` (not done), `Unknown`."""

    def document(self, server_id: str, /) -> ServerDoc | None:
        """A server as it is there now; None when it knows none of that id."""


class Moved(Protocol):
    """Wakes those who wait for the feed."""

    def wait(self, beyond: int, timeout: float, /) -> object:
        """Until the feed's head is beyond that, or `timeout` seconds."""


def _no_neighbour(zone_uuid: str) -> Neighbour:
    raise Unavailable(f"There is no link to zone {zone_uuid}.", code="zone_down", retry_after=30)


def _no_push(zone_uuid: str, image: ImageValue, project_id: str) -> None:
    raise Unavailable(f"There is no link to zone {zone_uuid}.", code="zone_down", retry_after=30)


def _untold(attempt: Row) -> None:
    """Nobody counts what is on its way to neighbours."""


def _nobody_asks() -> None:
    """Nobody looks at links here."""


def _in_clear(text: str) -> str:
    raise Unavailable("This process has no key for secrets.", code="no_key")


@dataclass(frozen=True)
class Parts:
    """The collaborators of every compute handler, as `Call.parts`. Those of links have the values of a
    zone that has none."""

    core: Core
    db: Database
    config: Config
    hosts: Callable[[], list[HostReport]]
    """The last report of every host that this process knows to be alive."""
    host_status: Callable[[str], str]
    """Of one host, in Nova's words: UP, MAINTENANCE (disabled) or UNKNOWN (not heard)."""
    availability_zones: Callable[[], Collection[str]] = tuple
    """Those of the hosts that this process knows, up or not."""
    neighbours: Callable[[str], Neighbour] = _no_neighbour
    """The neighbour of that UUID. Raises `Unavailable`."""
    links: Callable[[], Sequence[LinkState]] = list
    """Every link as this process knows it."""
    silent: Callable[[], frozenset[str]] = frozenset
    """The UUIDs of linked zones that do not answer now."""
    push: Callable[[str, ImageValue, str], None] = _no_push
    """`push(zone_uuid, image, project_id)` returns when that neighbour has the image for that project."""
    told: Told = _untold
    """Is told of each attempt that a document which was fetched out of turn speaks of."""
    moved: Moved | None = None
    arriving: Arriving | None = None
    """The images that neighbours push here; None where this zone's images are kept elsewhere."""
    adding: Means | None = None
    """How neighbours are looked at before they are linked; None where links are not made."""
    links_changed: Callable[[], object] = _nobody_asks
    """Tells every process of the zone that a link was added, changed or deleted."""
    seal: Callable[[str], str] = _in_clear
    unseal: Callable[[str], str] = _in_clear
    """Secrets at rest, such as the password of a link."""
