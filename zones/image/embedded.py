"""The embedded image service: rows in the zone's database, content in files of the data folder."""

import uuid
from collections.abc import Callable, Iterator
from time import time
from typing import Any

from zones.errors import Conflict, Forbidden, NotFound, Unavailable, Unknown
from zones.image.files import Files
from zones.image.store import ACTIVE, DEACTIVATED, DELETED, QUEUED, SAVING, ImageStore, Row
from zones.protocol import Caller, ImageValue

HASH = "sha512"
SEE_ALL = frozenset(("admin", "service"))
"""Roles that see every image: a compute service fetches and uploads for any project."""
LIVE = (QUEUED, SAVING, ACTIVE, DEACTIVATED)


def new_row(image_id: str, owner: str, now: float, values: Row) -> Row:
    """A whole image row, queued, with `values` over the defaults."""
    return {"id": image_id, "name": None, "owner": owner, "status": QUEUED, "visibility": "shared",
            "disk_format": None, "container_format": None, "size": None, "checksum": None,
            "os_hash_algo": None, "os_hash_value": None, "min_disk": 0, "min_ram": 0,
            "protected": False, "tags": [], "properties": {}, "created_at": now, "updated_at": now,
            "version": 1, "feed_seq": None, "peer_id": "", "zone_uuid": None, **values}


class EmbeddedImages:
    """Images of this zone. Implements `zones.servers.core.Images`, and what the Image API does."""

    def __init__(self, store: ImageStore, files: Files, clock: Callable[[], float] = time,
                 elsewhere: Callable[[Row], Iterator[bytes]] | None = None) -> None:
        self.store = store
        self._files = files
        self._clock = clock
        self._elsewhere = elsewhere

    # ---------------------------------------------------------------- for boots and snapshots

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        """The image by value. Raises `NotFound`; `Conflict` while it is not active."""
        row = self.visible(caller, image_id)
        if row["status"] != ACTIVE:
            raise Conflict(f"Image {image_id} is not active.", code="image_not_active",
                           status=row["status"])
        return _value(row)

    def reserve(self, caller: Caller, image_id: str, name: str, properties: dict[str, str],
                base: ImageValue | None, zone_uuid: str | None = None) -> None:
        """Make the row of an image whose content comes later (`queued`), there if it is a neighbour's.

        Harmless when repeated. Raises `Conflict` when another image has that id.
        """
        inherited = dict(base.properties) if base else {}
        row = new_row(image_id, caller.project_id, self._clock(), {
            "name": name, "visibility": "private", "disk_format": "raw", "container_format": "bare",
            "min_disk": base.min_disk if base else 0, "min_ram": base.min_ram if base else 0,
            "properties": {**inherited, **properties}, "peer_id": caller.peer, "zone_uuid": zone_uuid})
        if self.store.add(row):
            return
        known = self.store.get(image_id)
        if known is not None and (known["status"] != QUEUED or any(
                known[name] != row[name] for name in ("owner", "peer_id", "zone_uuid"))):
            raise Conflict(f"Image ID {image_id} already exists!", code="image_exists")

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> ImageValue:
        """Take the content of a reserved image and make it active. Harmless when repeated."""
        row = self._row(image_id)
        return _value(row if row["status"] == ACTIVE else self.fill(row, chunks))

    def discard(self, image_id: str) -> None:
        """Delete an image that will never get its content. Quiet when there is none."""
        self._delete(image_id)

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        """The id of an active image with this content, public or that project's own; None: not here."""
        return self.store.match(project_id, os_hash_value, size)

    def row(self, image_id: str) -> Row:
        """An image, whoever may see it. Raises `NotFound`."""
        return self._row(image_id)

    # ---------------------------------------------------------------- for the API

    def visible(self, caller: Caller, image_id: str) -> Row:
        """The image, if the caller may see it. Raises `NotFound`."""
        row = self._row(image_id)
        if not SEE_ALL.isdisjoint(caller.roles) or row["visibility"] in ("public", "community") or (
                row["owner"] == caller.project_id and caller.project_id):
            return row
        if row["visibility"] == "shared" and self.store.member(image_id, caller.project_id):
            return row
        raise no_image(image_id)

    def create(self, row: Row) -> Row:
        """A new queued image. Raises `Conflict` when there is, or was, one with its id."""
        if not self.store.add(row):
            raise Conflict(f"Image ID {row['id']} already exists!", code="image_exists")
        return row

    def change(self, row: Row, values: Row) -> Row:
        """Change columns of an image. Raises `NotFound` when it was deleted meanwhile."""
        self._move(row["id"], LIVE, values)
        return self._row(row["id"])

    def fill(self, row: Row, pieces: Iterator[bytes], expected: int | None = None) -> Row:
        """Take the content of a queued image: streamed, hashed, then active. The row afterwards.

        Raises `Conflict` when it has its content or another upload is under way. An upload that
        fails leaves the image queued and no file.
        """
        image_id = row["id"]
        with self._files.writing(image_id) as part:
            # We hold the lock: an image that is still `saving` was left so by a process that died.
            if not self.store.change(image_id, {"status": SAVING}, (QUEUED, SAVING)):
                raise Conflict(f"Image status transition from {row['status']} to saving is not allowed",
                               code="image_not_queued")
            try:
                content = self._files.write(part, pieces, expected)
                self._files.publish(image_id)
                self._move(image_id, (SAVING,), {
                    "status": ACTIVE, "size": content.size, "checksum": content.checksum,
                    "os_hash_algo": HASH, "os_hash_value": content.sha512})
            except BaseException:
                self._undo(image_id)
                raise
        return self._row(image_id)

    def _undo(self, image_id: str) -> None:
        """Back to `queued`, unless the row is `active` after all: an answer may get lost, a commit not."""
        if self.store.change(image_id, {"status": QUEUED}, (SAVING,)) or self.store.get(image_id) is None:
            self._files.remove(image_id)

    def content(self, row: Row, start: int = 0) -> Iterator[bytes] | None:
        """The content in pieces from byte `start` on; None while there is none.

        Raises `Forbidden` when deactivated; `Unavailable`, `Unknown` when it is in a zone that does
        not answer.
        """
        if row["status"] in (QUEUED, SAVING):
            return None
        if row["status"] != ACTIVE:
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.",
                            code="image_deactivated")
        if row["zone_uuid"] is None:
            return self._files.read(row["id"], start)
        if self._elsewhere is None:
            raise Unavailable(f"Image {row['id']} is in a zone that is not linked.", code="no_link",
                              retry_after=60)
        return skipped(exactly(self._elsewhere(row), row["size"] or 0), start)

    def delete(self, row: Row) -> None:
        """Delete an image and its content. Raises `Forbidden` when it is protected."""
        if row["protected"]:
            raise Forbidden(f"Image {row['id']} is protected and cannot be deleted.",
                            code="image_protected")
        if not self._delete(row["id"]):
            raise no_image(row["id"])

    # ---------------------------------------------------------------- after a crash

    def recover(self) -> int:
        """Set uploads whose process died back to `queued` and remove files of no image; their number."""
        return sum(self._reset(image_id) for image_id in {*self.store.saving(), *self._files.ids()})

    def _reset(self, image_id: str) -> bool:
        try:
            with self._files.writing(image_id):
                back = self.store.change(image_id, {"status": QUEUED}, (SAVING,))
                if not back and self.store.get(image_id) is not None:
                    return False
                self._files.remove(image_id)
                return True
        except Conflict:
            return False  # another process is writing it now

    def _row(self, image_id: str) -> Row:
        row = self.store.get(image_id) if is_uuid(image_id) else None
        if row is None:
            raise no_image(image_id)
        return row

    def _move(self, image_id: str, was: tuple[str, ...], values: Row) -> None:
        if not self.store.change(image_id, {**values, "updated_at": self._clock()}, was):
            raise no_image(image_id)

    def _delete(self, image_id: str) -> bool:
        """The row first: a file without a row is found by `recover`, a row without a file by users."""
        gone = self.store.change(image_id, {"status": DELETED, "updated_at": self._clock()}, LIVE)
        self._files.remove(image_id)
        return gone


