"""Boots that are asked for at the same moment are accepted together, in one transaction.

Each alone would cost the database ten statements, and would make all others of its project wait for
the row that counts what the project uses. Whoever has the turn does it for all who wait for it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zones.errors import ZonesError
from zones.protocol import Caller, ImageValue
from zones.servers.request import BootRequest, Naming

MOST = 64
"""Requests of one transaction."""

Outcome = list[str] | ZonesError
"""The ids of the servers that were made, or why there are none."""


@dataclass(eq=False)
class Wanted:
    """One request with all that must stay the same when the transaction runs twice, and its outcome."""

    caller: Caller
    request: BootRequest
    naming: Naming
    image: ImageValue
    sealed_pass: str
    outcome: Outcome | None = field(default=None, init=False)

    @property
    def alone(self) -> bool:
        """Whether it is a transaction by itself: what counts a group, or may make fewer than asked for."""
        return self.request.min_count != self.request.max_count or bool(self.request.hints.get("group"))


Transaction = Callable[[list[Wanted]], Sequence[Outcome]]


class Intake:
    """Those who wait for their turn, and the turn."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: list[Wanted] = []

    def take(self, wanted: Wanted, transaction: Transaction) -> list[str]:
        """The ids that `transaction` made of it, run with others or alone. Raises its error.

        One whose turn was broken off is not in the list any more, and has its own turn.
        """
        if wanted.alone:
            wanted.outcome = transaction([wanted])[0]
        else:
            self._waiting.append(wanted)
            with self._turn:
                if wanted.outcome is None:
                    self._take_all(wanted, transaction)
        if not isinstance(wanted.outcome, list):
            assert wanted.outcome is not None
            raise wanted.outcome
        return wanted.outcome

    def _take_all(self, wanted: Wanted, transaction: Transaction) -> None:
        others = [each for each in self._waiting if each is not wanted]
        batch, self._waiting = [wanted, *others[:MOST - 1]], others[MOST - 1:]
        try:
            outcomes = transaction(batch)
        except ZonesError as error:
            outcomes = [error] * len(batch)
        for each, outcome in zip(batch, outcomes, strict=True):
            each.outcome = outcome
