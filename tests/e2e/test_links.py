"""Links between zones that are unusual: rings, diamonds, a zone that is replaced, one that is cut off, one
that speaks another version. Real zones, and the simulated hypervisors that say what became of it."""

import json
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.forest import Forest
from tests.chaos.nursery import Nursery
from tests.treekit import NO_HOSTS, QUICK_TREE, Tree, tree
from tests.zonekit import Client, Failed, Zone, wait_for

SECTIONS = {**QUICK_TREE, "timing": {**QUICK_TREE["timing"], "capability_interval": 3.0}}
"""What fills exactly the room must not lose a host because the machine is busy for three seconds."""
SMALL = {"hosts": "1", "vcpus": "4", "ram": "1024", "disk": "100"}
"""Room for two servers of flavor 1."""
Make = Callable[..., Tree]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Forks processes of zones."""
    with Nursery() as made:
        yield made


@pytest.fixture
def make(nursery: Nursery, tmp_path: Path) -> Iterator[Make]:
    """Makes trees, with the arguments of `tree`."""
    with ExitStack() as stack:
        yield lambda zones, links=(), **more: stack.enter_context(
            tree(tmp_path, zones, links, make=nursery.process, sections=SECTIONS, **more))


def statuses(client: Client, servers: list[str], active: int) -> list[str]:
    """What became of these boots, of which so many are ACTIVE and the others in ERROR."""
    shown = [client.wait(server, "ACTIVE", "ERROR", seconds=60) for server in servers]
    found = [one["status"] for one in shown]
    assert found.count("ACTIVE") == active, [one.get("fault", one["status"]) for one in shown]
    return found


def fault_of(client: Client, server: str) -> str:
    """Why it is in ERROR."""
    return str(client.wait(server, "ERROR")["fault"]["message"])


def info(zone: Zone, client: Client) -> dict[str, Any]:
    """GET /os-zones/info."""
    return dict(client.call("GET", "/os-zones/info")["zone"])


def uuid_of(zones: Tree, name: str) -> str:
    return str(info(zones[name], zones.admin(name))["uuid"])


# ------------------------------------------------------------------ rings

@pytest.mark.parametrize("relation", ["child", "parent"])
def test_two_zones_linked_both_ways_do_not_pass_a_boot_round(make: Make, relation: str) -> None:
    zones = make({"a": SMALL, "b": SMALL}, [("a", "b")])
    zones.link("b", "a", relation=relation)
    client = zones.admin("a")
    image = client.image()
    servers = [client.boot(f"s{number}", image=image) for number in range(6)]
    found = statuses(client, servers, active=4)
    assert zones["a"].guests().total() == zones["b"].guests().total() == 2
    for server, status in zip(servers, found, strict=True):
        assert len(zones.where(server)) == (1 if status == "ACTIVE" else 0)
        if status == "ERROR":
            said = fault_of(client, server)
            assert said.startswith("No valid zone or host was found: "), said
            assert "b" in said.split() or "RAM" in said or "room" in said, said
    Forest(zones.zones).settle()
    attempts = Forest(zones.zones).books["a"].read().attempts
    assert len(attempts) <= 4 * len(servers), "it was tried again and again"
    for server in servers:
        client.call("DELETE", f"/servers/{server}")
    for truth in Forest(zones.zones).settle().values():
        assert not truth.living and not truth.guests


def test_in_a_ring_of_three_each_zone_hears_of_the_others_once(make: Make) -> None:
    zones = make({"a": SMALL, "b": SMALL, "c": SMALL}, [("a", "b"), ("b", "c"), ("c", "a")])
    uuids = {name: uuid_of(zones, name) for name in zones.zones}
    for name in zones.zones:
        wait_for(f"{name} to know all", lambda name=name: set(
            info(zones[name], zones.admin(name))["zones"]) == set(uuids.values()))
    client = zones.admin("a")
    image = client.image()
    servers = [client.boot(f"s{number}", image=image) for number in range(8)]
    statuses(client, servers, active=6)
    assert [zone.guests().total() for zone in zones.zones.values()] == [2, 2, 2]
    Forest(zones.zones).settle()


# ------------------------------------------------------------------ diamonds

def test_in_a_diamond_the_lowest_zone_is_counted_once_and_boots_once(make: Make) -> None:
    zones = make({"top": {}, "a": {}, "b": {}, "c": SMALL},
                 [("a", "c"), ("b", "c"), ("top", "a"), ("top", "b")],
                 roles=dict.fromkeys(("top", "a", "b"), NO_HOSTS))
    lowest = uuid_of(zones, "c")
    client = zones.admin("top")
    wait_for("the top to know of all four", lambda: len(info(zones["top"], client)["zones"]) == 4)
    assert info(zones["top"], client)["zones"][lowest]["name"] == "c"
    image = client.image()
    servers = [client.boot(f"s{number}", image=image) for number in range(5)]
    found = statuses(client, servers, active=2)
    for server, status in zip(servers, found, strict=True):
        assert zones.where(server) == (["c"] if status == "ACTIVE" else [])
    Forest(zones.zones).settle()


# ------------------------------------------------------------------ another zone at the URL

def test_a_url_that_leads_to_another_zone_gets_no_traffic(make: Make, tmp_path: Path,
                                                          nursery: Nursery) -> None:
    zones = make({"top": {}, "east": SMALL}, roles={"top": NO_HOSTS})
    client, east = zones.admin("top"), zones["east"]
    zones.peer_for("top", "east")
    east.stop()
    other = Zone(tmp_path / "other", name="east", options=SMALL, sections=SECTIONS, make=nursery.process)
    shutil.copytree(east.folder / "data", other.folder / "data")  # lets in the same peer, as one does
    with closing(sqlite3.connect(other.folder / "data" / "zone.sqlite")) as conn, conn:
        conn.execute("UPDATE zone SET uuid = ?", [str(uuid.uuid4())])
    text = other.config.read_text()
    other.config.write_text(text.replace(f"port = {other.port}", f"port = {east.port}"))
    other.port, other.url = east.port, east.url
    east.start()
    zones.link("top", "east")
    server = client.boot("one")
    client.wait(server, "ACTIVE")
    east.stop()
    with other:
        wait_for("it is seen to be another zone",
                 lambda: zones.link_row("top", "east")["reason"] == "other_zone")
        assert not zones.link_row("top", "east")["is_active"]
        assert "east" in fault_of(client, client.boot("late"))
        with pytest.raises(Failed) as refused:
            client.act(server, "os-stop")
        assert refused.value.status == 503
        assert client.show(server)["status"] == "UNKNOWN"
        log = [line.split() for line in other.processes["zone"].log.read_text().splitlines()]
        served = {line[6] for line in log if line[3] == "zones.access" and line[7] != "503"}
        assert {path for path in served if path.startswith("/v2.1")} == {"/v2.1/os-zones/info"}, served
        assert not other.guests()
        other.stop()
    east.start()
    zones.wait_link("top", "east", active=True)
    wait_for("it is as it was", lambda: client.show(server)["status"] == "ACTIVE")
    Forest(zones.zones).settle()


# ------------------------------------------------------------------ a link that is deleted

def test_a_link_with_servers_behind_it_is_deleted_by_force_and_added_again(make: Make) -> None:
    zones = make({"top": {}, "east": SMALL}, [("top", "east")], roles={"top": NO_HOSTS})
    client = zones.admin("top")
    server = client.boot("one")
    client.wait(server, "ACTIVE")
    link = zones.link_row("top", "east")["id"]
    with pytest.raises(Failed) as refused:
        client.call("DELETE", f"/os-zones/{link}")
    assert refused.value.status == 409 and "servers behind it (1)" in str(refused.value.body)
    client.call("DELETE", f"/os-zones/{link}?force=true")
    assert client.call("GET", "/os-zones/detail")["zones"] == []
    wait_for("nobody answers for it", lambda: client.show(server)["status"] == "UNKNOWN")
    with pytest.raises(Failed) as unreachable:
        client.act(server, "os-stop")
    assert unreachable.value.status == 503
    assert zones.where(server) == ["east"]
    zones.admin("east").call("POST", f"/servers/{server}/metadata", {"metadata": {"while": "apart"}})
    zones.link("top", "east")
    wait_for("it is here again", lambda: client.show(server)["status"] == "ACTIVE")
    wait_for("what happened meanwhile is heard",
             lambda: client.show(server)["metadata"] == {"while": "apart"})
    client.act(server, "os-stop")
    client.wait(server, "SHUTOFF")
    client.call("DELETE", f"/servers/{server}")
    client.wait_gone(server)
    for truth in Forest(zones.zones).settle().values():
        assert not truth.living and not truth.guests


# ------------------------------------------------------------------ versions of the protocol

def test_a_zone_that_speaks_other_versions_is_refused_with_both_ranges(make: Make) -> None:
    zones = make({"top": {}, "east": SMALL}, roles={"top": NO_HOSTS},
                 envs={"east": {"ZONES_CHAOS_PROTOCOL": "2-3"}})
    with pytest.raises(Failed) as refused:
        zones.link("top", "east")
    assert refused.value.status == 409
    said = json.dumps(refused.value.body)
    assert "2 to 3" in said and "1 to 1" in said
    assert zones.admin("top").call("GET", "/os-zones/detail")["zones"] == []


def test_a_linked_zone_that_comes_back_with_other_versions_is_inactive_at_once(make: Make) -> None:
    envs: dict[str, dict[str, str]] = {"top": {}, "east": {"ZONES_CHAOS_PROTOCOL": "1-1"}}
    zones = make({"top": {}, "east": SMALL}, [("top", "east")], roles={"top": NO_HOSTS}, envs=envs)
    east, client = zones["east"], zones.admin("top")
    server = client.boot("one")
    client.wait(server, "ACTIVE")
    east.stop()
    envs["east"]["ZONES_CHAOS_PROTOCOL"] = "2-3"
    east.processes["zone"].env["ZONES_CHAOS_PROTOCOL"] = "2-3"
    east.start()
    wait_for("the versions do not meet", lambda: zones.link_row("top", "east")["reason"] == "protocol")
    row = zones.link_row("top", "east")
    assert not row["is_active"] and "2 to 3" in row["message"] and "1 to 1" in row["message"]
    late = client.boot("late")
    assert "east" in fault_of(client, late)
    east.stop()
    east.processes["zone"].env["ZONES_CHAOS_PROTOCOL"] = "1-2"
    east.start()
    zones.wait_link("top", "east", active=True)
    again = client.boot("again")
    client.wait(again, "ACTIVE")
    Forest(zones.zones).settle()


@pytest.mark.parametrize("newer", ["top", "east"])
def test_what_a_newer_zone_says_beyond_ours_is_ignored(make: Make, newer: str) -> None:
    zones = make({"top": {}, "east": SMALL}, [("top", "east")], roles={"top": NO_HOSTS},
                 envs={newer: {"ZONES_CHAOS_NEWER": "yes", "ZONES_CHAOS_PROTOCOL": "1-2"}})
    client = zones.admin("top")
    server = client.boot("one", metadata={"a": "b"})
    client.wait(server, "ACTIVE")
    client.act(server, "os-stop")
    client.wait(server, "SHUTOFF")
    client.call("DELETE", f"/servers/{server}")
    client.wait_gone(server)
    for truth in Forest(zones.zones).settle().values():
        assert not truth.living and not truth.guests

