"""The claims of this service in memory, one step behind the ledger and never ahead of it.

Whoever changes a claim holds the lock of its server, writes the ledger first, then the mirror, and
then tells those who pass it on (news, host reports).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from zones import states
from zones.compute.room import Room, Share
from zones.protocol import Act, Boot, Claim, Done, Operation


class Ledger(Protocol):
    """What this service remembers over a crash; `zones.db.ledger` says what each call promises."""

    def open_claims(self) -> list[Claim]:
        """Claims that take room or that the zone has not heard the last of."""

    def claim(self, attempt: str) -> Claim | None:
        """One claim, or None."""

    def take(self, boots: list[Boot], admit: Callable[[Boot], tuple[str, str] | None],
             ) -> list[tuple[Claim, bool]]:
        """Decide on boots, once each."""

    def save(self, claims: list[Claim]) -> None:
        """Write claims; a cancelled one stays cancelled."""

    def cancel(self, server: str, host: str, attempts: list[str]) -> list[Claim]:
        """Tombstone attempts."""

    def record(self, attempt: str, kind: str, name: str) -> None:
        """Remember a resource before it is made."""

    def begin(self, acts: list[Act]) -> list[tuple[Operation, bool]]:
        """Remember actions before they are done."""

    def finish(self, done: Done, claim: Claim | None) -> None:
        """Write what became of an action."""

    def operations(self) -> list[Operation]:
        """Actions under way or not heard."""

    def heard(self, news: list[str]) -> None:
        """The zone has these."""

    def prune(self, older_than: float) -> int:
        """Forget what ended long ago."""


class Book:
    """Claims by attempt, room by host, and a lock a server."""

    def __init__(self, ledger: Ledger, room: Room, changed: Callable[[Claim], None]) -> None:
        self.ledger = ledger
        self.room = room
        self._changed = changed
        self._claims: dict[str, Claim] = {}
        self._locks: dict[str, tuple[threading.Lock, int]] = {}
        self._guard = threading.Lock()

    def load(self) -> list[Claim]:
        """Take over what the ledger holds, room included; every open claim."""
        for claim in self.ledger.open_claims():
            self._claims[claim.attempt] = claim
            if claim.holds_room:
                self.room.put(claim.attempt, share_of(claim))
        return list(self._claims.values())

    @contextmanager
    def server(self, server: str) -> Iterator[None]:
        """Hold the lock of one server: everything done to it is done one after another."""
        with self._guard:
            lock, users = self._locks.get(server, (threading.Lock(), 0))
            self._locks[server] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[server]
                if users == 1:
                    del self._locks[server]
                else:
                    self._locks[server] = (lock, users - 1)

    def busy(self, server: str) -> bool:
        """Whether something is being done to that server now."""
        return server in self._locks

    def get(self, attempt: str) -> Claim | None:
        """The claim of an attempt as far as it is open; None otherwise."""
        return self._claims.get(attempt)

    def claims(self) -> list[Claim]:
        """Every open claim."""
        return list(self._claims.values())

    def take(self, boots: list[Boot]) -> list[tuple[Claim, bool]]:
        """Decide on each boot: (its claim, whether it is to be built now)."""
        answers = self.ledger.take(boots, self._admit)
        for claim, _new in answers:
            self._asked_for(claim)
        return answers

    def _asked_for(self, claim: Claim) -> None:
        """Who asks has not heard the answer, whatever they acknowledged: it is told (again)."""
        with self._guard:
            claim = self._claims.get(claim.attempt, claim)
            self._claims[claim.attempt] = msgspec.structs.replace(
                claim, heard=min(claim.heard, claim.version - 1))
        self._changed(claim)

    def _admit(self, boot: Boot) -> tuple[str, str] | None:
        flavor = boot.spec.flavor
        return self.room.take(boot.attempt, Share(
            boot.host, flavor.vcpus, flavor.ram, flavor.total_disk, boot.spec.group))

    def change(self, attempt: str, **fields: Any) -> Claim:
        """The claim with these fields and the next version, written down and told."""
        before = self._claims[attempt]
        if before.state == states.CANCELLED:
            fields.pop("state", None)
        claim = msgspec.structs.replace(before, version=before.version + 1, **fields)
        self.ledger.save([claim])
        return self._mirror(claim)

    def finish(self, done: Done, claim: Claim | None) -> None:
        """Write the end of an action together with the claim after it."""
        self.ledger.finish(done, claim)
        if claim is not None:
            self._mirror(claim)

    def cancel(self, server: str, host: str, attempts: list[str]) -> list[Claim]:
        """Tombstone attempts, at once and without waiting for what is being done to the server."""
        after = self.ledger.cancel(server, host, attempts)
        for claim in after:
            self._asked_for(self._mirror(claim))
        return after

    def heard(self, news: list[str]) -> None:
        """The zone has committed these news; forget the claims that ended with them."""
        self.ledger.heard(news)
        for name in news:
            attempt, colon, version = name.partition(":")
            if colon:
                with self._guard:
                    self._heard(attempt, int(version))

    def _heard(self, attempt: str, version: int) -> None:
        claim = self._claims.get(attempt)
        if claim is None:
            return
        claim = msgspec.structs.replace(claim, heard=max(claim.heard, version))
        if claim.gone and claim.heard >= claim.version:
            del self._claims[attempt]
        else:
            self._claims[attempt] = claim

    def _mirror(self, claim: Claim) -> Claim:
        with self._guard:
            before = self._claims.get(claim.attempt)
            if before is not None:
                if before.state == states.CANCELLED != claim.state:
                    return before  # cancelled while the ledger was written, which kept the tombstone
                claim = msgspec.structs.replace(claim, heard=before.heard)
            self._claims[claim.attempt] = claim
            if claim.gone:
                self.room.give_back(claim.attempt)
        self._changed(claim)
        return claim


def share_of(claim: Claim) -> Share:
    """What a claim takes of its host."""
    return Share(claim.host, claim.vcpus, claim.ram, claim.disk,
                 claim.spec.group if claim.spec is not None else None)
