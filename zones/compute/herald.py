"""Tell the zone what became of attempts and actions, again and again until it says that it heard.

News is state: however often a claim changes within a moment, its latest version is sent once.
"""

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from zones.protocol import Claim, Done, HostReport, Message, News

LOG = logging.getLogger(__name__)
COALESCE = 0.002
"""Seconds that a change waits for the next one; a fast spawn becomes one message."""


class Herald:
    """One thread that sends; `claim_of` and `report_of` give the state at the moment of sending."""

    def __init__(self, service: str, send: Callable[[Message], bool],
                 claim_of: Callable[[str], Claim | None],
                 report_of: Callable[[str], HostReport | None], resend: float) -> None:
        self._service = service
        self._send = send
        self._claim_of = claim_of
        self._report_of = report_of
        self._resend = resend
        self._wake = threading.Event()
        self._stopped = False
        self._due: dict[str, None] = {}
        self._waiting: dict[str, float] = {}
        self._done: dict[str, Done] = {}
        self._thread = threading.Thread(target=self._run, name=f"herald-{service}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Send what is due once more, and end."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout)

    def claim(self, attempt: str) -> None:
        """The claim of this attempt has changed."""
        self._due[attempt] = None
        self._wake.set()

    def done(self, done: Done) -> None:
        """An action has ended."""
        self._done[done.op] = done
        self._due[done.op] = None
        self._wake.set()

    def heard(self, news: list[str]) -> None:
        """The zone has committed these."""
        for name in news:
            attempt, colon, version = name.partition(":")
            claim = self._claim_of(attempt) if colon else None
            if claim is None or claim.version <= int(version):
                self._waiting.pop(attempt, None)
                self._done.pop(attempt, None)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(self._resend / 2)
            if self._wake.is_set():
                time.sleep(COALESCE)
            self._wake.clear()
            try:
                self.round()
            except Exception:
                LOG.exception("news of %s could not be sent; it is sent again", self._service)
        self.round()

    def round(self) -> None:
        """Send what is due, and again what was not heard in time."""
        now = time.monotonic()
        late = [key for key, sent in list(self._waiting.items()) if sent < now - self._resend]
        for key in dict.fromkeys([*list(self._due), *late]):
            self._due.pop(key, None)  # before the message is made: what changes later is due again
            message = self._message(key)
            if message is None:
                self._waiting.pop(key, None)
                continue
            self._waiting[key] = now
            self._send(message)

    def _message(self, key: str) -> Message | None:
        done = self._done.get(key)
        if done is not None:
            return msgspec.structs.replace(done, report=self._report_of(done.host))
        claim = self._claim_of(key)
        if claim is None or claim.heard >= claim.version:
            return None
        report = self._report_of(claim.host)
        return News(
            id=f"{claim.attempt}:{claim.version}", service=self._service, host=claim.host,
            server=claim.server, attempt=claim.attempt, version=claim.version, state=claim.state,
            power_state=claim.power_state, addresses=claim.addresses, reason=claim.reason,
            message=claim.message, launched_at=claim.launched_at, report=report, gone=claim.gone,
            availability_zone=report.availability_zone if report is not None else "")
