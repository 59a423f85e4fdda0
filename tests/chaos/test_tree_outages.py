"""A zone of a tree dies, hangs, or comes back from a backup: nothing is lost, doubled or left over, and
whoever has nothing to do with it notices nothing."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import HASTY, ROOMY
from tests.chaos.forest import Forest
from tests.chaos.load import NO_ANSWER, at_once, clients
from tests.chaos.nursery import Child, Nursery
from tests.chaos.traps import Trap, is_dead
from tests.chaos.truth import Row
from tests.treekit import NO_HOSTS, Tree, tree
from tests.zonekit import Client, Failed, Zone, wait_for
from zones import states

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

SECTIONS: dict[str, dict[str, Any]] = {
    **HASTY, "timing": {**HASTY["timing"], "unknown_after": 3.0},
    "links": {"poll": 0.5, "connect": 1.0, "deadline": 2.0, "breaker": 0.2, "feed_wait": 1.0,
              "feed_interval": 0.02}}
BOOTS, USERS = 20, 5
PATIENT = {"ZONES_CHAOS_PATIENT": "1"}
APART = {"ZONES_CHAOS_APART": "0.5"}


class Grown:
    """A zone without hosts, the zones below it, and what all their books say."""

    def __init__(self, zones: Tree, traps: dict[str, Trap]) -> None:
        self.zones, self.traps = zones, traps
        self.top = zones["top"]
        self.client = zones.admin("top")
        self.forest = Forest(zones.zones)

    def rows(self) -> dict[str, Row]:
        """The living servers as the top has them."""
        return self.forest.books["top"].read().living

    def wait_row(self, server: str, what: str, check: Callable[[Row], object]) -> Row:
        """The top's row once the check holds."""
        def look() -> Row | None:
            row = self.rows().get(server)
            return row if row is not None and check(row) else None
        found = wait_for(f"{server} {what}", look)
        assert found is not None
        return found

    def boot(self, name: str = "one", **fields: Any) -> str:
        """A server once it is ACTIVE."""
        server = self.client.boot(name, **fields)
        self.client.wait(server, "ACTIVE")
        return server

    def once_each(self, servers: list[str]) -> None:
        """Everything has come to rest, and each of these runs, in one place."""
        truths = self.forest.settle(60)
        wrong = {server: row["vm_state"] for server in servers
                 for row in [truths["top"].servers[server]] if row["vm_state"] != states.ACTIVE}
        assert not wrong, wrong
        assert {server: len(self.zones.where(server)) for server in servers} == dict.fromkeys(servers, 1)


@pytest.fixture
def grow(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[..., Grown]]:
    """Makes a tree of a top and these zones below it."""
    @contextmanager
    def growing(*below: str, **env: str) -> Iterator[Grown]:
        traps = {name: Trap(tmp_path / name) for name in ("top", *below)}
        with tree(tmp_path, {"top": {}, **dict.fromkeys(below, ROOMY)}, [("top", name) for name in below],
                  sections=SECTIONS, roles={"top": NO_HOSTS}, make=nursery.process,
                  envs={name: {**trap.env, **PATIENT, **env} for name, trap in traps.items()}) as zones:
            yield Grown(zones, traps)
    stack = []

    def make(*below: str, **env: str) -> Grown:
        stack.append(growing(*below, **env))
        return stack[-1].__enter__()
    yield make
    for opened in stack:
        opened.__exit__(None, None, None)


def hang(zone: Zone, number: signal.Signals) -> None:
    """SIGSTOP or SIGCONT to all processes of a zone."""
    for process in zone.processes.values():
        assert isinstance(process, Child)
        process.signal(number)


# ------------------------------------------------------------------ a zone below that dies

