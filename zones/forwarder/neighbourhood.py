"""Every neighbour by the UUID of its zone, as the links are now."""

import threading
import time
from collections.abc import Callable, Sequence

from zones.config import Links
from zones.errors import Invalid, Unavailable
from zones.forwarder.link import Link
from zones.forwarder.neighbour import Neighbour

FRESH = 1.0
"""Seconds that the links are taken as they were."""
_AT_ONCE = float("-inf")
_NEVER: dict[str, Link] = {}
"""The links before they were read for the first time."""


class Neighbourhood:
    """One `Neighbour` per link, kept while the link's `version` stays. `links` reads the links."""

    def __init__(self, links: Callable[[], Sequence[Link]], config: Links, own_uuid: str, *,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._links = links
        self._config = config
        self._own_uuid = own_uuid
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[int, Neighbour] = {}
        self._by_zone: dict[str, Link] = _NEVER
        self._reading = threading.Lock()
        self._until = _AT_ONCE
        self._changes = 0

    def to(self, zone_uuid: str) -> Neighbour:
        """The neighbour with that UUID. Raises `Unavailable`, code `no_link` when there is none."""
        link = self._now().get(zone_uuid)
        if link is None:
            raise Unavailable(f"there is no link to zone {zone_uuid}", code="no_link")
        return self.of(link)

    def of(self, link: Link) -> Neighbour:
        """The neighbour of a link, also of one whose zone is not known yet."""
        found = self._known.get(link.id)
        if found is not None and found.link.version >= link.version:
            return found
        try:
            made = Neighbour(link, self._config, self._own_uuid)
        except Invalid as error:
            raise Unavailable(f"link {link.name}: {error.message}", code=error.code) from error
        with self._lock:
            found, self._known[link.id] = self._known.get(link.id), made
        if found is not None:
            found.close()
        return made

    def changed(self) -> None:
        """A link was added, changed or removed: read them again before the next call."""
        self._changes += 1
        self._until = _AT_ONCE

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            closing, self._known = list(self._known.values()), {}
        for neighbour in closing:
            neighbour.close()

    def _now(self) -> dict[str, Link]:
        """The links by zone; one caller reads them again while the others take them as they were."""
        if self._clock() < self._until:
            return self._by_zone
        if not self._reading.acquire(blocking=self._by_zone is _NEVER):
            return self._by_zone
        try:
            if self._clock() >= self._until:
                changes = self._changes
                self._by_zone = self._read()
                self._until = self._clock() + FRESH if changes == self._changes else _AT_ONCE
            return self._by_zone
        finally:
            self._reading.release()

    def _read(self) -> dict[str, Link]:
        links = self._links()
        for link_id in set(self._known) - {link.id for link in links}:
            with self._lock:
                neighbour = self._known.pop(link_id, None)
            if neighbour is not None:
                neighbour.close()
        return {link.zone_uuid: link for link in links if link.zone_uuid}
