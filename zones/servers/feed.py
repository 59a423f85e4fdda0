"""What peers hear of the servers and images that they have here: the state of each, in the feed's order.

A cursor is `<epoch>.<number>`. The number holds a place in the feed and a mark: 0 while a reader follows;
else it reads from the beginning, and the mark says since which floor, for a reader must begin anew when
something is forgotten that it has not read the end of.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from zones.db import feed, peers
from zones.db.engine import Connection, Database
from zones.errors import Gone, Invalid, NotFound, ZonesError
from zones.protocol import Caller
from zones.protocol.neighbours import Changes, ImageDoc, ServerDoc
from zones.servers.core import Core, Row
from zones.servers.handover import is_refused

LOG = logging.getLogger(__name__)
MOST = 1000
LOOK_FOR_PEERS = 5.0
MARKS = 1024
_AS_IT_IS = ("id", "version", "user_id", "name", "vm_state", "flavor", "task_state", "power_state", "deleted",
             "old_flavor", "hostname", "description", "image_id", "availability_zone", "key_name",
             "user_data", "config_drive", "access_ip_v4", "access_ip_v6", "locked", "locked_by",
             "locked_reason", "progress", "reservation_id", "launch_index", "created_at", "updated_at",
             "launched_at", "terminated_at")
_IMAGE_AS_IT_IS = ("id", "version", "status", "name", "size", "checksum", "os_hash_algo", "os_hash_value",
                   "disk_format", "container_format", "min_disk", "min_ram", "created_at")


def changes(core: Core, caller: Caller, cursor: str, limit: int) -> Changes:
    """The peer's rows behind the cursor ("" is the beginning), at most `limit`.

    Raises `Gone` when one can't go on from the cursor, `Invalid` when it is none.
    """
    return core.db.run(_changes, caller.peer, cursor, max(1, min(limit, MOST)))


def seq_of(cursor: str) -> int:
    """The place in the feed that a cursor of ours stands at."""
    return int(cursor.rpartition(".")[2]) // MARKS


def document(core: Core, caller: Caller, server_id: str) -> ServerDoc:
    """One server as it is now. Raises `NotFound` when it is none of this peer's."""
    return core.db.run(_document, caller.peer, server_id)


def _changes(conn: Connection, peer_id: str, cursor: str, limit: int) -> Changes:
    zone = feed.head(conn)
    seq, mark = _place(zone, cursor)
    servers, images = feed.since(conn, peer_id, seq, zone.head, limit)
    shown = sorted(row["feed_seq"] for row in (*servers, *images))[:limit]
    more = len(shown) == limit
    last, mark = (shown[-1], mark) if more else (zone.head, 0)
    tell = _Teller(conn, peer_id, zone.name)
    return Changes(
        f"{zone.epoch}.{last * MARKS + mark}",
        [tell.server(row) for row in servers if row["feed_seq"] <= last],
        [tell.image(row) for row in images if row["feed_seq"] <= last], zone.generation, more)


def _place(zone: feed.Head, cursor: str) -> tuple[int, int]:
    """The place and the mark of a cursor, if one can go on from there."""
    anew = 1 + zone.floor % (MARKS - 1)
    if not cursor:
        return 0, anew
    epoch, _, number = cursor.rpartition(".")
    if not epoch or not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise Invalid("since is no cursor of this feed", code="bad_cursor")
    seq, mark = divmod(int(number), MARKS)
    if epoch != zone.epoch or seq > zone.head or (seq < zone.floor if mark == 0 else mark != anew):
        raise Gone("the feed can't go on from that cursor: begin anew", code="feed_gone")
    return seq, mark


def _document(conn: Connection, peer_id: str, server_id: str) -> ServerDoc:
    row = feed.one(conn, peer_id, server_id)
    if row is None:
        raise NotFound(f"Instance {server_id} could not be found.", code="no_such_server")
    return _Teller(conn, peer_id, feed.head(conn).name).server(row)


class _Teller:
    """Rows as documents for one peer, in its own words for its projects."""

    def __init__(self, conn: Connection, peer_id: str, zone_name: str) -> None:
        self._conn = conn
        self._peer = peer_id
        self._zone = zone_name
        self._projects: dict[str, str] = {}

    def server(self, row: Row) -> ServerDoc:
        """The document of a server."""
        refused = is_refused(row)
        why = {name: value for name, value in (row["fault"] or {}).items() if name != "explanation"}
        return ServerDoc(
            attempt=row["origin_attempt"] or "", seq=row["feed_seq"] or 0, refused=refused,
            placed=bool(row["host"] or row["zone_uuid"] or refused or row["deleted"]),
            project_id=self._theirs(row["project_id"]), addresses=row["addresses"] or {},
            metadata=row["metadata"] or {}, tags=row["tags"] or [], fault=why or None,
            host_path=[self._zone, *(row["host_path"] or [])],
            **{name: row[name] for name in _AS_IT_IS})

    def image(self, row: Row) -> ImageDoc:
        """The document of an image."""
        return ImageDoc(seq=row["feed_seq"] or 0, project_id=self._theirs(row["owner"]),
                        properties=row["properties"] or {}, **{name: row[name] for name in _IMAGE_AS_IT_IS})

    def _theirs(self, project: str) -> str:
        if project not in self._projects:
            self._projects[project] = peers.their_project(self._conn, self._peer, project) or project
        return self._projects[project]


class Moved:
    """Wakes those in this process who wait for the feed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._head = 0

    def moved(self, head: int) -> None:
        """The feed is numbered up to `head`."""
        with self._changed:
            self._head = head
            self._changed.notify_all()

    def wait(self, beyond: int, timeout: float) -> bool:
        """Until the head is beyond that, or `timeout` seconds; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._head > beyond, timeout)


class Numberer:
    """One thread that numbers the feed while its process leads, and tells `moved` the new head."""

    def __init__(self, db: Database, leads: Callable[[], bool], interval: float,
                 moved: Callable[[int], object]) -> None:
        self._db = db
        self._leads = leads
        self._interval = interval
        self._moved = moved
        self._peers: list[str] = []
        self._look_again = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to number."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Number nothing more."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                if self._leads():
                    self.round()
            except ZonesError as error:
                LOG.warning("the feed is numbered later: %s", error)
            except Exception:
                LOG.exception("the feed could not be numbered; it is tried again")

    def round(self) -> None:
        """Number all that has changed."""
        if time.monotonic() >= self._look_again:
            self._peers = self._db.run(feed.peers)
            self._look_again = time.monotonic() + LOOK_FOR_PEERS
        while self._peers and not self._stop.is_set():
            head: Any = self._db.run(feed.number, self._peers)
            if head is None:
                return
            self._moved(head)
