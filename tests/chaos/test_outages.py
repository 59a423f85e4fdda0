"""The broker or the database goes away in the middle of a hundred boots: none lost, doubled or failed.

`ZONES_CHAOS_OUTAGE`: seconds that RabbitMQ is away (20 unless told).
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import ROOMY
from tests.chaos.load import clients, patiently
from tests.chaos.nursery import Nursery
from tests.chaos.truth import Books
from tests.servers import PrivatePostgres, PrivateRabbit
from tests.zonekit import QUICK, Client, Zone
from zones import states

OUTAGE = float(os.environ.get("ZONES_CHAOS_OUTAGE", "20"))
BOOTS, USERS = 100, 5
ROLES = {"api": "api", "scheduler": "scheduler,manager", "compute": "compute"}

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120 + int(OUTAGE))]


class Boots:
    """A hundred boots by a few users; `halt(count, do)` breaks in once so many were accepted."""

    def __init__(self, zone: Zone) -> None:
        self._users = clients(zone, USERS)
        self._image = self._users[0].image()
        self._zone = zone
        self._lock = threading.Lock()
        self._breaks: dict[int, threading.Event] = {}
        self.accepted: list[str] = []

    def after(self, count: int) -> threading.Event:
        """Set once so many boots were accepted."""
        return self._breaks.setdefault(count, threading.Event())

    def run(self) -> None:
        """Boot them all; each user waits out a 503 as it is told to."""
        names = [f"server-{number}" for number in range(BOOTS)]
        with ThreadPoolExecutor(USERS) as pool:
            list(pool.map(self._boot, range(BOOTS), names))

    def _boot(self, number: int, name: str) -> None:
        client: Client = self._users[number % USERS]
        server = patiently(lambda: client.boot(name, image=self._image))
        with self._lock:
            self.accepted.append(server)
            if len(self.accepted) in self._breaks:
                self._breaks[len(self.accepted)].set()

    def all_run_once(self) -> None:
        """Every boot was accepted, and every server is ACTIVE, once."""
        truth = Books(self._zone).settle(60)
        assert len(set(self.accepted)) == BOOTS
        assert truth.states() == {states.ACTIVE: BOOTS}, truth.states()
        assert set(truth.living) == set(self.accepted)


def _zone(nursery: Nursery, folder: Path, database_url: str, amqp_url: str) -> Zone:
    return Zone(folder / "zone", make=nursery.process, database_url=database_url, amqp_url=amqp_url,
                sections=QUICK, options=ROOMY, processes=ROLES, name=f"outage-{os.getpid()}")


def _in_the_middle(boots: Boots, break_it: Callable[[], object]) -> None:
    """Boot, and break something when a third was accepted; the others go on meanwhile."""
    third = boots.after(BOOTS // 3)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(boots.run)
        assert third.wait(60), "not even a third was accepted"
        break_it()
        running.result(120)


def test_boots_outlive_a_broker_that_is_away(nursery: Nursery, tmp_path: Path, postgres: Any,
                                             own_rabbit: PrivateRabbit) -> None:
    def away() -> None:
        own_rabbit.stop()
        threading.Event().wait(OUTAGE)
        own_rabbit.start()

    with _zone(nursery, tmp_path, postgres.new_database(), own_rabbit.url) as zone:
        boots = Boots(zone)
        _in_the_middle(boots, away)
        boots.all_run_once()


@pytest.mark.parametrize("kill", [False, True], ids=["restarted", "killed"])
def test_boots_outlive_a_database_that_starts_again(nursery: Nursery, tmp_path: Path, amqp_url: str,
                                                    own_postgres: PrivatePostgres, kill: bool) -> None:
    with _zone(nursery, tmp_path, own_postgres.new_database(), amqp_url) as zone:
        boots = Boots(zone)
        _in_the_middle(boots, lambda: own_postgres.restart(kill=kill))
        boots.all_run_once()
