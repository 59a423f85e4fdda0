"""The bus as the rooms of the house use it: who sends what to whom, without knowing queues."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from zones.protocol import Message, Wake

CALM = 0.005
"""Seconds between two wake-ups of other processes: under load one wakes for many."""


class Lines(Protocol):
    """What a bus does: `zones.bus.bus.Bus`."""

    def publish(self, queue: str, message: Message) -> bool:
        """Hand a message to a queue; False when it can't be sent."""

    def fanout(self, message: Message) -> bool:
        """Hand a message to everyone in the zone."""

    def ask(self, queue: str, message: Message, deadline: float) -> Message:
        """Ask and wait. Raises `Unknown`."""


class Wires:
    """Implements `servers.core.Wires` and the compute service's `Wire` on one bus.

    `woken` is set when the workers of this very process have something to do; without workers here,
    those of other processes are woken over the bus, at most once every `CALM` seconds.
    """

    def __init__(self, lines: Lines, woken: threading.Event, *, workers_here: bool,
                 host_queue: Callable[[str], str], news_queue: str, wake_queue: str) -> None:
        self._lines = lines
        self._woken = woken
        self._workers_here = workers_here
        self._host_queue = host_queue
        self._news_queue = news_queue
        self._wake_queue = wake_queue
        self._asleep = threading.Event()
        self._stopped = False
        if not workers_here:
            threading.Thread(target=self._wake_others, name="waker", daemon=True).start()

    def send(self, service: str, message: Message) -> bool:
        """To a compute service's queue."""
        return self._lines.publish(self._host_queue(service), message)

    def news(self, message: Message) -> bool:
        """To the zone's news queue."""
        return self._lines.publish(self._news_queue, message)

    def fanout(self, message: Message) -> bool:
        """To everyone in the zone."""
        return self._lines.fanout(message)

    def ask(self, service: str, message: Message, deadline: float) -> Message:
        """Ask a compute service. Raises `Unknown` after `deadline` seconds."""
        return self._lines.ask(self._host_queue(service), message, deadline)

    def wake(self) -> None:
        """Something is due."""
        if self._workers_here:
            self._woken.set()
        else:
            self._asleep.set()

    def close(self) -> None:
        """Wake nobody any more."""
        self._stopped = True
        self._asleep.set()

    def _wake_others(self) -> None:
        while not self._stopped:
            self._asleep.wait()
            self._asleep.clear()
            self._lines.publish(self._wake_queue, Wake())
            time.sleep(CALM)
