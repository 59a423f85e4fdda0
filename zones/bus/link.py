"""A thread with a connection of its own, made again for ever when it breaks."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from zones.bus.session import Session
from zones.bus.tally import Seldom, Tally

LOG = logging.getLogger(__name__)
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Link:
    """`prepare(session)` once a connection, then `turn(session)` again and again until `stop`.

    A turn returns within a fraction of a second when there is nothing to do. Whatever it raises costs
    the connection: the next one is tried after a pause that grows to 5 seconds, with jitter.
    """

    def __init__(self, name: str, urls: Sequence[str], tally: Tally,
                 prepare: Callable[[Session], None], turn: Callable[[Session], None]) -> None:
        self.name = name
        self._urls = itertools.cycle(urls)
        self._tally = tally
        self._prepare = prepare
        self._turn = turn
        self._again = False
        self._up = threading.Event()
        self._stop = threading.Event()
        self._changed = time.monotonic()
        self._complain = Seldom(10.0)
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it was told to stop: it will not connect again."""
        return self._stop.is_set()

    @property
    def up(self) -> bool:
        """Whether it is connected and prepared."""
        return self._up.is_set()

    def wait(self, timeout: float) -> bool:
        """Whether it is up within `timeout` seconds."""
        return self._up.wait(timeout)

    def down_for(self) -> float:
        """Seconds since it was last up, or started; 0 while it is up."""
        return 0.0 if self.up else time.monotonic() - self._changed

    def stop(self) -> None:
        """End after the turn that runs; returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._live()
            except Exception as error:  # py-amqp raises nearly anything when a connection breaks
                if not self.ended and self._complain():
                    LOG.warning("bus %s: no connection: %s: %s", self.name, type(error).__name__, error)
            if self._stop.is_set():
                return
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._stop.wait(pause * (0.5 + random.random()))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _live(self) -> None:
        with Session(next(self._urls)) as session:
            self._prepare(session)
            if self._again:
                self._tally.add(reconnects=1)
                LOG.info("bus %s: connected again", self.name)
            self._again = True
            self._changed = time.monotonic()
            self._up.set()
            try:
                while not self._stop.is_set():
                    self._turn(session)
                    session.tick()
            finally:
                self._changed = time.monotonic()
                self._up.clear()
