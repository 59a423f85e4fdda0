"""What only one process of a zone may do at a time, such as writing the summary: whoever has the lease."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from zones.db import leases
from zones.db.engine import Database
from zones.errors import ZonesError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """Something to be done every `interval` seconds by the leader alone."""

    name: str
    interval: float
    do: Callable[[], object]


class Leader:
    """One thread that tries for the lease and, while it has it, does the duties."""

    def __init__(self, db: Database, lease: str, seconds: float, duties: list[Duty]) -> None:
        self._db = db
        self._lease = lease
        self._seconds = seconds
        self._duties = duties
        self._holder = str(uuid.uuid4())
        self._due = {duty.name: 0.0 for duty in duties}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"leader-{lease}", daemon=True)
        self.leads = False

    def start(self) -> None:
        """Begin to try for the lease."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, and let the next one lead at once."""
        self._stop.set()
        self._thread.join(timeout)
        try:
            self._db.run(leases.give_lease_back, self._lease, self._holder)
        except ZonesError as error:
            LOG.warning("the lease of %s runs out by itself: %s", self._lease, error)

    def _run(self) -> None:
        every = min([self._seconds / 3, *(duty.interval for duty in self._duties)])
        while not self._stop.wait(every):
            try:
                self.leads = self._db.run_lightly(leases.take_lease, self._lease, self._holder,
                                                  self._seconds) is not None
            except ZonesError as error:
                LOG.warning("the lease of %s is tried for later: %s", self._lease, error)
            except Exception:
                LOG.exception("the lease of %s is tried for later", self._lease)
            else:
                if self.leads:
                    self._do_what_is_due()

    def _do_what_is_due(self) -> None:
        for duty in self._duties:
            if time.monotonic() < self._due[duty.name]:
                continue
            self._due[duty.name] = time.monotonic() + duty.interval
            try:
                duty.do()
            except ZonesError as error:
                LOG.warning("%s: put off: %s", duty.name, error)
            except Exception:
                LOG.exception("%s failed; it is tried again", duty.name)
