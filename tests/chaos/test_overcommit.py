"""However many boots come at once, and however late a scheduler hears of it: exactly the room is filled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.load import at_once, boot_all, clients
from tests.chaos.nursery import Nursery
from tests.chaos.truth import Books
from tests.zonekit import QUICK, Zone
from zones import states

pytestmark = pytest.mark.chaos

ROLES = {"api": "api", "scheduler-1": "scheduler,manager", "scheduler-2": "scheduler,manager",
         "compute": "compute"}
RAM = 512
"""MiB of a server of flavor 1."""


@pytest.fixture
def zone_with(nursery: Nursery, tmp_path: Path, postgres: Any, amqp_url: str) -> Any:
    """Makes a zone with two schedulers whose hosts hold that many servers each."""
    zones: list[Zone] = []

    def make(hosts: int, each: int, interval: float, late: float) -> Zone:
        sections = {**QUICK, "timing": {**QUICK["timing"], "capability_interval": interval},
                    "quota": {"instances": -1, "cores": -1, "ram": -1}}
        zones.append(Zone(
            tmp_path / "zone", sections=sections, processes=ROLES, make=nursery.process, amqp_url=amqp_url,
            database_url=postgres.new_database(), name=f"room{hosts}-{tmp_path.name[-20:].replace('_', '-')}",
            env={"ZONES_CHAOS_LATE": str(late)} if late else {},
            options={"hosts": str(hosts), "vcpus": "1000", "ram": str(each * RAM), "disk": "1000000"}))
        return zones[-1].start()
    yield make
    for zone in zones:
        zone.kill()


def _exactly_the_room_is_filled(zone: Zone, room: int, wanted: int) -> None:
    books = Books(zone)
    truth = books.settle(60)
    assert truth.states() == {states.ACTIVE: room, states.ERROR: wanted - room}
    assert sum(truth.guests.values()) == len(truth.claims) == room
    assert sum(claim.ram for claim in truth.claims) == room * RAM
    for row in truth.living.values():
        if row["vm_state"] == states.ERROR:
            said = row["fault"]["message"]
            assert said.startswith("No valid zone or host was found: "), said
            assert "RAM" in said or "refused" in said, said


LATE = pytest.mark.parametrize(("interval", "late"), [(1.0, 0.0), (60.0, 0.0), (60.0, 3.0)],
                               ids=["broadcasts", "rare-broadcasts", "late-broadcasts"])


@LATE
def test_twenty_boots_at_once_fill_room_for_four(zone_with: Callable[..., Zone], interval: float,
                                                 late: float) -> None:
    zone = zone_with(2, 2, interval, late)
    image = zone.admin().image()
    at_once([lambda client=client, number=number: client.boot(f"server-{number}", image=image)
             for number, client in enumerate(clients(zone, 20))])
    _exactly_the_room_is_filled(zone, 4, 20)


@LATE
def test_a_thousand_boots_fill_room_for_two_hundred(zone_with: Callable[..., Zone], interval: float,
                                                    late: float) -> None:
    zone = zone_with(10, 20, interval, late)
    boot_all(zone, [f"batch-{number}" for number in range(100)], 10, batch=10)
    _exactly_the_room_is_filled(zone, 200, 1000)
