"""Crash a zone at every point that an operation passes, and see that it comes out right each time."""

import http.client
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.chaos.nursery import Nursery
from tests.chaos.traps import GRACE, Trap, is_dead, rest
from tests.chaos.truth import Books, Truth
from tests.zonekit import Client, Failed, Zone, wait_for
from zones import states

NO_ANSWER = (OSError, http.client.HTTPException)
HASTY = {
    "timing": {"capability_interval": 1.0, "resend": 0.2, "lease": 1.0, "poll_work": 0.1,
               "service_down": 3.0, "monitor": 1.0, "shutdown": 5.0},
    "quota": {"instances": -1, "cores": -1, "ram": -1},
}
_STATE = sa.text("SELECT vm_state, task_state FROM server WHERE id = :server OR name = :server")


@dataclass(frozen=True)
class Operation:
    """Something that a user does to a server; `do` returns once it was accepted.

    `before` brings a new ACTIVE server to where it starts. `ends` are the vm_states in which it may end;
    one that was not accepted may have left it as it was, in `begins`. `steps`: parts of the names of the
    points that matter, where the others are passed in the same way by another operation.
    """

    name: str
    do: Callable[[Client, str], object]
    ends: str
    begins: str = states.ACTIVE
    before: Callable[[Client, str], object] | None = None
    right: Callable[[Truth, str, bool], bool] = lambda truth, server, accepted: True
    steps: tuple[str, ...] = ("",)


def action(name: str, args: Any = None) -> Callable[[Client, str], object]:
    """An `Operation.do` that is a server action."""
    return lambda client, server: client.act(server, name, args)


def then_wait(do: Callable[[Client, str], object], status: str) -> Callable[[Client, str], object]:
    """Do it, and wait for the status."""
    def both(client: Client, server: str) -> object:
        do(client, server)
        return client.wait(server, status)
    return both


@dataclass
class Victim:
    """One server, the point at which the zone died under it, and what the client was told."""

    operation: Operation
    point: str
    server: str
    accepted: bool = False
    died: bool = False


@dataclass
class Arena:
    """One zone to be crashed, again and again."""

    zone: Zone
    trap: Trap
    client: Client = field(init=False)
    books: Books = field(init=False)
    victims: list[Victim] = field(default_factory=list)

    def open(self) -> "Arena":
        """Start the zone, and note what passes by the clock alone."""
        self.zone.start()
        self.client = self.zone.admin()
        self.image = self.client.image()
        self.books = Books(self.zone)
        self.trap.note_idle()
        return self

    # ------------------------------------------------------------ what an operation passes

    def record(self, operation: Operation) -> list[str]:
        """Do it undisturbed; the points that it passed, each with the number of its pass."""
        server = self._victim_of(operation)
        start = self.trap.mark()
        server = self._do(operation, server)
        self._wait_done(server)
        rest(GRACE)
        points = self.trap.points(start, operation.steps)
        assert points, f"{operation.name} passes no point"
        return points

    def _victim_of(self, operation: Operation) -> str:
        if operation.name == "boot":
            return f"boot-{uuid.uuid4().hex}"
        server = self.client.boot(operation.name, "1", image=self.image)
        self.client.wait(server, "ACTIVE")
        if operation.before is not None:
            operation.before(self.client, server)
        self._wait_done(server)
        return server

    def _do(self, operation: Operation, server: str) -> str:
        if operation.name == "boot":
            return self.client.boot(server, "1", image=self.image)
        operation.do(self.client, server)
        return server

    def unrest(self, server: str) -> list[str]:
        """What is still under way for a server."""
        with self.books.engine.connect() as conn:
            rows = conn.execute(_STATE, {"server": server}).all()
            work = conn.execute(sa.text("SELECT count(*) FROM work")).scalar_one()
        return [str(row) for row in rows if row.vm_state == states.BUILDING or row.task_state] + (
            [f"{work} rows of work"] if work else []) + self.books.unheard()

    def _wait_done(self, server: str) -> None:
        wait_for(f"{server} to come to rest", lambda: not self.unrest(server), 20, every=0.04)

    # ------------------------------------------------------------ one crash

    def crash(self, operation: Operation, point: str) -> None:
        """Do the operation with the point armed; bring the zone back, and wait until it rests."""
        victim = Victim(operation, point, self._victim_of(operation))
        self.victims.append(victim)
        self.trap.arm(point)
        try:
            self._do(operation, victim.server)
            victim.accepted = True
        except NO_ANSWER:
            victim.accepted = False
        except Failed as error:
            assert error.status >= 500, f"{operation.name} at {point}: {error}"
        victim.died = self._dies(victim)
        if victim.died:
            self.zone.start()
        try:
            self._wait_done(victim.server)
        except AssertionError as error:
            raise AssertionError(f"{operation.name} at {point}: {error}") from error

    def _dies(self, victim: Victim) -> bool:
        """Whether a process dies of it; False when all is done and nobody came by the point."""
        wait_for(f"{victim.operation.name} to end or to die at {victim.point}",
                 lambda: is_dead(self.zone) or (victim.accepted and not self.unrest(victim.server)), 20,
                 every=0.03)
        return self.trap.disarm(self.zone)

    # ------------------------------------------------------------ the end

    def verdict(self) -> Iterator[str]:
        """What came out wrong, after everything has come to rest."""
        truth = self.books.settle()
        for victim in self.victims:
            wrong = _judge(victim, truth)
            if wrong:
                yield f"{victim.operation.name} killed at {victim.point}: {wrong}"


