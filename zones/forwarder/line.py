"""Boots and recalls on their way to one neighbour: a bounded queue and the threads that send from it."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from zones.errors import Forbidden, Invalid, NotFound, TooLarge, Unavailable, Unknown, ZonesError
from zones.forwarder.crew import Crew
from zones.forwarder.trouble import Trouble
from zones.protocol.neighbours import Answered, Handover

BATCH = 64
_NO_WORD = (Unavailable, Unknown, Forbidden, NotFound)
"""Errors that say nothing about the boots themselves: the link is not right, or there is no answer."""
_CODES = {Invalid: "bad_request", TooLarge: "too_large"}


class Speaker(Protocol):
    """The neighbour, as far as it is told something here."""

    def hand(self, boots: Sequence[Handover], /) -> list[Answered]:
        """Hand boots over; an answer to each."""

    def recall(self, server_id: str, attempts: Sequence[str], /) -> list[Answered]:
        """Ask to refuse these attempts for ever; an answer to each."""


class Line:
    """What waits for one neighbour. Recalls go first, one by one; boots as many together as wait."""

    def __init__(self, neighbour: Callable[[], Speaker], senders: int,
                 answered: Callable[[list[Answered]], None], name: Callable[[], str], most: int) -> None:
        self.counts: Counter[str] = Counter()
        """What was `answered`, and what `dropped`, to be repeated from its row."""
        self._neighbour = neighbour
        self._answered = answered
        self._most = most
        self._lock = threading.Lock()
        self._boots: dict[str, Handover] = {}
        self._recalls: dict[str, list[str]] = {}
        self._away: set[str] = set()
        """Attempts that are being handed over, and servers of which attempts are being recalled."""
        self._trouble = Trouble("boots and recalls", name)
        self._crew = Crew("sender", senders, self._turn)

    def hand(self, handover: Handover) -> bool:
        """Send a boot soon, unless it waits or is on its way already; False when the queue is full."""
        with self._lock:
            if handover.attempt in self._boots or handover.attempt in self._away:
                return True
            if self._is_full():
                return False
            self._boots[handover.attempt] = handover
        self._crew.call()
        return True

    def recall(self, server_id: str, attempts: Sequence[str]) -> bool:
        """Ask for a recall soon; boots of these attempts that still wait are not sent any more."""
        with self._lock:
            if server_id not in self._recalls and self._is_full():
                return False
            for attempt in attempts:
                self._boots.pop(attempt, None)
            known = self._recalls.get(server_id, [])
            self._recalls[server_id] = known + [each for each in attempts if each not in known]
        self._crew.call()
        return True

    def close(self, patience: float) -> bool:
        """Send no more; whether what was under way has ended in time."""
        return self._crew.close(patience)

    def _is_full(self) -> bool:
        return len(self._boots) + len(self._recalls) >= self._most

    def _turn(self) -> bool:
        server_id, attempts, boots = self._take()
        if server_id is None and not boots:
            return False
        try:
            if server_id is not None:
                self._tell(len(attempts), lambda: self._neighbour().recall(server_id, attempts))
            else:
                self._hand(boots)
        finally:
            with self._lock:
                self._away.discard(server_id or "")
                self._away.difference_update(boot.attempt for boot in boots)
        return True

    def _take(self) -> tuple[str | None, list[str], list[Handover]]:
        """A recall, or else the boots that wait."""
        with self._lock:
            server_id = next((each for each in self._recalls if each not in self._away), None)
            if server_id is not None:
                self._away.add(server_id)
                return server_id, self._recalls.pop(server_id), []
            boots = [self._boots.pop(each) for each in list(self._boots)[:BATCH]]
            self._away.update(boot.attempt for boot in boots)
            return None, [], boots

    def _hand(self, boots: Sequence[Handover]) -> None:
        """Hand over; one boot that is wrong or too large by itself does not hold up the others."""
        parts: list[Sequence[Handover]] = []

        def call() -> list[Answered]:
            neighbour = self._neighbour()
            try:
                return neighbour.hand(boots)
            except _NO_WORD:
                raise
            except ZonesError as error:
                if len(boots) == 1:
                    return _withdrawn(neighbour, boots[0], error)
                middle = len(boots) // 2
                parts.extend((boots[:middle], boots[middle:]))
                return []
        self._tell(len(boots), call)
        for part in parts:
            self._hand(part)

    def _tell(self, count: int, call: Callable[[], list[Answered]]) -> None:
        """Tell of the answers. A failure is no answer: what is dropped here is repeated from its row."""
        try:
            answers = call()
            if answers:
                self._answered(answers)
        except ZonesError as error:
            self._trouble.bad(error)
            with self._lock:
                self.counts["dropped"] += count
        else:
            self._trouble.good()
            with self._lock:
                self.counts["answered"] += len(answers)


def _withdrawn(neighbour: Speaker, boot: Handover, error: ZonesError) -> list[Answered]:
    """A boot that is refused as a request, not as a boot: is it a no?

    An earlier try of the same attempt may have been accepted and its answer lost. So it is taken back
    first: when the neighbour has said that nothing of it is there, nothing can come of it any more.
    """
    said = neighbour.recall(boot.spec.id, [boot.attempt])
    if not all(each.state == "refused" or each.gone for each in said):
        raise error
    return [Answered(boot.attempt, "refused", _CODES.get(type(error), error.code), error.message)]
