"""One link, polled by one thread and followed by another: a neighbour that hangs holds up only these."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from zones.config import Links
from zones.db import links
from zones.db.engine import Connection, Database, now
from zones.errors import Unavailable, ZonesError
from zones.neighbours import follow, poll
from zones.protocol.neighbours import Changes

LOG = logging.getLogger(__name__)
HASTE = 0.5
"""Seconds between two polls that news of a new generation asks for, at least."""
IDLE = 5.0
"""Seconds between two looks at whether an inactive link is active again; polling wakes sooner."""
BREATH = 0.2
"""Seconds before a neighbour that answered «nothing new», or the same, at once is asked again."""
FIRST_PAUSE = 0.5

Row = dict[str, Any]


class Neighbour(poll.Source, follow.Source, Protocol):
    """A neighbour, as this package calls it. Used by two threads at once."""

    def close(self) -> None:
        """Close its connections."""


@dataclass(frozen=True)
class House:
    """What the rest of the zone does about links. Told by the threads of each link; must be harmless
    when repeated."""

    leads: Callable[[], bool]
    """Whether this process is the one that polls and follows."""
    connect: Callable[[Row], Neighbour]
    """A neighbour of one's own by the link's row. Raises `ZonesError`."""
    hear: Callable[[str, Changes], None]
    known: Callable[[str], list[str]]
    lost: Callable[[str, str, bool], None]
    """`lost(zone_uuid, server_id, restored)`."""
    links_changed: Callable[[], object]
    """The health of a link, or what is offered there, is another one."""
    back: Callable[[str], object]
    """That zone answers again: what waits for it need not wait longer."""


class Line:
    """The neighbour at the other end, made anew when the link was changed or could not be reached.

    A client of one's own, for the breaker of another would keep a poll from finding that all is well.
    """

    def __init__(self, connect: Callable[[Row], Neighbour]) -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._made: tuple[int, Neighbour] | None = None

    def to(self, row: Row) -> Neighbour:
        """The neighbour of this row. Raises `ZonesError`."""
        with self._guard:
            if self._made is None or self._made[0] != row["version"]:
                self._drop()
                self._made = (row["version"], self._connect(row))
            return self._made[1]

    def drop(self) -> None:
        """Make it anew the next time."""
        with self._guard:
            self._drop()

    def _drop(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made[1].close()


class Tended:
    """The two threads of one link, from `start` until `end`."""

    def __init__(self, link_id: int, name: str, version: int, db: Database, config: Links, house: House,
                 apart: float = follow.APART) -> None:
        self.version = version
        self._id = link_id
        self._name = name
        self._db = db
        self._config = config
        self._house = house
        self._apart = apart
        self._line = Line(house.connect)
        self._follower: follow.Follower | None = None
        self._at = ""
        self._trouble = 0.0
        self._ended = threading.Event()
        self._poll_now = threading.Event()
        self._follow_now = threading.Event()
        self._threads = [threading.Thread(target=self._poll_on, name=f"poll-{name}", daemon=True),
                         threading.Thread(target=self._follow_on, name=f"feed-{name}", daemon=True)]

    def start(self) -> None:
        """Begin with a poll."""
        for thread in self._threads:
            thread.start()

    def hurry(self, version: int) -> None:
        """The link's row was changed: look now."""
        self.version = version
        self._poll_now.set()
        self._follow_now.set()

    def end(self) -> None:
        """Write nothing more, and end as soon as the neighbour lets go."""
        self._ended.set()
        self._poll_now.set()
        self._follow_now.set()
        self._line.drop()

    def join(self, deadline: float) -> None:
        """Wait until both threads have ended, or it is `deadline` on the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def alive(self) -> bool:
        """Whether one of the threads has not ended yet."""
        return any(thread.is_alive() for thread in self._threads)

    def _goes_on(self) -> bool:
        return not self._ended.is_set() and self._house.leads()

    # -------------------------------------------------------------- polling

    def _poll_on(self) -> None:
        while not self._ended.is_set():
            self._poll_now.clear()
            began = time.monotonic()
            failures = 1
            try:
                failures = self.poll_once()
            except ZonesError as error:
                LOG.warning("what a poll of link %s found was not kept: %s", self._name, error)
            except Exception:
                LOG.exception("link %s was not polled; it is tried again", self._name)
            self._poll_now.wait(poll.pause(failures, self._config) * random.uniform(0.9, 1.1))
            self._ended.wait(max(0.0, began + min(HASTE, self._config.poll) - time.monotonic()))

    def poll_once(self) -> int:
        """Poll once, and keep and tell what was found; the failures in a row so far."""
        row, age = self._db.run(_row_and_age, self._id)
        if row is None:
            return 0
        outcome = self._ask(row, age)
        if not self._goes_on():
            return 0
        noted = self._db.run(_note, row, outcome, self._config)
        if noted is None:
            return 0
        before, after = noted
        if poll.shows(before, after):
            self._house.links_changed()
        if after["is_active"] and not before["is_active"]:
            LOG.info("link %s is active", after["name"])
            self._house.back(after["zone_uuid"])
            self._follow_now.set()
        elif before["is_active"] and not after["is_active"]:
            LOG.warning("link %s is inactive (%s): %s", after["name"], after["reason"], after["message"])
        return int(after["failures"])

    def _ask(self, row: Row, age: float | None) -> poll.Outcome:
        try:
            outcome = poll.ask(self._line.to(row), row, age)
        except ZonesError as error:
            outcome = poll.failed(error)
        if isinstance(outcome, poll.Failed):
            self._line.drop()
        return outcome

    # -------------------------------------------------------------- following

    def _follow_on(self) -> None:
        while not self._ended.is_set():
            self._follow_now.clear()
            try:
                rest = self.follow_once()
                self._trouble = 0.0
            except ZonesError as error:
                rest = self._after(error)
            except Exception:
                rest = self._config.poll
                LOG.exception("the feed of link %s is not heard; it is tried again", self._name)
            self._follow_now.wait(rest)

    def _after(self, error: ZonesError) -> float:
        """The seconds until the feed is asked for again."""
        LOG.log(logging.DEBUG if self._trouble else logging.WARNING,
                "the feed of link %s is not heard: %s", self._name, error)
        longest = max(FIRST_PAUSE, min(self._config.poll, poll.LONGEST))
        self._trouble = min(max(2 * self._trouble, FIRST_PAUSE), longest)
        if isinstance(error, Unavailable):
            self._line.drop()
        return self._trouble

    def follow_once(self) -> float:
        """Hear what is next; the seconds after which to go on."""
        row = self._db.run(links.row, self._id)
        if row is None or not row["is_active"] or not row["zone_uuid"] or not self._goes_on():
            return IDLE
        if self._follower is None or self._follower.zone_uuid != row["zone_uuid"]:
            self._follower = follow.Follower(row["zone_uuid"], _Mirror(self._db, self._house),
                                             wait=self._config.feed_wait, apart=self._apart)
        began = time.monotonic()
        changes = self._follower.step(self._line.to(row), row["cursor"] or "", self._goes_on)
        if changes is None:
            return 2 * BREATH
        if changes.generation != row["generation"]:
            self._poll_now.set()
        still = changes.cursor == self._at or not (changes.servers or changes.images or changes.more)
        self._at = changes.cursor
        return BREATH if still and time.monotonic() - began < BREATH else 0.0


class _Mirror:
    def __init__(self, db: Database, house: House) -> None:
        self._db = db
        self._house = house

    def hear(self, zone_uuid: str, changes: Changes) -> None:
        self._house.hear(zone_uuid, changes)

    def known(self, zone_uuid: str) -> list[str]:
        return self._house.known(zone_uuid)

    def lost(self, zone_uuid: str, server_id: str, *, restored: bool) -> None:
        self._house.lost(zone_uuid, server_id, restored)

    def set_cursor(self, zone_uuid: str, cursor: str) -> None:
        self._db.run(links.set_cursor, zone_uuid, cursor)


def _row_and_age(conn: Connection, link_id: int) -> tuple[Row | None, float | None]:
    """The link, and how many seconds ago its last whole answer came."""
    row = links.row(conn, link_id)
    if row is None or row["summary_at"] is None:
        return row, None
    return row, max(0.0, now(conn) - row["summary_at"])


def _note(conn: Connection, row: Row, outcome: poll.Outcome, config: Links) -> tuple[Row, Row] | None:
    """Keep what polling found: the row before and after. None when the link was changed or deleted
    meanwhile: then it is not about that link any more."""
    before = links.row(conn, row["id"])
    if before is None or before["version"] != row["version"]:
        return None
    values = poll.polled(before, outcome, now(conn), config)
    if before["zone_uuid"] is None and isinstance(outcome, poll.Told) and values.get("is_active"):
        uuid = outcome.info.uuid
        if links.identify(conn, row["id"], uuid):
            before = {**before, "zone_uuid": uuid}
        else:
            values = poll.polled(before, poll.taken(uuid), now(conn), config)
    links.note_poll(conn, row["id"], **values)
    return before, {**before, **values}
