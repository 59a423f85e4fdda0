"""The feed of one link: what changed there is heard, in order, again and again until it is committed.

A cursor that the neighbour can't go on from means that all is read anew. Only then may a server be
missing, and one empty answer proves nothing: it is asked for by its id, twice, `APART` seconds apart,
while the neighbour's epoch stays the same. Until all this is done the link's row keeps a mark instead
of a cursor, so that a crash in the middle only starts it again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from zones.errors import Gone, Invalid, Unknown
from zones.protocol.neighbours import Changes, ServerDoc

LOG = logging.getLogger(__name__)
APART = 60.0
"""Seconds between two looks for a server that is missing."""
LIMIT = 500
"""Servers in one answer, at most."""
LOOKS = 50
"""Servers that are asked for by id between two looks at the feed."""
EPOCH, MOST_DIGITS = 36, 20
ANEW = "anew"
"""In place of a number in a cursor: all is being read anew; before it, the epoch that we came from."""


class Source(Protocol):
    """The neighbour, as following needs it."""

    def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
        """What changed since. Raises `Gone` when it can't tell."""

    def document(self, server_id: str) -> ServerDoc | None:
        """One server as it is now; None when there is no such server there."""


class Mirror(Protocol):
    """This zone's copy of what the neighbour runs for it."""

    def hear(self, zone_uuid: str, changes: Changes) -> None:
        """Apply, and keep `changes.cursor` in the link's row, in one transaction."""

    def known(self, zone_uuid: str) -> list[str]:
        """The ids of the servers that are there, as far as this zone knows."""

    def lost(self, zone_uuid: str, server_id: str, *, restored: bool) -> None:
        """That server is not there any more; `restored`: nor is the history that would say why."""

    def set_cursor(self, zone_uuid: str, cursor: str) -> None:
        """Keep only the cursor."""


@dataclass
class _Anew:
    """A reading from the beginning: where it is, what it showed, and what is missing since when."""

    epoch: str
    cursor: str = ""
    listed: bool = False
    seen: set[str] = field(default_factory=set)
    missing: dict[str, float | None] = field(default_factory=dict)


class Follower:
    """What is followed of one zone. `step` is called again and again by one thread."""

    def __init__(self, zone_uuid: str, mirror: Mirror, *, wait: float, apart: float = APART,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.zone_uuid = zone_uuid
        self._mirror = mirror
        self._wait = wait
        self._apart = apart
        self._clock = clock
        self._limit = LIMIT
        self._anew: _Anew | None = None

    def step(self, source: Source, cursor: str, goes_on: Callable[[], bool] = lambda: True) -> Changes | None:
        """Hear what is next after the row's `cursor`; None when nothing was heard because all begins anew.

        Raises what `source` and the mirror raise: then nothing has changed but what was committed.
        `goes_on` is asked before anything is written: what came too late is dropped.
        """
        if self._anew is None and _is_whole(cursor):
            return self._hear_next(source, cursor, goes_on)
        if self._anew is None:
            self._anew = _Anew(epoch_of(cursor))
        return self._read_anew(source, self._anew, goes_on)

    def _hear_next(self, source: Source, cursor: str, goes_on: Callable[[], bool]) -> Changes | None:
        try:
            changes = self._ask(source, cursor, self._wait)
        except Gone as gone:
            LOG.warning("all of zone %s is read anew: %s", self.zone_uuid, gone.message)
            if goes_on():
                self._mirror.set_cursor(self.zone_uuid, f"{epoch_of(cursor)}.{ANEW}")
            return None
        if epoch_of(changes.cursor) != epoch_of(cursor):
            raise Unknown("the neighbour goes on from a cursor that is of another epoch")
        if goes_on():
            self._mirror.hear(self.zone_uuid, changes)
        return changes

    def _ask(self, source: Source, cursor: str, wait: float) -> Changes:
        """What is next. Raises `Gone` when all is to be read anew.

        Who gave no good answer is asked for less: it may have been too much for it, or for us.
        """
        try:
            changes = _checked(source.changes(cursor, wait, self._limit))
        except Invalid as error:
            if error.code != "bad_cursor":
                raise
            raise Gone(error.message) from error  # another version of that zone gave it, perhaps
        except Unknown:
            self._limit = max(1, self._limit // 4)
            raise
        self._limit = min(2 * self._limit, LIMIT)
        return changes

    def _read_anew(self, source: Source, anew: _Anew, goes_on: Callable[[], bool]) -> Changes | None:
        mark = f"{anew.epoch}.{ANEW}"
        try:
            changes = self._ask(source, anew.cursor, self._patience(anew))
        except Gone as gone:
            begun, self._anew = anew.cursor, None
            if not begun:
                raise Unknown("the neighbour can't give its feed from the beginning") from gone
            return None
        if not goes_on():
            return changes
        if anew.cursor and epoch_of(changes.cursor) != epoch_of(anew.cursor):
            self._anew = None  # it was restored meanwhile: what was seen is of another time
            return None
        self._mirror.hear(self.zone_uuid, msgspec.structs.replace(changes, cursor=mark))
        self._note(anew, changes)
        if anew.listed:
            self._look_for_missing(source, anew, goes_on)
            if not anew.missing and goes_on():
                self._mirror.set_cursor(self.zone_uuid, anew.cursor)
                self._anew = None
        return changes

    def _note(self, anew: _Anew, changes: Changes) -> None:
        anew.cursor = changes.cursor
        for document in changes.servers:
            anew.missing.pop(document.id, None)
            if not anew.listed:
                anew.seen.add(document.id)
        if not anew.listed and not changes.more:
            known = self._mirror.known(self.zone_uuid)
            anew.missing = dict.fromkeys(sorted(set(known) - anew.seen))
            anew.listed = True

    def _patience(self, anew: _Anew) -> float:
        """How long to wait for changes: not at all while there is something to do."""
        if not anew.listed:
            return 0.0
        due = [0.0 if at is None else at + self._apart - self._clock() for at in anew.missing.values()]
        return min([self._wait, *(max(0.0, one) for one in due)])

    def _look_for_missing(self, source: Source, anew: _Anew, goes_on: Callable[[], bool]) -> None:
        now = self._clock()
        due = [server for server, at in anew.missing.items() if at is None or now - at >= self._apart]
        for server in due[:LOOKS]:
            found = source.document(server)
            if not goes_on():
                return
            if found is not None:
                self._mirror.hear(self.zone_uuid, Changes(f"{anew.epoch}.{ANEW}", servers=[found]))
            elif anew.missing[server] is None:
                anew.missing[server] = self._clock()
                continue
            else:
                restored = anew.epoch != epoch_of(anew.cursor)
                LOG.warning("server %s is not in zone %s any more%s", server, self.zone_uuid,
                            ", which was restored from a backup" if restored else "")
                self._mirror.lost(self.zone_uuid, server, restored=restored)
            del anew.missing[server]


def epoch_of(cursor: str) -> str:
    """The epoch of a cursor; "" of none."""
    return cursor.rpartition(".")[0]


def _is_whole(cursor: str) -> bool:
    return bool(cursor) and not cursor.endswith(f".{ANEW}")


def _checked(changes: Changes) -> Changes:
    """The changes, if one can go on from their cursor. Raises `Unknown`."""
    epoch, _, seq = changes.cursor.rpartition(".")
    if not epoch or len(epoch) > EPOCH or "\0" in epoch or not (
            seq.isascii() and seq.isdecimal() and len(seq) < MOST_DIGITS):
        raise Unknown("the neighbour gave a cursor that is none")
    return changes
