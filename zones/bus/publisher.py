"""The bounded outgoing queue, and the one thread that empties it into the broker."""

import threading
import time
from collections import deque
from collections.abc import Sequence

from zones.bus.link import Link
from zones.bus.session import TICK, Letter, Session
from zones.bus.tally import Tally

BATCH = 128
PATIENCE = 5.0
"""Seconds without a broker after which new messages are refused at once."""


class Publisher:
    """Takes letters from any thread without blocking. Those that the broker never gets are counted."""

    def __init__(self, urls: Sequence[str], exchange: str, tally: Tally, capacity: int) -> None:
        self._exchange = exchange
        self._tally = tally
        self._capacity = capacity
        self._letters: deque[Letter] = deque()
        self._bell = threading.Event()
        self.link = Link("publisher", urls, tally, self._prepare, self._turn)

    def __len__(self) -> int:
        return len(self._letters)

    def offer(self, letter: Letter) -> bool:
        """Queue it; False when the queue is full or the broker has been away for long."""
        if len(self._letters) >= self._capacity or self.link.down_for() > PATIENCE:
            self._tally.add(dropped=1)
            return False
        self._letters.append(letter)
        if not self._bell.is_set():
            self._bell.set()
        return True

    def flush(self, timeout: float) -> None:
        """Wait until the queue is empty, at most `timeout` seconds, and only while there is a broker."""
        end = time.monotonic() + timeout
        while self._letters and self.link.up and time.monotonic() < end:
            time.sleep(0.005)

    def _prepare(self, session: Session) -> None:
        session.channel.exchange_declare(
            exchange=self._exchange, type="fanout", durable=False, auto_delete=False)

    def _turn(self, session: Session) -> None:
        self._bell.clear()  # before the look: what comes after it rings again
        if not self._letters and not self._bell.wait(TICK):
            # the broker sends heartbeats, and its farewell, to publishers as well
            session.gather([], 1, 0.001)
            return
        sent = dropped = 0
        try:
            while self._letters and sent + dropped < BATCH:
                if self._letters[0].expires < time.monotonic():
                    dropped += 1
                else:
                    session.publish(self._letters[0])
                    sent += 1
                self._letters.popleft()
        finally:
            self._tally.add(published=sent, dropped=dropped)
        time.sleep(0)  # let others run: a publisher that is always busy never waits
