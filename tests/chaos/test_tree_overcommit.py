"""However many boots come at once, and however old what is known of the zones below: exactly their room is
filled, and nobody is refused while there is room. Karmada's over-commit (its issue 1385), in a tree.

`ZONES_CHAOS_BOOTS`: how many boots the larger case has (200 unless told; 1,000 is the long run); a fifth
of them finds room.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import HASTY
from tests.chaos.forest import Forest
from tests.chaos.load import at_once, boot_all, clients
from tests.chaos.nursery import Nursery
from tests.treekit import NO_HOSTS, Tree
from tests.zonekit import Zone
from zones import states

MANY = int(os.environ.get("ZONES_CHAOS_BOOTS", "200"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180 + MANY)]

RAM = 512
"""MiB of a server of flavor 1."""
SECTIONS = {**HASTY, "links": {"poll": 0.5, "connect": 2.0, "deadline": 10.0, "breaker": 0.2,
                               "feed_wait": 2.0, "feed_interval": 0.03}}
APART = {"api": "api", "scheduler-1": "scheduler", "scheduler-2": "scheduler", "manager": "manager"}
STALE = pytest.mark.parametrize("stale", [0, 10, 60])
"""Seconds for which the top goes by what it last heard of a zone."""


@pytest.fixture
def grow(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[..., Tree]]:
    """Makes a top over two zones that have room for so many servers each."""
    made: list[Tree] = []

    def growing(room: int, stale: int, **top: Any) -> Tree:
        options = {"hosts": "2", "vcpus": "1000", "ram": str(room * RAM // 2), "disk": "1000000"}
        below = {name: Zone(tmp_path / name, name=name, options=options, sections=SECTIONS,
                            make=nursery.process) for name in ("east", "west")}
        zone = Zone(tmp_path / "top", name="top", sections=SECTIONS, make=nursery.process,
                    env={"ZONES_CHAOS_STALE": str(stale)} if stale else {},
                    **{"processes": {"zone": NO_HOSTS}, **top})
        made.append(Tree({"top": zone, **below}))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(Zone.start, made[-1].zones.values()))
        for name in below:
            made[-1].link("top", name)
        return made[-1]
    yield growing
    for one in made:
        one.kill()


def _exactly_the_room_is_filled(zones: Tree, room: int, wanted: int) -> None:
    truths = Forest(zones.zones).settle(120)
    top = truths["top"]
    assert top.states() == {states.ACTIVE: 2 * room, states.ERROR: wanted - 2 * room}
    for name in ("east", "west"):
        assert sum(truths[name].guests.values()) == len(truths[name].claims) == room
        assert truths[name].states() == {states.ACTIVE: room}
    for row in top.living.values():
        if row["vm_state"] == states.ERROR:
            said = row["fault"]["message"]
            assert said.startswith("No valid zone or host was found: "), said


@STALE
def test_twenty_boots_at_once_fill_room_for_four(grow: Callable[..., Tree], stale: int) -> None:
    zones = grow(2, stale)
    image = zones.admin("top").image()
    at_once([lambda client=client, number=number: client.boot(f"server-{number}", image=image)
             for number, client in enumerate(clients(zones["top"], 20))])
    _exactly_the_room_is_filled(zones, 2, 20)


@STALE
def test_many_boots_while_the_zone_manager_is_killed(grow: Callable[..., Tree], stale: int, postgres: Any,
                                                     amqp_url: str) -> None:
    zones = grow(MANY // 10, stale, processes=APART, database_url=postgres.new_database(),
                 amqp_url=amqp_url)
    begun = threading.Event()

    def boot(number: int) -> None:
        boot_all(zones["top"], [f"batch-{number}-{each}" for each in range(MANY // 50)], 5, batch=5)
        begun.set()
    with ThreadPoolExecutor(10) as pool:
        booting = [pool.submit(boot, number) for number in range(10)]
        assert begun.wait(60), "nothing was accepted"
        manager = zones["top"].processes["manager"]
        manager.kill()
        manager.start()
        for one in booting:
            one.result(120)
    _exactly_the_room_is_filled(zones, MANY // 10, MANY)