def _judge(victim: Victim, truth: Truth) -> str:
    operation = victim.operation
    if operation.name == "boot":
        ids = truth.named(victim.server)
        found = [truth.servers[one]["vm_state"] for one in ids]
        fine = found == [states.ACTIVE] or (not found and not victim.accepted)
        return "" if fine else f"accepted {victim.accepted}, now {found}"
    row = truth.servers[victim.server]
    allowed = {operation.ends} if victim.accepted else {operation.ends, operation.begins}
    if row["vm_state"] not in allowed:
        return f"accepted {victim.accepted}, now {row['vm_state']} ({row['fault']})"
    return "" if operation.right(truth, victim.server, victim.accepted) else "it was not done right"


@contextmanager
def arenas(nursery: Nursery, folder: Path, number: int, **zone: Any) -> Iterator[list[Arena]]:
    """Several zones, opened at the same time."""
    with ExitStack() as closing:
        made = []
        for index in range(number):
            here = folder / f"arena-{index}"
            trap = Trap(here)
            options = {key: value(index) if callable(value) else value for key, value in zone.items()}
            made.append(Arena(Zone(here, make=nursery.process, env=trap.env, sections=HASTY, options=ROOMY,
                                   **options), trap))
            closing.callback(made[-1].zone.kill)
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(Arena.open, made))
        yield made


ROOMY = {"hosts": "4", "vcpus": "1000", "ram": "1000000", "disk": "100000"}


def matrix(made: list[Arena], operations: list[Operation]) -> dict[str, int]:
    """Crash at every point of every operation, shared out over the arenas; points by operation."""
    with ThreadPoolExecutor(len(made)) as pool:
        shares = pool.map(lambda number: [
            (operation, point) for operation in operations[number::len(made)]
            for point in made[number].record(operation)], range(len(made)))
        jobs = [job for share in shares for job in share]
        left, lock = iter(jobs), threading.Lock()

        def work(arena: Arena) -> list[str]:
            while True:
                with lock:
                    job = next(left, None)
                if job is None:
                    return list(arena.verdict())
                arena.crash(*job)
        wrong = [line for lines in pool.map(work, made) for line in lines]
    assert not wrong, "\n".join(wrong)
    missed = [f"{victim.operation.name} {victim.point}" for arena in made for victim in arena.victims
              if not victim.died]
    print(f"{len(jobs)} points, {len(missed)} not met: {missed}")
    assert len(missed) <= len(jobs) // 5, f"{len(missed)} of {len(jobs)} points were not met: {missed}"
    return dict(Counter(operation.name for operation, _ in jobs))
