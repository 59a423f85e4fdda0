"""Every link is polled and followed by the process that leads, and by no other."""

import logging
import threading
import time

from zones.config import Links
from zones.db import links
from zones.db.engine import Database
from zones.errors import ZonesError
from zones.neighbours.follow import APART
from zones.neighbours.tending import House, Tended

LOG = logging.getLogger(__name__)
LOOK = 1.0
"""Seconds between two looks at which links there are."""


class Keeper:
    """Starts and ends the threads of each link as links come and go, and as the lead does."""

    def __init__(self, db: Database, config: Links, house: House, *, apart: float = APART) -> None:
        self._db = db
        self._config = config
        self._house = house
        self._apart = apart
        self._tended: dict[int, Tended] = {}
        self._ending: list[tuple[int, Tended]] = []
        self._stop = threading.Event()
        self._look_now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def changed(self) -> None:
        """A link was added, changed or deleted: look now."""
        self._look_now.set()

    def stop(self, timeout: float) -> None:
        """End. A thread whose neighbour hangs is left behind after `timeout`; it writes nothing more."""
        deadline = time.monotonic() + timeout
        self._stop.set()
        self._look_now.set()
        self._thread.join(timeout)
        self.end_all()
        for _, tended in self._ending:
            tended.join(deadline)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look_now.clear()
            try:
                self.look()
            except ZonesError as error:
                LOG.warning("the links are looked at later: %s", error)
            except Exception:
                LOG.exception("the links are looked at later")
            self._look_now.wait(LOOK)

    def look(self) -> None:
        """Tend the links that there are now, or none when another process leads."""
        if not self._house.leads():
            self.end_all()
            return
        rows = {row["id"]: row for row in self._db.run(links.rows)}
        for gone in self._tended.keys() - rows.keys():
            self._end(gone)
        self._ending = [(link, tended) for link, tended in self._ending if tended.alive]
        held = {link for link, _ in self._ending}
        for link, row in rows.items():
            known = self._tended.get(link)
            if known is not None and known.version != row["version"]:
                known.hurry(row["version"])
            elif known is None and link not in held and not self._stop.is_set():
                self._tended[link] = Tended(link, row["name"] or row["api_url"], row["version"], self._db,
                                            self._config, self._house, self._apart)
                self._tended[link].start()

    def end_all(self) -> None:
        """Tend nothing."""
        for link in list(self._tended):
            self._end(link)

    def _end(self, link: int) -> None:
        tended = self._tended.pop(link)
        tended.end()
        self._ending.append((link, tended))
