"""What is on its way to hosts and not yet in their reports: derived, never stored.

What a decision may believe is a host's latest report minus the attempts in flight to it. An attempt
is in flight from its commit until the host's applied report is at or after the first one that
includes its claim (the claim's answer names it), or until it was refused or cancelled. Whatever the
order, loss or repetition of reports and answers, once both are known an attempt is deducted once:
here or in the report. While the answer is on its way it may be deducted in both, never in neither.

Not locked, as the table is not.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from zones.capabilities.host_row import NOTHING, Version
from zones.capabilities.room import Capacity

REMEMBERED = 16384
"""Attempts whose end, or whose early answer, is kept: more than are settled within any delay."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Flight:
    """One attempt in flight. `counted` is the first (boot, seq) of the host that includes its claim."""

    attempt: str
    host: str
    need: Capacity
    counted: Version | None = None


@dataclass(slots=True)
class _Host:
    """All that is in flight to one host."""

    need: Capacity = NOTHING
    flights: dict[str, Flight] = field(default_factory=dict)


class _Recent(Generic[Value]):
    """The last `REMEMBERED` entries of a mapping."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Value] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def put(self, key: Hashable, value: Value) -> None:
        """Remember a value as the newest."""
        self._values[key] = value
        if len(self._values) > REMEMBERED:
            del self._values[next(iter(self._values))]

    def pop(self, key: Hashable) -> Value | None:
        """Take a value out."""
        return self._values.pop(key, None)


class Table(Protocol):
    """What is kept of hosts (`host_table`) or of links (`link_table`)."""

    def listen(self, heard: Callable[[str, Version, bool], None], /) -> None:
        """Be told of each new version."""

    def version_of(self, name: str, /) -> Version | None:
        """The version that is known of one."""

    def set_held(self, name: str, need: Capacity, servers: int, /) -> None:
        """What is in flight to one."""


class InFlight:
    """The attempts in flight to the hosts (or links) of one table, in which it keeps what is held."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._host_of: dict[str, str] = {}
        self._hosts: dict[str, _Host] = {}
        self._added_at: dict[str, int] = {}
        self._clock = 0
        self._ended: _Recent[None] = _Recent()
        self._answers: _Recent[Version] = _Recent()
        table.listen(self._applied)

    def __len__(self) -> int:
        return len(self._host_of)

    def __contains__(self, attempt: object) -> bool:
        return attempt in self._host_of

    def add(self, attempt: str, host: str, need: Capacity, counted: Version | None = None) -> None:
        """An attempt was committed (or read back). Adding it again, or after its end, changes nothing."""
        if attempt in self._ended:
            return
        if attempt not in self._host_of:
            self._clock += 1
            self._added_at[attempt] = self._clock
            self._host_of[attempt] = host
            there = self._hosts.setdefault(host, _Host())
            there.flights[attempt] = Flight(attempt, host, need)
            there.need = _plus(there.need, need)
            self._table.set_held(host, there.need, len(there.flights))
            counted = _first(counted, self._answers.pop(attempt))
        if counted is not None:
            self.counted(attempt, *counted)

    def counted(self, attempt: str, boot: int, seq: int) -> None:
        """The claim's answer has come: the host's reports include it from (boot, seq) on.

        May come before `add`, or again with a later report: the first one holds.
        """
        host = self._host_of.get(attempt)
        if host is None:
            if attempt not in self._ended:
                early = self._answers.pop(attempt)
                self._answers.put(attempt, min((boot, seq), early or (boot, seq)))
            return
        flights = self._hosts[host].flights
        flight = flights[attempt]
        counted = _first(flight.counted, (boot, seq))
        applied = self._table.version_of(host)
        if counted is not None and applied is not None and applied >= counted:
            self.drop(attempt)
        else:
            flights[attempt] = Flight(attempt, host, flight.need, counted)

    def drop(self, attempt: str) -> None:
        """The attempt was refused or cancelled (or its claim is in the report). For good."""
        self._ended.put(attempt, None)
        self._answers.pop(attempt)
        host = self._host_of.pop(attempt, None)
        if host is None:
            return
        del self._added_at[attempt]
        there = self._hosts[host]
        there.need = there.need.minus(there.flights.pop(attempt).need)
        if not there.flights:
            del self._hosts[host]
        self._table.set_held(host, there.need, len(there.flights))

    def need(self, attempt: str) -> Capacity | None:
        """What an attempt takes; None when it is not in flight."""
        host = self._host_of.get(attempt)
        return None if host is None else self._hosts[host].flights[attempt].need

    def mark(self) -> int:
        """Take this before reading the attempts from the database, and give it to `sync`."""
        return self._clock

    def sync(self, flights: Iterable[Flight], mark: int) -> None:
        """Agree with the database: `flights` are all that is open there, or was answered lately.

        What is not among them has ended, unless it was added here after `mark`, or its answer is
        known here: then the host's report, which is still to come, ends it.
        """
        read = {flight.attempt: flight for flight in flights}
        for attempt, host in list(self._host_of.items()):
            if (attempt not in read and self._added_at[attempt] <= mark
                    and self._hosts[host].flights[attempt].counted is None):
                self.drop(attempt)
        for flight in read.values():
            self.add(flight.attempt, flight.host, flight.need, flight.counted)

    def snapshot(self) -> tuple[Flight, ...]:
        """Every attempt in flight, as a value."""
        return tuple(flight for there in self._hosts.values() for flight in there.flights.values())

    def _applied(self, host: str, version: Version, taken_over: bool) -> None:
        there = self._hosts.get(host)
        if there is None:
            return
        for flight in list(there.flights.values()):
            # Another service counts its own reports; what it has taken over is in them.
            if flight.counted is not None and (taken_over or flight.counted <= version):
                self.drop(flight.attempt)
        self._table.set_held(host, there.need, len(there.flights))


def _plus(one: Capacity, other: Capacity) -> Capacity:
    return Capacity(one.vcpus + other.vcpus, one.ram + other.ram, one.disk + other.disk)


def _first(one: Version | None, other: Version | None) -> Version | None:
    return min((version for version in (one, other) if version is not None), default=None)
