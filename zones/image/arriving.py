"""Images that a neighbour pushes here: by hash, resumable, each for one project of that peer alone."""

import uuid
from collections.abc import Callable, Iterator
from time import time

from zones.errors import Conflict, Invalid, NotFound
from zones.image import credible
from zones.image.embedded import HASH, new_row
from zones.image.files import Files
from zones.image.store import ACTIVE, QUEUED, ImageStore, Row
from zones.protocol.neighbours import Offer, Offered

STALE = 86400.0
"""Seconds after which a push that broke off is forgotten."""


class Arriving:
    """What neighbours offer, and what has come of it."""

    def __init__(self, store: ImageStore, files: Files, match: Callable[[str, str, int], str | None],
                 clock: Callable[[], float] = time) -> None:
        self._store = store
        self._files = files
        self._match = match
        self._clock = clock

    def offer(self, peer: str, project_id: str, offer: Offer) -> Offered:
        """Whether that content is here, or from which byte on it is wanted. Raises `Invalid`.

        The same content for the same project has one id, so that two pushes of it are one.
        """
        if len(offer.os_hash_value) != 128 or offer.size < 0:
            raise Invalid("an image is offered by the sha512 and the size of its content",
                          code="image_has_no_hash")
        credible.check(offer)
        known = self._match(project_id, offer.os_hash_value, offer.size)
        if known is not None:
            return Offered(known, "active")
        image_id = str(uuid.uuid5(uuid.UUID(peer), f"{project_id} {offer.os_hash_value}"))
        row = new_row(image_id, project_id, self._clock(), {
            "name": offer.name, "visibility": "private", "disk_format": offer.disk_format,
            "container_format": offer.container_format, "min_ram": offer.min_ram,
            "min_disk": offer.min_disk, "properties": dict(offer.properties), "size": offer.size,
            "os_hash_algo": HASH, "os_hash_value": offer.os_hash_value})
        if not self._store.add(row) and self._store.get(image_id) is None:
            raise Conflict(f"Image {image_id} was deleted here by an operator.", code="image_deleted")
        return Offered(image_id, "wanted", self._files.pushed(image_id))

    def take(self, project_id: str, image_id: str, start: int, total: int,
             pieces: Iterator[bytes]) -> Offered:
        """Bytes `start` and on of `total`. What is wanted next, or that all of it is here.

        Raises `NotFound` for what was not offered for that project, `Conflict` for another content
        than was offered (nothing of it is kept) and while another push is under way.
        """
        row = self._wanted(project_id, image_id)
        if row["status"] == ACTIVE:
            return Offered(image_id, "active")
        if total != row["size"]:
            raise Invalid(f"{row['size']} bytes were offered, not {total}", code="other_size")
        with self._files.pushing(image_id) as part:
            size = part.tell()
            if size == start:
                size = self._files.append(part, pieces, total)
            if size < total:
                return Offered(image_id, "wanted", size)
            self._finish(row)
        return Offered(image_id, "active")

    def _wanted(self, project_id: str, image_id: str) -> Row:
        row = self._store.get(image_id)
        if row is None or row["owner"] != project_id:
            raise NotFound(f"image {image_id[:64]} was not offered", code="no_such_image")
        return row

    def _finish(self, row: Row) -> None:
        content = self._files.digest(row["id"])
        if content.sha512 != row["os_hash_value"]:
            self._files.drop(row["id"])
            raise Conflict("the content that came is not the one that was offered", code="image_hash")
        self._files.take(row["id"])
        if not self._store.change(row["id"], {"status": ACTIVE, "checksum": content.checksum,
                                              "updated_at": self._clock()}, (QUEUED,)):
            self._files.remove(row["id"])  # deleted while it came
            raise NotFound(f"image {row['id']} was deleted while it came", code="no_such_image")

    def prune(self) -> int:
        """Forget pushes that broke off long ago; their number."""
        return self._files.drop_older(STALE)
