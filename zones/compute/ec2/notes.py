"""What the driver itself remembers over a crash: each launch, before EC2 is asked for it.

The ledger knows that there is such a launch; here stands what a repeat of it needs. EC2 gives the same
instance for the same ClientToken only when every parameter is the same, and options, prices and offers
may have changed since. One small file a launch, replaced whole, so that no crash leaves half a note.
"""

import hashlib
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from zones import folder
from zones.errors import Unavailable


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt's launch. `sent`: when RunInstances was last sent, 0 before that.

    `number` counts the types that were tried; each try has a token of its own, because the earlier
    ones were surely refused. `instance` is "" while EC2 has not told it.
    """

    server: str
    host: str
    attempt: str
    types: list[str]
    request: dict[str, Any] = {}
    key: str = ""
    number: int = 0
    sent: float = 0.0
    instance: str = ""

    @property
    def id(self) -> str:
        """Its name, which is a file's name too."""
        return note_id(self.server, self.host, self.attempt)

    @property
    def token(self) -> str:
        """The ClientToken of the try under way: 64 hex digits, which is what EC2 allows."""
        return hashlib.sha256(f"{self.server}/{self.attempt}/{self.number}".encode()).hexdigest()

    @property
    def type(self) -> str:
        """The instance type of the try under way."""
        return self.types[self.number]

    def is_fresh(self, settle: float) -> bool:
        """Whether EC2 may still hide what this launch has made."""
        return bool(self.sent) and time.time() - self.sent < settle


def note_id(server: str, host: str, attempt: str) -> str:
    """The name of the note of this launch."""
    return hashlib.sha256(f"{server}/{host}/{attempt}".encode()).hexdigest()


class Notes:
    """The notes in a folder, all in memory too. Only one process uses the folder."""

    def __init__(self, path: Path) -> None:
        """Raises `Invalid` when nothing can be written there, `Unavailable` when a note can't be read."""
        self._path = folder.make(path)
        self._lock = threading.Lock()
        self._notes: dict[str, Note] = {}
        for file in sorted(path.glob("*.json")):
            try:
                note = msgspec.json.decode(file.read_bytes(), type=Note)
            except (OSError, msgspec.MsgspecError, ValueError) as error:
                raise Unavailable(f"the note {file} can't be read: {error}", code="bad_note") from error
            self._notes[note.id] = note

    def get(self, server: str, host: str, attempt: str) -> Note | None:
        """The note of a launch."""
        return self._notes.get(note_id(server, host, attempt))

    def of(self, server: str, host: str) -> list[Note]:
        """Every note of a server on a host."""
        with self._lock:
            return [note for note in self._notes.values() if (note.server, note.host) == (server, host)]

    def uses_key(self, key: str, besides: Collection[str]) -> bool:
        """Whether a launch that is remembered has this key pair, `besides` the notes of these ids."""
        with self._lock:
            return any(note.key == key and note.id not in besides for note in self._notes.values())

    def put(self, note: Note) -> Note:
        """Remember, on the disk before this returns."""
        file = self._file(note)
        fresh = file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(note))
            opened.flush()
            os.fsync(opened.fileno())
        fresh.replace(file)
        with self._lock:
            self._notes[note.id] = note
        return note

    def drop(self, note: Note) -> None:
        """Forget; quiet when it is not there."""
        self._file(note).unlink(missing_ok=True)
        with self._lock:
            self._notes.pop(note.id, None)

    def _file(self, note: Note) -> Path:
        return self._path / f"{note.id}.json"
