"""Quota is exact however many clients boot at once, at however many API workers."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.load import at_once, clients
from tests.chaos.truth import Books
from tests.zonekit import QUICK, Client, Failed, Zone, wait_for
from zones import states

pytestmark = pytest.mark.chaos

ROOM, WANTED = 50, 200


def _listeners(port: int) -> int:
    """How many sockets listen on a port of loopback."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1:4:2] == [f"0100007F:{port:04X}", "0A"] for line in lines)


def _boot(client: Client, name: str, image: str) -> Callable[[], int]:
    def boot() -> int:
        try:
            client.boot(name, image=image)
        except Failed as error:
            return error.status
        return 202
    return boot


def test_two_hundred_boots_at_two_workers_with_quota_for_fifty(
        tmp_path: Path, postgres: Any, amqp_url: str) -> None:
    zone = Zone(tmp_path / "zone", database_url=postgres.new_database(), amqp_url=amqp_url,
                name=f"quota-{tmp_path.name[-20:].replace('_', '-')}",
                sections={**QUICK, "api": {"workers": 2}, "quota": {"instances": ROOM}},
                options={"hosts": "4", "vcpus": "1000", "ram": "1000000", "disk": "1000000"})
    with zone:
        wait_for("both API workers to listen", lambda: _listeners(zone.port) == 2)
        users = clients(zone, WANTED)
        image = users[0].image()
        answers = at_once([_boot(client, f"server-{number}", image)
                           for number, client in enumerate(users)])
        assert Counter(answers) == {202: ROOM, 403: WANTED - ROOM}
        truth = Books(zone).settle()
        assert truth.states() == {states.ACTIVE: ROOM}
        assert [row["instances"] for row in truth.usage] == [ROOM]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda server: users[0].call("DELETE", f"/servers/{server}"), truth.living))
        truth = Books(zone).settle()
        assert not truth.living
        assert [(row["instances"], row["cores"], row["ram"]) for row in truth.usage] == [(0, 0, 0)]
        assert not truth.guests
