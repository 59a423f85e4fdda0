"""Threads that take turns at work as it comes: started when needed, gone when there was none for a while."""

import logging
import threading
import time
from collections.abc import Callable

LOG = logging.getLogger(__name__)
IDLE = 10.0


class Crew:
    """At most `most` threads call `turn` until it returns False: nothing to do. `call` after adding work."""

    def __init__(self, name: str, most: int, turn: Callable[[], bool], *, idle: float = IDLE) -> None:
        self._name = name
        self._most = most
        self._turn = turn
        self._idle_for = idle
        self._lock = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._calls = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Threads that there are now."""
        return len(self._threads)

    def call(self) -> None:
        """There is work. Never blocks for long."""
        with self._lock:
            if self._closed:
                return
            self._calls += 1
            if self._idle:
                self._lock.notify()
            elif len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._threads.add(thread)
                thread.start()

    def close(self, patience: float) -> bool:
        """No more turns; whether the ones under way have ended within `patience` seconds."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        seen = -1
        while self._more(seen):
            seen = self._calls  # before the look: a call that comes during it is another turn
            try:
                while not self._closed and self._turn():
                    pass
            except Exception:
                LOG.exception("%s: a turn failed", self._name)

    def _more(self, seen: int) -> bool:
        """Whether there may be more to do; False: this thread has ended."""
        with self._lock:
            if not self._closed and self._calls == seen:
                self._idle += 1
                self._lock.wait(self._idle_for)
                self._idle -= 1
            if self._closed or self._calls == seen:
                self._threads.discard(threading.current_thread())
                return False
            return True