def test_a_zone_that_is_dead_for_good_in_the_middle_of_boots(grow: Callable[..., Grown]) -> None:
    grown = grow("east", "west")
    east = grown.zones["east"]
    image = grown.client.image()
    grown.traps["east"].arm("after:db:handover._accept#2")
    users = clients(grown.top, BOOTS)
    servers = at_once([lambda user=user, number=number: user.boot(f"server-{number}", image=image)
                       for number, user in enumerate(users)])
    wait_for("east to die", lambda: is_dead(east), 20)
    uuid = grown.forest.uuids["east"]

    def decided() -> bool:
        return not any(row["vm_state"] == states.BUILDING and not _accepted(grown, row, uuid)
                       for row in grown.rows().values())
    wait_for("what is not in doubt to run in west", decided, 40)
    rows = grown.rows()
    doubtful = [server for server in servers if rows[server]["vm_state"] != states.ACTIVE]
    assert any(rows[server]["vm_state"] == states.ERROR for server in doubtful)
    for server in doubtful:
        if rows[server]["vm_state"] == states.ERROR:
            assert rows[server]["fault"]["reason"] == "unknown_at_zone"
    for server in set(servers) - set(doubtful):
        assert grown.zones.where(server) == ["west" if rows[server]["zone_uuid"] != uuid else "east"]
    with ThreadPoolExecutor(4) as pool:
        for said in pool.map(lambda server: grown.top.run_admin("server-settle", server), doubtful):
            assert "east" in said
    for server in doubtful:
        grown.client.wait(server, "ACTIVE")
        assert "west" in grown.zones.where(server)
    east.start()
    grown.once_each(servers)


def _accepted(grown: Grown, row: Row, zone_uuid: str) -> bool:
    """Whether that zone has said that it has the server."""
    return bool(row["zone_uuid"] == zone_uuid)


