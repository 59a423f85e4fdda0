"""What the bus counts, and how often it may complain."""

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """The bus at this moment, for `/readyz` and metrics; counts are since the start."""

    connected: bool
    queued: int
    """Messages that wait for the broker."""
    published: int
    dropped: int
    """Messages that could not be sent: the broker was away, or the outgoing queue full."""
    consumed: int
    undecodable: int
    failed: int
    """Batches whose handler raised."""
    reconnects: int


class Tally:
    """Counters that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts = dict.fromkeys(
            ("published", "dropped", "consumed", "undecodable", "failed", "reconnects"), 0)

    def add(self, **more: int) -> None:
        """Add to the named counters."""
        with self._lock:
            for name, number in more.items():
                self.counts[name] += number


class Seldom:
    """True at most once in `seconds`: bounds how much is logged."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def __call__(self) -> bool:
        """Whether it may be said now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
