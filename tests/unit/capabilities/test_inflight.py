"""In flight: an attempt is deducted exactly once, whatever is lost, repeated, late or out of order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.hosts import report, table_of
from zones.capabilities.host_table import HostTable
from zones.capabilities.inflight import REMEMBERED, Flight, InFlight
from zones.capabilities.room import Capacity
from zones.config import Placement
from zones.protocol import HostReport

HOSTS = ("h1", "h2")
ONE = Capacity(1, 1024, 10)
Answer = tuple[str, str, tuple[int, int]]


def free(table: HostTable, host: str = "h1") -> Capacity:
    state = table.state(host)
    assert state is not None
    return state.free


STEPS = ("commit", "answer", "say_again", "delete", "on_the_timer", "restart_service", "hear_report",
         "hear_report", "hear_answer", "hear_answer", "hear_of_attempt", "read_database")


def pick(among: dict[str, str], nth: int) -> str | None:
    """The nth newest of them, or None when there is none."""
    return list(among)[-1 - nth % len(among)] if among else None


class Zone(RuleBasedStateMachine):
    """A compute service with a ledger, a lossy network, a database, and the view under test.

    The service publishes whole states and answers claims; both may arrive late, twice, or never
    (until the end). The service may restart, and the view may read the database again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = HostTable(Placement(cpu_allocation_ratio=1.0))
        self.view = InFlight(self.table)
        self.boot, self.seq = 1, 0
        self.claims: dict[str, str] = {}
        self.included: dict[tuple[str, tuple[int, int]], frozenset[str]] = {}
        self.reports: list[HostReport] = []
        self.answers: list[Answer] = []
        self.open: dict[str, str] = {}
        self.known: set[str] = set()
        self.told: set[str] = set()
        self.ended: set[str] = set()
        self.target: dict[str, str] = {}
        for host in HOSTS:
            self.table.apply(self.publish(host), 0.0)

    def publish(self, host: str) -> HostReport:
        self.seq += 1
        held = frozenset(attempt for attempt, there in self.claims.items() if there == host)
        self.included[host, (self.boot, self.seq)] = held
        made = report(host, boot=self.boot, seq=self.seq, vcpus=100, ram=2**20, disk=10**4,
                      vcpus_used=len(held), ram_used=1024 * len(held), disk_used=10 * len(held),
                      servers=len(held))
        self.reports.append(made)
        return made

    @rule(kind=st.sampled_from(STEPS), nth=st.integers(0, 5), flag=st.booleans())
    def step(self, kind: str, nth: int, flag: bool) -> None:
        """One rule for all, so that every run mixes every kind of step."""
        getattr(self, kind)(nth, flag)

    def commit(self, nth: int, known: bool) -> None:
        """An attempt is committed, by this process or by one that it has not heard of."""
        attempt = f"a{len(self.target)}"
        self.open[attempt] = self.target[attempt] = HOSTS[nth % 2]
        if known:
            self.learn(attempt)

    def learn(self, attempt: str) -> None:
        self.view.add(attempt, self.target[attempt], ONE)
        self.known.add(attempt)

    def answer(self, nth: int, accept: bool) -> None:
        """The service claims or refuses; its answer names the first report that includes the claim."""
        attempt = pick(self.open, nth)
        if attempt is None:
            return
        host = self.open.pop(attempt)
        if accept or nth:
            self.claims[attempt] = host
            made = self.publish(host)
            self.answers.append((attempt, "accepted", (made.boot, made.seq)))
        else:
            self.answers.append((attempt, "refused", (self.boot, self.seq)))

    def say_again(self, nth: int, flag: bool) -> None:
        """Later news of a claim brings a later report."""
        attempt = pick(self.claims, nth)
        if attempt is not None:
            made = self.publish(self.claims[attempt])
            self.answers.append((attempt, "accepted", (made.boot, made.seq)))

    def delete(self, nth: int, flag: bool) -> None:
        attempt = pick(self.claims, nth)
        if attempt is not None:
            made = self.publish(self.claims.pop(attempt))
            self.answers.append((attempt, "cancelled", (made.boot, made.seq)))

    def on_the_timer(self, nth: int, flag: bool) -> None:
        self.publish(HOSTS[nth % 2])

    def restart_service(self, nth: int, flag: bool) -> None:
        self.boot, self.seq = self.boot + 1, 0

    def hear_report(self, nth: int, flag: bool) -> None:
        """One of the last reports, perhaps again, perhaps the next to last first."""
        self.table.apply(self.reports[-1 - nth % len(self.reports)], 0.0)

    def hear_answer(self, nth: int, flag: bool) -> None:
        """One of the last answers, perhaps again, perhaps before the attempt is known here."""
        if self.answers:
            self.deliver(self.answers[-1 - nth % len(self.answers)])

    def hear_of_attempt(self, nth: int, flag: bool) -> None:
        """Read back, perhaps long after it ended."""
        attempt = pick(self.target, nth)
        if attempt is not None:
            self.learn(attempt)

    def deliver(self, answer: Answer) -> None:
        attempt, state, (boot, seq) = answer
        if state == "accepted":
            self.view.counted(attempt, boot, seq)
            # Later news alone names a later report: until that one comes, both may count it.
            if answer == next(one for one in self.answers if one[0] == attempt):
                self.told.add(attempt)
        else:
            self.view.drop(attempt)
            self.ended.add(attempt)

    def read_database(self, nth: int, forgetful: bool) -> None:
        """What is open there, or was answered lately: longer ago than any report takes to come.

        The database has taken in every answer. What was told here may be forgotten there at once.
        """
        mark = self.view.mark()
        first: dict[str, tuple[int, int]] = {}
        gone = {attempt for attempt, state, _ in self.answers if state != "accepted"}
        for attempt, state, version in self.answers:
            if state == "accepted":
                first[attempt] = min(version, first.get(attempt, version))
        rows = [Flight(attempt, host, ONE, first.get(attempt))
                for attempt, host in self.target.items() if attempt not in gone and not (
                    forgetful and attempt in self.claims and (
                        attempt in self.told or first[attempt] <= (self.table.version_of(host) or (0, 0))))]
        self.view.sync(rows, mark)
        self.known |= {row.attempt for row in rows}
        self.told |= {row.attempt for row in rows if row.counted}

    def deducted(self, attempt: str) -> int:
        host = self.target[attempt]
        version = self.table.version_of(host)
        assert version is not None
        return (attempt in self.included[host, version]) + (attempt in self.view)

    @invariant()
    def live_attempts_are_deducted(self) -> None:
        for attempt in (self.known - self.ended) & (self.claims.keys() | self.open.keys()):
            times = self.deducted(attempt)
            assert times >= 1, f"{attempt} is not counted at all"
            if attempt in self.open or attempt in self.told:
                assert times == 1, f"{attempt} is counted twice"

    @invariant()
    def ended_attempts_are_not_in_flight(self) -> None:
        assert not any(attempt in self.view for attempt in self.ended)

    @invariant()
    def columns_are_reports_minus_what_is_in_flight(self) -> None:
        for host in HOSTS:
            version = self.table.version_of(host)
            assert version is not None
            taken = len(self.included[host, version]) + sum(
                flight.host == host for flight in self.view.snapshot())
            assert free(self.table, host) == Capacity(100 - taken, 2**20 - 1024 * taken, 10**4 - 10 * taken)

    def teardown(self) -> None:
        """In the end everything arrives: then nothing is in flight but what is open."""
        for answer in self.answers:
            self.deliver(answer)
        for host in HOSTS:
            self.table.apply(self.publish(host), 0.0)
        for attempt in self.target:
            self.learn(attempt)
        assert {flight.attempt for flight in self.view.snapshot()} == set(self.open)
        for attempt in self.target:
            assert self.deducted(attempt) == (attempt in self.open or attempt in self.claims)


