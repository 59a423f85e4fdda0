"""A circuit breaker: who can't be reached is left alone for a while, then asked by one caller first."""

import threading
import time
from collections.abc import Callable

LONGEST = 30.0


class Breaker:
    """Opens when a connection fails, for `first` seconds, then twice as long each time up to `LONGEST`.

    When that time is over one caller is let through; its success closes the breaker. One that never
    says how it went blocks nobody for good: the next is let through a pause later.
    """

    def __init__(self, first: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = 0
        self._pause = 0.0
        self._until = 0.0

    def enter(self) -> int | None:
        """A pass, to be handed to `failed`; None while nobody is let through."""
        if not self._pause:
            return self._turn
        with self._lock:
            if self._pause:
                now = self._clock()
                if now < self._until:
                    return None
                self._until = now + self._pause
                self._turn += 1
            return self._turn

    def failed(self, turn: int) -> None:
        """The caller with that pass got no connection. Many that fail together count once."""
        with self._lock:
            if turn != self._turn:
                return
            self._turn += 1
            self._pause = min(self._pause * 2 or self._first, LONGEST)
            self._until = self._clock() + self._pause

    def succeeded(self) -> None:
        """There is a connection."""
        if not self._pause:
            return
        with self._lock:
            self._turn += 1
            self._pause = 0.0

    def left(self) -> float:
        """Seconds until somebody is let through; 0.0 when closed."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._pause else 0.0