def exactly(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The pieces of a content of that size. Raises `Unknown` when there are fewer bytes, or more: those
    would be taken for the next answer."""
    for piece in pieces:
        size -= len(piece)
        if size < 0:
            break
        yield piece
    if size:
        raise Unknown("the content of the image is not as long as its size says", code="image_size")


def skipped(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """The pieces of a stream from byte `start` on, for a source that can't begin there."""
    for piece in pieces:
        if start < len(piece):
            yield piece[start:]
        start = max(0, start - len(piece))


def is_uuid(text: str) -> bool:
    """Whether this can be an image's id at all: a name in its place is answered without a look-up."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def no_image(image_id: str) -> NotFound:
    """The error for an image that is not there, or not the caller's to see."""
    return NotFound(f"No image found with ID {image_id[:64]}", code="no_such_image")


def _value(row: dict[str, Any]) -> ImageValue:
    return ImageValue(
        id=row["id"], name=row["name"] or "", os_hash_value=row["os_hash_value"], size=row["size"],
        min_ram=row["min_ram"], min_disk=row["min_disk"], properties=row["properties"])


def demo_content(size: int = 8192) -> bytes:
    """The same few KiB in every zone, so that zones know each other's demo image by its hash."""
    line = b"zones demo image\n"
    return (line * (size // len(line) + 1))[:size]


def bootstrap(images: EmbeddedImages, project_id: str) -> bool:
    """A first public image, `demo`, so that a new zone can boot something. Once only; whether it was now."""
    image_id = str(uuid.uuid5(uuid.UUID(project_id), "demo"))
    images.store.add(new_row(image_id, project_id, time(), {
        "name": "demo", "visibility": "public", "disk_format": "raw", "container_format": "bare"}))
    row = images.store.get(image_id)
    if row is None or row["status"] != QUEUED:
        return False
    try:
        images.upload(image_id, iter([demo_content()]))
    except Conflict:  # another process that starts at this moment does it
        return False
    return True


