"""The content of images as files `<folder>/<id>`: written in pieces, whole or not at all.

An upload writes `<id>.part` under a lock that dies with its process, so that whoever finds the lock
free knows that nobody is writing, without asking a clock. What a neighbour pushes is written to
`<id>.push` in the same way, but stays when the push breaks off, and the next one goes on behind it.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from zones.errors import Conflict, NotFound, TooLarge, Unavailable

T = TypeVar("T")
PIECE = 256 * 1024
_LOOK_EVERY = 64 * 2**20


class Lane(Protocol):
    """Where blocking C code runs."""

    def __call__(self, job: Callable[[], T], /) -> T:
        """Run `job` and return what it returns, or raise what it raises."""


@dataclass(frozen=True)
class Content:
    """What a file turned out to be."""

    size: int
    checksum: str
    """md5, as Glance gives it; nothing relies on it."""
    sha512: str


class Files:
    """Image files below `folder`. `max_size` and `keep_free` in bytes."""

    def __init__(self, folder: Path, lane: Lane, *, max_size: int, keep_free: int) -> None:
        self._folder = folder
        self._lane = lane
        self._max_size = max_size
        self._keep_free = keep_free
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def writing(self, image_id: str) -> Iterator[BinaryIO]:
        """The empty part file of an image, ours alone. Raises `Conflict` while another writes it."""
        path = self._part(image_id)
        with path.open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"Image {image_id} is being uploaded.", code="image_saving") from error
            if not _is_at(part, path):  # its last writer removed it between our open and our lock
                raise Conflict(f"Image {image_id} is being uploaded.", code="image_saving")
            try:
                part.truncate(0)
                yield part
            finally:
                path.unlink(missing_ok=True)

    def write(self, part: BinaryIO, pieces: Iterator[bytes], expected: int | None) -> Content:
        """Write all pieces and make them durable. Raises `TooLarge`, `Unavailable` (disk full)."""
        self._check_room(expected or 0)
        md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
        size, looked = 0, 0
        for piece in pieces:
            size += len(piece)
            if size > self._max_size:
                raise self._too_large()
            if size - looked >= _LOOK_EVERY:
                self._check_room(0)
                looked = size
            md5.update(piece)
            sha512.update(piece)
            part.write(piece)
            time.sleep(0)  # a fast sender must not keep everybody else waiting
        part.flush()
        self._lane(lambda: os.fsync(part.fileno()))
        return Content(size, md5.hexdigest(), sha512.hexdigest())

    @contextmanager
    def pushing(self, image_id: str) -> Iterator[BinaryIO]:
        """What has come of a pushed image, ours alone, at its end. Raises `Conflict` as `writing`."""
        path = self._push(image_id)
        with path.open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"Image {image_id} is being pushed.", code="image_saving") from error
            if not _is_at(part, path):
                raise Conflict(f"Image {image_id} is being pushed.", code="image_saving")
            yield part

    def pushed(self, image_id: str) -> int:
        """How many bytes of a pushed image have come."""
        try:
            return self._push(image_id).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, part: BinaryIO, pieces: Iterator[bytes], total: int) -> int:
        """Write pieces behind what is there, durably; the size then. Raises `TooLarge` beyond `total`."""
        size = part.tell()
        self._check_room(total - size)
        try:
            for piece in pieces:
                if size + len(piece) > min(total, self._max_size):
                    raise self._too_large()
                part.write(piece)
                size += len(piece)
                time.sleep(0)
        finally:  # what has come before a break stays
            part.flush()
            self._lane(lambda: os.fsync(part.fileno()))
        return size

    def digest(self, image_id: str) -> Content:
        """What was pushed, read once more: only that is what an image's hash may speak of."""
        return self._lane(lambda: _digest(self._push(image_id)))

    def take(self, image_id: str) -> None:
        """Let what was pushed be the image's content, durably."""
        os.replace(self._push(image_id), self._path(image_id))
        self._sync_folder()

    def drop(self, image_id: str) -> None:
        """Forget what was pushed. Quiet when there is nothing."""
        self._push(image_id).unlink(missing_ok=True)

    def drop_older(self, seconds: float) -> int:
        """Forget pushes that nobody has gone on with for so long; their number."""
        old = [path for path in self._folder.glob("*.push") if time.time() - path.stat().st_mtime > seconds]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def publish(self, image_id: str) -> None:
        """Give the content its name, durably. The part file keeps its own until the lock is free."""
        self._path(image_id).unlink(missing_ok=True)
        os.link(self._part(image_id), self._path(image_id))
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            self._lane(lambda: os.fsync(folder))
        finally:
            os.close(folder)

    def read(self, image_id: str, start: int = 0) -> Iterator[bytes]:
        """The content in pieces, from byte `start` on. Raises `NotFound` at once when there is no file."""
        try:
            file = self._path(image_id).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"No content found for image {image_id}.", code="no_image_data") from error
        file.seek(start)
        return _pieces(file)

    def remove(self, image_id: str) -> None:
        """Delete the file; quiet when there is none."""
        self._path(image_id).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """The ids of all files, whole or not, but for what is being pushed."""
        return sorted({path.name.removesuffix(".part") for path in self._folder.iterdir()
                       if path.suffix != ".push"})

    def _check_room(self, wanted: int) -> None:
        if wanted > self._max_size:
            raise self._too_large()
        free = shutil.disk_usage(self._folder).free
        if free - wanted < self._keep_free:
            raise Unavailable("There is not enough room left for that image.", code="no_room",
                              retry_after=300)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"Image exceeds the maximum size of {self._max_size} bytes.", code="image_too_large")

    def _path(self, image_id: str) -> Path:
        return self._folder / image_id

    def _part(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.part"

    def _push(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.push"


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _digest(path: Path) -> Content:
    md5, sha512, size = hashlib.md5(usedforsecurity=False), hashlib.sha512(), 0
    with path.open("rb") as file:
        while piece := file.read(_LOOK_EVERY // 16):
            md5.update(piece)
            sha512.update(piece)
            size += len(piece)
    return Content(size, md5.hexdigest(), sha512.hexdigest())


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
            time.sleep(0)
