"""Crash the zones of a tree, one or the other, at every point that an operation passes in either."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.chaos.crashes import HASTY, NO_ANSWER, ROOMY, Operation, Victim
from tests.chaos.forest import Forest
from tests.chaos.load import upload
from tests.chaos.nursery import Nursery
from tests.chaos.traps import GRACE, Trap, is_dead, rest
from tests.treekit import NO_HOSTS, Tree, tree
from tests.zonekit import Client, Failed, wait_for
from zones import states

TOP, BELOW = "top", "below"
HASTY_LINKS = {"poll": 1.0, "connect": 2.0, "deadline": 10.0, "breaker": 0.1, "feed_wait": 4.0,
               "feed_interval": 0.02}
_STATE = sa.text("SELECT id, vm_state, task_state, version, news_version, zone_uuid, deleted FROM server "
                 "WHERE id = :server OR name = :server")
HELD = 4.0
"""Seconds that quota is held for a resize which nobody heard of again."""
CONTENT = 600_000
"""Bytes of an image that is pushed: more than one piece."""


@dataclass
class Grove:
    """A zone without hosts and one below it, both to be crashed again and again."""

    tree: Tree
    traps: dict[str, Trap]
    client: Client = field(init=False)
    forest: Forest = field(init=False)
    victims: list[Victim] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    """By server to be booted, an image that no other zone has."""

    def open(self) -> "Grove":
        """Boot once, and note what passes by the clock alone."""
        self.client = self.tree.admin(TOP)
        self.image = self.client.image()
        self.forest = Forest(self.tree.zones)
        self._wait_done(self._boot("first", self.image))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Trap.note_idle, self.traps.values()))
        return self

    # ------------------------------------------------------------ what an operation passes

    def record(self, operation: Operation, below: Sequence[str]) -> list[str]:
        """Do it undisturbed; the points that it passed, as `<zone>/<point>`. `below`: steps that matter in
        the zone below, where the others are those of any zone by itself."""
        server = self._victim_of(operation)
        starts = {name: trap.mark() for name, trap in self.traps.items()}
        server = self._do(operation, server)
        self._wait_done(server)
        rest(GRACE)
        steps = {TOP: operation.steps, BELOW: below}
        points = [f"{name}/{point}" for name, trap in self.traps.items()
                  for point in trap.points(starts[name], steps[name])]
        assert points, f"{operation.name} passes no point"
        return points

    def _victim_of(self, operation: Operation) -> str:
        if operation.name == "boot":
            name = f"boot-{uuid.uuid4().hex}"
            self.images[name] = upload(self.client, name, (name.encode() * CONTENT)[:CONTENT])
            return name
        server = self._boot(operation.name, self.image)
        if operation.before is not None:
            operation.before(self.client, server)
        self._wait_done(server)
        return server

    def _boot(self, name: str, image: str) -> str:
        server = self.client.boot(name, "1", image=image)
        self.client.wait(server, "ACTIVE")
        return server

    def _do(self, operation: Operation, server: str) -> str:
        if operation.name == "boot":
            return self.client.boot(server, "1", image=self.images[server])
        operation.do(self.client, server)
        return server

    def unrest(self, server: str) -> list[str]:
        """What is still under way for a server, in either zone or between them."""
        found, rows = [], {}
        for name, books in self.forest.books.items():
            with books.engine.connect() as conn:
                rows[name] = conn.execute(_STATE, {"server": server}).all()
                work = conn.execute(sa.text("SELECT count(*) FROM work")).scalar_one()
            found += [f"{name}: {row}" for row in rows[name] if row.vm_state == states.BUILDING
                      or row.task_state] + ([f"{name}: {work} rows of work"] if work else [])
            found += [f"{name}: {what}" for what in books.unheard()]
        news = {row.id: row.version for row in rows[BELOW]}
        return found + [f"{row.id} is mirrored in version {row.news_version} of {news.get(row.id)}"
                        for row in rows[TOP] if row.zone_uuid and not row.deleted
                        and row.news_version != news.get(row.id)]

    def _wait_done(self, server: str) -> None:
        last: list[str] = []

        def done() -> bool:
            last[:] = self.unrest(server)
            return not last
        try:
            wait_for(f"{server} to come to rest", done, 25, every=0.04)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    # ------------------------------------------------------------ one crash

    def crash(self, operation: Operation, place: str) -> None:
        """Do the operation with the point armed; bring the zone back, and wait until all rests."""
        victim = Victim(operation, place, self._victim_of(operation))
        self.victims.append(victim)
        name, _, point = place.partition("/")
        zone, trap = self.tree[name], self.traps[name]
        trap.arm(point)
        try:
            self._do(operation, victim.server)
            victim.accepted = True
        except NO_ANSWER:
            victim.accepted = False
        except Failed as error:
            assert error.status >= 500, f"{operation.name} at {place}: {error}"
        wait_for(f"{operation.name} to end or to die at {place}", lambda: is_dead(zone) or (
            victim.accepted and not self.unrest(victim.server)), 25, every=0.03)
        victim.died = trap.disarm(zone)
        if victim.died:
            zone.start()
        try:
            self._wait_done(victim.server)
        except AssertionError as error:
            raise AssertionError(f"{operation.name} at {place}: {error}") from error

    # ------------------------------------------------------------ the end

    def verdict(self) -> Iterator[str]:
        """What came out wrong, after everything has come to rest; then all is deleted, and nothing left."""
        truth = self.forest.settle()[TOP]
        for victim in self.victims:
            named = [victim.server] if victim.server in truth.servers else truth.named(victim.server)
            found = [truth.servers[one]["vm_state"] for one in named]
            operation = victim.operation
            allowed = [[operation.ends]]
            if not victim.accepted:
                allowed.append([] if operation.name == "boot" else [operation.begins])
            if found not in allowed:
                yield (f"{operation.name} killed at {victim.point}: accepted {victim.accepted}, "
                       f"now {found}")
        for server in truth.living:
            self.client.call("DELETE", f"/servers/{server}")
        for name, rest_of in self.forest.settle().items():
            left = [*rest_of.living, *rest_of.guests]
            assert not left, f"left over in {name}: {left}"


@contextmanager
def groves(nursery: Nursery, folder: Path, number: int) -> Iterator[list[Grove]]:
    """Several such trees, opened at the same time."""
    sections = {**HASTY, "links": HASTY_LINKS}
    hold = {"ZONES_CHAOS_HELD": str(HELD)}
    with ExitStack() as closing:
        made = []
        for index in range(number):
            here = folder / f"grove-{index}"
            traps = {name: Trap(here / name) for name in (TOP, BELOW)}
            envs = {name: {**trap.env, **hold} for name, trap in traps.items()}
            made.append(Grove(closing.enter_context(tree(
                here, {TOP: {}, BELOW: ROOMY}, [(TOP, BELOW)], sections=sections, roles={TOP: NO_HOSTS},
                envs=envs, make=nursery.process)), traps))
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(Grove.open, made))
        yield made


def matrix(made: list[Grove], jobs: Sequence[tuple[Operation, str]]) -> dict[str, int]:
    """Crash at each of these points, shared out over the groves; points by operation."""
    left, lock = iter(jobs), threading.Lock()

    def work(grove: Grove) -> list[str]:
        while True:
            with lock:
                job = next(left, None)
            if job is None:
                return list(grove.verdict())
            grove.crash(*job)
    with ThreadPoolExecutor(len(made)) as pool:
        wrong = [line for lines in pool.map(work, made) for line in lines]
    assert not wrong, "\n".join(wrong)
    missed = [f"{victim.operation.name} {victim.point}" for grove in made for victim in grove.victims
              if not victim.died]
    print(f"{len(jobs)} points, {len(missed)} not met: {missed}")
    assert len(missed) <= len(jobs) // 5, f"{len(missed)} of {len(jobs)} points were not met: {missed}"
    return dict(Counter(operation.name for operation, _ in jobs))
