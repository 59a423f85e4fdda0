"""Notice what was changed behind our back: power states, and servers that are no longer there.

One missing answer is no answer: a server counts as lost only when two whole listings in a row lack
it *and* asking for it by name says so too. What the driver lists and the ledger does not know is
logged and left alone: it may be somebody else's.
"""

import logging
import threading

from zones import states
from zones.compute.book import Book
from zones.compute.driver import ComputeDriver, Guest
from zones.protocol import Claim

LOG = logging.getLogger(__name__)
LOST = "lost_by_hypervisor"


class Monitor:
    """One thread that compares the driver's whole listing with the book every `interval` seconds."""

    def __init__(self, book: Book, driver: ComputeDriver, interval: float) -> None:
        self._book = book
        self._driver = driver
        self._interval = interval
        self._missing: set[str] = set()
        self._strangers: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.compare()
            except Exception as error:
                LOG.warning("%s does not list its servers: %s", self._driver.name, error)

    def compare(self) -> None:
        """One pass over all servers. Raises what the driver raises."""
        watched = [claim for claim in self._book.claims() if claim.state == states.ATTEMPT_RUNNING]
        guests = {(guest.server, guest.host): guest for guest in self._driver.list()}
        missing: set[str] = set()
        for claim in watched:
            guest = guests.get((claim.server, claim.host))
            if self._book.busy(claim.server):
                continue
            if guest is None:
                missing.add(claim.attempt)
            elif _differs(claim, guest):
                self._observe(claim, guest)
        for attempt in missing & self._missing:
            self._look_for(attempt)
        self._missing = missing
        self._name_strangers({server for server, _host in guests})

    def _observe(self, claim: Claim, guest: Guest) -> None:
        with self._book.server(claim.server):
            now = self._book.get(claim.attempt)
            if now is claim:
                LOG.info("server %s is now in power state %d", claim.server, guest.power_state)
                self._book.change(claim.attempt, power_state=guest.power_state, reason=None,
                                  message="", addresses=guest.addresses or claim.addresses)

    def _look_for(self, attempt: str) -> None:
        claim = self._book.get(attempt)
        if claim is None or claim.reason == LOST:
            return
        with self._book.server(claim.server):
            claim = self._book.get(attempt)
            if (claim is not None and claim.state == states.ATTEMPT_RUNNING
                    and self._driver.find(claim.server, claim.host) is None):
                LOG.error("server %s is gone from host %s", claim.server, claim.host)
                self._book.change(attempt, power_state=states.NOSTATE, reason=LOST,
                                  message=f"host {claim.host} no longer has this server")

    def _name_strangers(self, listed: set[str]) -> None:
        known = {claim.server for claim in self._book.claims()}
        strangers = listed - known
        for server in sorted(strangers - self._strangers)[:20]:
            LOG.warning("%s runs %s, which the ledger does not know; it is left alone",
                        self._driver.name, server)
        self._strangers = strangers


def _differs(claim: Claim, guest: Guest) -> bool:
    return guest.built and (guest.power_state != claim.power_state or claim.reason == LOST)
