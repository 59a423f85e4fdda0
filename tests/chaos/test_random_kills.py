"""Boots and deletes while a process of the zone is killed every second: nothing is lost or doubled.

`ZONES_CHAOS_OPS` says how many (600 unless told, for half a minute; 2,000 is the long run) and
`ZONES_CHAOS_SEED` replays the choices of a run: who does what, and who dies when.
"""

import os
import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import ROOMY
from tests.chaos.load import NO_ANSWER, clients, patiently, until_served
from tests.chaos.nursery import Nursery
from tests.chaos.truth import Books
from tests.zonekit import QUICK, Client, Failed, Zone
from zones import states

OPERATIONS = int(os.environ.get("ZONES_CHAOS_OPS", "600"))
SEED = os.environ.get("ZONES_CHAOS_SEED", "") or uuid.uuid4().hex[:8]
USERS = 6
KILL_EVERY = 1.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120 + OPERATIONS)]


@dataclass
class User:
    """Boots servers and deletes them again, one after another, and remembers what it was told."""

    number: int
    client: Client
    image: str
    accepted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    in_doubt: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)

    def work(self, operations: int) -> None:
        """Do so many operations: about five boots to four deletes, of servers however young."""
        chance = random.Random(f"{SEED} user {self.number}")
        for count in range(operations):
            if self.accepted and chance.random() < 0.45:
                self._delete(chance.choice(sorted(self.accepted)))
            else:
                self._boot(f"server-{self.number}-{count}")

    def _boot(self, name: str) -> None:
        try:
            server = patiently(lambda: self.client.boot(name, image=self.image))
        except NO_ANSWER:
            self.answers["boot unanswered"] += 1
            until_served(self.client)
            return
        self.answers["boot"] += 1
        self.accepted.add(server)

    def _delete(self, server: str) -> None:
        self.accepted.discard(server)
        try:
            patiently(lambda: self.client.call("DELETE", f"/servers/{server}"))
        except NO_ANSWER:
            self.answers["delete unanswered"] += 1
            self.in_doubt.add(server)
            until_served(self.client)
            return
        except Failed as error:
            assert error.status == 404, error
        self.answers["delete"] += 1
        self.deleted.add(server)


class Killer(threading.Thread):
    """Kills one process of the zone every second, and starts it again at once."""

    def __init__(self, zone: Zone) -> None:
        super().__init__(daemon=True)
        self._zone = zone
        self._chance = random.Random(f"{SEED} killer")
        self._over = threading.Event()
        self.killed: Counter[str] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until it is called off."""
        try:
            while not self._over.wait(KILL_EVERY):
                name = self._chance.choice(sorted(self._zone.processes))
                self._zone.processes[name].kill()
                self._zone.processes[name].start()
                self.killed[name] += 1
        except BaseException as error:
            self.error = error

    def call_off(self) -> None:
        """Kill nobody any more."""
        self._over.set()
        self.join(30)
        assert self.error is None, self.error


def test_boots_and_deletes_survive_a_kill_every_second(nursery: Nursery, tmp_path: Path, postgres: Any,
                                                       amqp_url: str, record_property: Any) -> None:
    print(f"ZONES_CHAOS_SEED={SEED} ZONES_CHAOS_OPS={OPERATIONS}")
    zone = Zone(tmp_path / "zone", make=nursery.process, database_url=postgres.new_database(),
                amqp_url=amqp_url, name=f"kills-{SEED}", options=ROOMY,
                sections={**QUICK, "quota": {"instances": -1, "cores": -1, "ram": -1}},
                processes={"api": "api", "scheduler-1": "scheduler,manager",
                           "scheduler-2": "scheduler,manager", "compute": "compute"})
    with zone:
        image = zone.admin().image()
        users = [User(number, client, image) for number, client in enumerate(clients(zone, USERS))]
        killer = Killer(zone)
        began = time.monotonic()
        killer.start()
        with ThreadPoolExecutor(USERS) as pool:
            list(pool.map(lambda user: user.work(OPERATIONS // USERS), users))
        killer.call_off()
        took = time.monotonic() - began
        zone.start()
        truth = Books(zone).settle(60)
    answers = sum((user.answers for user in users), Counter[str]())
    record_property("figures", {"seed": SEED, "answers": dict(answers), "killed": dict(killer.killed),
                                "seconds": took})
    print(f"{dict(answers)} in {took:.0f} s, killed {dict(killer.killed)}")
    for user in users:
        for server in user.accepted:
            assert truth.servers[server]["vm_state"] == states.ACTIVE, truth.servers[server]
        for server in user.deleted:
            assert truth.servers[server]["deleted"], truth.servers[server]
    assert set(truth.states()) <= {states.ACTIVE}, truth.states()
    assert sum(killer.killed.values()) >= took / KILL_EVERY / 3, killer.killed
