"""Bring an image to a neighbour that has not got its content: offered by hash, resumed where it broke off."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from zones.errors import Conflict, Unauthorized, Unavailable, Unknown, ZonesError
from zones.protocol import ImageValue
from zones.protocol.neighbours import Offer, Offered

LOG = logging.getLogger(__name__)
TRIES = 3
"""Ranges that are sent before the rest is left to the next push: each goes on where the last one ended."""
BUSY = "image_saving"
"""The code of a neighbour to which somebody else is bringing the same image."""


class Neighbour(Protocol):
    """The calls to one neighbour that a push needs."""

    def offer(self, offer: Offer, /) -> Offered:
        """Whether the content is there, or from which byte on it is wanted."""

    def upload(self, image_id: str, offset: int, total: int, pieces: Iterator[bytes], /) -> Offered:
        """Send the content from a byte on."""


class Images(Protocol):
    """The images of this zone."""

    def row(self, image_id: str, /) -> dict[str, Any]:
        """One image. Raises `NotFound`."""

    def content(self, row: dict[str, Any], start: int = 0, /) -> Iterator[bytes] | None:
        """Its content from a byte on; None while there is none."""


class Pusher:
    """Pushes to any neighbour. `pushed(zone_uuid, server_id)` is told when a boot may be repeated,
    `failed(zone_uuid, server_id, error)` when its image can never be brought there."""

    def __init__(self, to: Callable[[str], Neighbour], images: Images,
                 pushed: Callable[[str, str], object],
                 failed: Callable[[str, str, ZonesError], object]) -> None:
        self._to = to
        self._images = images
        self._pushed = pushed
        self._failed = failed

    def __call__(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> None:
        """Bring the image there for the boot of a server. Raises as `bring`."""
        try:
            self.bring(zone_uuid, image, project_id)
        except ZonesError as error:
            if _is_final(error):
                self._failed(zone_uuid, server_id, error)
            raise
        self._pushed(zone_uuid, server_id)

    def bring(self, zone_uuid: str, image: ImageValue, project_id: str) -> None:
        """The image is there when this returns.

        Raises `NotFound` and `Conflict` when there is no image, or no content, to push, and whatever
        the neighbour refuses it with; `Unavailable`, `Unknown` when it was not reached or did not take
        all of it: what it has it keeps.
        """
        if image.os_hash_value is None or image.size is None:
            raise Conflict(f"Image {image.id} has no hash, so no other zone can know it.",
                           code="image_has_no_hash")
        neighbour, local = self._to(zone_uuid), image.local_id or image.id
        row = self._images.row(local)
        offered = neighbour.offer(Offer(
            image.os_hash_value, image.size, project_id, image.name, row["disk_format"] or "raw",
            row["container_format"] or "bare", image.min_ram, image.min_disk, image.properties))
        for _ in range(TRIES):
            if offered.state == "active":
                return
            LOG.info("image %s (%d bytes) goes to zone %s from byte %d on", image.id, image.size,
                     zone_uuid, offered.offset)
            pieces = self._images.content(row, offered.offset)
            if pieces is None:
                raise Conflict(f"Image {image.id} has no content yet.", code="image_not_active")
            offered = neighbour.upload(offered.id, offered.offset, image.size, pieces)
        if offered.state != "active":
            raise Unavailable(f"Image {image.id} is not yet whole in the other zone.",
                              code="image_not_there", retry_after=5)


def _is_final(error: ZonesError) -> bool:
    """Whether the same push fails again. An error with no code of its own is not a zone's word: what
    stands between two zones answers so."""
    return not isinstance(error, Unavailable | Unknown | Unauthorized) and (
        error.code not in (type(error).code, BUSY))
