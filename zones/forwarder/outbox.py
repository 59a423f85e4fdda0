"""What is told to neighbours without anybody waiting: boots, recalls, and images that they want.

Nothing here is durable and nothing is repeated: each comes from a row that is repeated until it is
answered. So what can't be delivered is dropped, and a queue that is full takes no more.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from zones.config import Links
from zones.forwarder.line import Line, Speaker
from zones.forwarder.wharf import Wharf
from zones.protocol import ImageValue
from zones.protocol.neighbours import Answered, Handover

WAITING = 2000
"""Boots and recalls, or images, that wait for one neighbour, at most."""


class Speakers(Protocol):
    """Whom to tell: a `Neighbourhood`."""

    def to(self, zone_uuid: str, /) -> Speaker:
        """The neighbour with that UUID. Raises `Unavailable`."""


class Outbox:
    """Implements `servers.core.Neighbours`: for each neighbour a queue and a few threads.

    `answered(zone_uuid, answers)` is told of every answer; `pusher(zone_uuid, image, project_id,
    server_id)` brings an image and returns when it is there. Both may raise `ZonesError`.
    """

    def __init__(self, neighbourhood: Speakers, config: Links, *,
                 answered: Callable[[str, list[Answered]], None],
                 pusher: Callable[[str, ImageValue, str, str], None],
                 is_up: Callable[[str], bool], name_of: Callable[[str], str]) -> None:
        self._neighbourhood = neighbourhood
        self._config = config
        self._answered = answered
        self._pusher = pusher
        self._is_up = is_up
        self._name_of = name_of
        self._lock = threading.Lock()
        self._ways: dict[str, tuple[Line, Wharf]] = {}
        self._closed = False

    def hand(self, zone_uuid: str, handover: Handover) -> bool:
        """Send a boot soon; False when the queue is full."""
        ways = self._to(zone_uuid)
        return ways is not None and ways[0].hand(handover)

    def recall(self, zone_uuid: str, server_id: str, attempts: Sequence[str]) -> bool:
        """Ask soon to refuse these attempts for ever, before all boots that wait."""
        ways = self._to(zone_uuid)
        return ways is not None and ways[0].recall(server_id, attempts)

    def push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> bool:
        """Bring an image there soon."""
        ways = self._to(zone_uuid)
        return ways is not None and ways[1].push(image, project_id, server_id)

    def is_up(self, zone_uuid: str) -> bool:
        """Whether that zone answered lately."""
        return self._is_up(zone_uuid)

    def name_of(self, zone_uuid: str) -> str:
        """The name of the link to that zone; its UUID when there is no link."""
        return self._name_of(zone_uuid)

    def counts(self) -> dict[str, Counter[str]]:
        """By zone, how many boots and recalls were `answered`, and `dropped` to come again."""
        with self._lock:
            return {zone_uuid: Counter(line.counts) for zone_uuid, (line, _) in self._ways.items()}

    def close(self, patience: float = 5.0) -> bool:
        """Send no more: what waits is forgotten. Whether what was under way ended within `patience`."""
        with self._lock:
            self._closed = True
            ending = [each for ways in self._ways.values() for each in ways]
        for each in ending:
            each.close(0.0)
        end = time.monotonic() + patience
        ended = [each.close(max(0.0, end - time.monotonic())) for each in ending]
        return all(ended)

    def _to(self, zone_uuid: str) -> tuple[Line, Wharf] | None:
        with self._lock:
            if self._closed:
                return None
            if zone_uuid not in self._ways:
                name = lambda: self._name_of(zone_uuid)
                self._ways[zone_uuid] = (
                    Line(lambda: self._neighbourhood.to(zone_uuid), self._config.senders,
                         lambda answers: self._answered(zone_uuid, answers), name, WAITING),
                    Wharf(lambda *load: self._pusher(zone_uuid, *load), name, WAITING))
            return self._ways[zone_uuid]