TestZone = Zone.TestCase
TestZone.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def test_a_report_that_comes_before_the_answer_that_names_it_settles_at_once() -> None:
    table = table_of(report())
    view = InFlight(table)
    view.add("a", "h1", ONE)
    table.apply(report(seq=5, ram_used=1024, vcpus_used=1, disk_used=10), 0.0)
    assert free(table).ram == 8192 - 2 * 1024
    view.counted("a", 1, 5)
    assert (free(table), len(view)) == (Capacity(7, 7168, 90), 0)


def test_an_answer_that_comes_before_its_attempt_is_kept() -> None:
    table = table_of(report(seq=5))
    view = InFlight(table)
    view.counted("a", 1, 6)
    view.counted("b", 1, 5)
    view.add("a", "h1", ONE)
    view.add("b", "h1", ONE)
    assert view.snapshot() == (Flight("a", "h1", ONE, (1, 6)),)
    view.drop("c")
    view.add("c", "h1", ONE)
    assert "c" not in view


def test_what_is_in_flight_to_a_host_not_heard_of_is_deducted_from_its_first_report() -> None:
    table = table_of()
    view = InFlight(table)
    view.add("a", "h1", ONE)
    table.apply(report(), 0.0)
    assert free(table) == Capacity(7, 7168, 90)


def test_a_host_that_moves_to_another_service_takes_its_claims_along() -> None:
    table = table_of(report(service="one", boot=9))
    view = InFlight(table)
    view.add("a", "h1", ONE)
    view.counted("a", 9, 2)
    view.add("b", "h1", ONE)
    assert table.apply(report(service="two", boot=1, ram_used=1024), 100.0)
    assert [flight.attempt for flight in view.snapshot()] == ["b"]


def test_reading_the_database_ends_what_is_no_longer_there() -> None:
    table = table_of(report())
    view = InFlight(table)
    view.add("gone", "h1", ONE)
    view.add("answered", "h1", ONE)
    view.counted("answered", 1, 7)
    mark = view.mark()
    view.add("newer", "h1", ONE)
    view.sync([Flight("read", "h1", ONE)], mark)
    assert {flight.attempt for flight in view.snapshot()} == {"answered", "newer", "read"}


@pytest.mark.parametrize("answered", [True, False])
def test_what_it_remembers_is_bounded(answered: bool) -> None:
    view = InFlight(table_of(report()))
    for number in range(REMEMBERED + 100):
        if answered:
            view.counted(str(number), 1, 9)
        else:
            view.drop(str(number))
    view.add("0", "h1", ONE)
    assert view.snapshot() == (Flight("0", "h1", ONE),)