def test_a_zone_that_dies_in_the_middle_of_boots_goes_on_when_it_is_back(grow: Callable[..., Grown]) -> None:
    grown = grow("east", "west")
    image = grown.client.image()
    grown.traps["top"].arm("after:http:hand#3")

    def boot(user: Client, number: int) -> str | None:
        try:
            return user.boot(f"server-{number}", image=image)
        except NO_ANSWER:
            return None
    users = clients(grown.top, USERS)
    with ThreadPoolExecutor(USERS) as pool:
        answers = list(pool.map(boot, users * (BOOTS // USERS), range(BOOTS)))
    wait_for("the top to die", lambda: is_dead(grown.top), 20)
    grown.top.start()
    accepted = [server for server in answers if server is not None]
    assert accepted
    grown.once_each(accepted)
    named = [row["name"] for row in grown.rows().values()]
    assert len(named) == len(set(named)) <= BOOTS
    grown.once_each(list(grown.rows()))


# ------------------------------------------------------------------ delete

def used(client: Client) -> int:
    return int(client.call("GET", "/limits")["limits"]["absolute"]["totalInstancesUsed"])


def test_a_delete_while_the_zone_below_is_down(grow: Callable[..., Grown]) -> None:
    grown = grow("east")
    east, client = grown.zones["east"], grown.client
    server, other = grown.boot(), grown.boot("other")
    east.kill()
    grown.zones.wait_link("top", "east", active=False)
    client.call("DELETE", f"/servers/{server}")
    with pytest.raises(Failed) as missing:
        client.show(server)
    assert missing.value.status == 404
    assert [one["id"] for one in client.servers()] == [other]
    assert used(client) == 2, "the quota is held until it is surely gone"
    east.start()
    wait_for("the quota is given back", lambda: used(client) == 1)
    grown.once_each([other])
    assert grown.zones.where(server) == []


def test_a_boot_that_comes_late_does_not_bring_back_what_was_deleted(grow: Callable[..., Grown]) -> None:
    grown = grow("east")
    east, client = grown.zones["east"], grown.client
    image, trap = client.image(), grown.traps["top"]
    hang(east, signal.SIGSTOP)
    start = trap.mark()
    servers = [client.boot(f"late-{number}", image=image) for number in range(5)]
    wait_for("boots are on their way", lambda: "before:http:hand" in trap.passed(start))
    for server in servers:
        client.call("DELETE", f"/servers/{server}")
    assert used(client) == 5
    hang(east, signal.SIGCONT)
    wait_for("the quota is given back", lambda: used(client) == 0, 60)
    truths = grown.forest.settle()
    assert not truths["top"].living and not truths["east"].living
    assert not [server for server in servers if grown.zones.where(server)]


# ------------------------------------------------------------------ backups

def backup(zone: Zone, folder: Path) -> Path:
    """Stop a zone, copy its database, and start it again."""
    zone.stop()
    folder.mkdir()
    for path in (zone.folder / "data").glob("zone.sqlite*"):
        shutil.copy(path, folder)
    zone.start()
    return folder


def restore(zone: Zone, folder: Path) -> None:
    """Kill a zone, put its backup in place as the handbook says, and start it."""
    zone.kill()
    for path in (zone.folder / "data").glob("zone.sqlite*"):
        path.unlink()
    for path in folder.iterdir():
        shutil.copy(path, zone.folder / "data")
    assert "epoch" in zone.run_admin("db-restored")
    zone.start()


def test_a_zone_below_comes_back_from_a_backup(grow: Callable[..., Grown], tmp_path: Path) -> None:
    grown = grow("east", **APART)
    east, client = grown.zones["east"], grown.client
    kept, deleted = grown.boot("kept"), grown.boot("deleted")
    grown.forest.settle()
    folder = backup(east, tmp_path / "backup")
    grown.zones.wait_link("top", "east", active=True)
    lost = grown.boot("lost")
    client.call("DELETE", f"/servers/{deleted}")
    client.wait_gone(deleted)
    restore(east, folder)
    row = grown.wait_row(lost, "is in ERROR", lambda row: row["vm_state"] == states.ERROR)
    assert row["fault"]["reason"] == "lost_by_zone", row["fault"]
    wait_for("what was deleted is deleted there again",
             lambda: set(grown.forest.books["east"].read().living) == {kept})
    client.wait_gone(deleted)
    client.act(kept, "os-stop")
    client.wait(kept, "SHUTOFF")
    assert set(grown.rows()) == {kept, lost}
    assert [grown.zones.where(server) for server in (kept, deleted)] == [["east"], []]


def test_the_zone_above_comes_back_from_a_backup(grow: Callable[..., Grown], tmp_path: Path) -> None:
    grown = grow("east", **APART)
    client = grown.client
    kept, deleted = grown.boot("kept"), grown.boot("deleted")
    folder = backup(grown.top, tmp_path / "backup")
    unknown = [grown.boot("unknown"), grown.boot("unknown-too")]
    client.call("DELETE", f"/servers/{deleted}")
    client.wait_gone(deleted)
    restore(grown.top, folder)
    client.log_in()
    for server in unknown:
        wait_for("it is known again", lambda server=server: server in grown.rows())
        client.wait(server, "ACTIVE")
    client.wait_gone(deleted)
    truths = grown.forest.settle()
    assert set(truths["top"].living) == {kept, *unknown}
    assert used(client) == 3
    client.act(unknown[0], "os-stop")
    client.wait(unknown[0], "SHUTOFF")
    client.call("DELETE", f"/servers/{unknown[1]}")
    client.wait_gone(unknown[1])
    truths = grown.forest.settle()
    assert grown.zones.where(unknown[1]) == [] and len(truths["east"].living) == 2


# ------------------------------------------------------------------ what others notice

BOUND = 2.0
"""Seconds that a zone which hangs may cost a request that has nothing to do with it."""


def test_a_zone_that_hangs_costs_other_requests_nothing(grow: Callable[..., Grown]) -> None:
    grown = grow("east", "west")
    in_east = grown.boot("in-east", availability_zone="east")

    def took(call: Callable[[], object]) -> float:
        began = time.monotonic()
        call()
        return time.monotonic() - began

    def figures() -> dict[str, float]:
        return {"list": took(grown.client.servers), "boot": took(
            lambda: grown.boot("in-west", availability_zone="west"))}
    before = figures()
    hang(grown.zones["east"], signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2) as pool:  # somebody asks for what hangs all the while
            asking = [pool.submit(_ask, client, in_east) for client in clients(grown.top, 2)]
            while_it_hangs = [figures() for _ in range(5)]
            answers = [one.result(30) for one in asking]
        assert all(status in (503, 504) for status in answers), answers
        grown.zones.wait_link("top", "east", active=False)
        while_it_hangs.append(figures())
    finally:
        hang(grown.zones["east"], signal.SIGCONT)
    for found in while_it_hangs:
        assert all(found[name] < before[name] + BOUND for name in before), (before, while_it_hangs)
    grown.zones.wait_link("top", "east", active=True)
    grown.forest.settle()


def _ask(client: Client, server: str) -> int:
    try:
        client.act(server, "os-getConsoleOutput", {})
    except Failed as error:
        return error.status
    return 200
