"""`nova zone-…` and `openstack compute zone …` by the unmodified clients, at a zone with a neighbour."""

import contextlib
import io
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import Clients
from tests.treekit import QUICK_TREE
from tests.zonekit import Zone, wait_for
from zones.admin.main import main as zone_admin_main


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clients, Zone]]:
    """The clients of the administrator of `top`, and the zone `east` that it may link."""
    folder = tmp_path_factory.mktemp("pair")
    with Zone(folder / "top", name="top", sections=QUICK_TREE) as top, \
            Zone(folder / "east", name="east", sections=QUICK_TREE) as east:
        yield Clients(top, folder), east


@pytest.fixture(scope="module")
def command(pair: tuple[Clients, Zone]) -> list[str]:
    """The words of the `nova zone-add` that `zone-admin peer-create` printed at `east`, after `nova`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert zone_admin_main(["--config-file", str(pair[1].config), "peer-create", "top"]) == 0
    return shlex.split(said.getvalue().splitlines()[-1])[1:]


@pytest.fixture
def clients(pair: tuple[Clients, Zone], command: list[str]) -> Iterator[Clients]:
    """The clients of `top` while `east` is linked and active."""
    clients, _ = pair
    clients.nova(*command)
    wait_for("east to be active", lambda: _listed(clients)["Is Active"] == "True" or None)
    yield clients
    clients.nova("zone-delete", "--force", "east")


def _listed(clients: Clients) -> dict[str, str]:
    (row,) = clients.nova("zone-list").table()
    return row


def test_a_zone_is_linked_by_the_printed_command_itself(
        pair: tuple[Clients, Zone], command: list[str]) -> None:
    clients, east = pair
    made = clients.process("nova", *command, "--name", "far").fields()
    assert (made["name"], made["api_url"], made["relation"]) == ("far", f"{east.url}/v2.1", "child")
    row = _listed(clients)
    assert (row["Name"], row["API URL"], row["Weight Offset"], row["Weight Scale"]) == (
        "far", f"{east.url}/v2.1", "0.0", "1.0")
    assert clients.process("openstack", "compute", "zone", "show", "far", "-f", "json").json()["uuid"]
    assert "is linked already as 'far'" in clients.nova(*command, ok=False).err
    clients.process("nova", "zone-delete", "far")
    assert clients.nova("zone-list").table() == []


def test_a_link_is_shown_and_changed_as_in_2011(clients: Clients) -> None:
    number = _listed(clients)["ID"]
    clients.nova("zone", number, "--weight_offset", "2.5")
    clients.nova("zone", "east", "--weight_offset", "0", "--weight_scale", "0")
    shown = clients.nova("zone", number).fields()
    assert (shown["weight_offset"], shown["weight_scale"]) == ("0.0", "0.0")
    again = clients.nova("zone-show", "east").fields()
    assert {**again, "last_seen": ""} == {**shown, "last_seen": ""}  # it is polled meanwhile
    refused = clients.nova("zone", number, "--password", "wrong-word", ok=False)
    assert "HTTP 409" in refused.err and "wrong-word" not in refused.err
    assert clients.nova("zone-info").fields()["name"] == "top"
    assert [row["Name"] for row in clients.nova("zone-tree").table()] == ["top", "east"]
    assert "No zone with a name or ID of 'west'" in clients.nova("zone-show", "west", ok=False).err


def test_openstack_has_the_same_verbs(clients: Clients) -> None:
    for verb, state in (("cordon", "cordoned"), ("drain", "draining"), ("uncordon", "enabled")):
        clients.openstack("compute", "zone", verb, "east")
        assert clients.json("compute", "zone", "show", "east")["state"] == state
        clients.nova("zone-uncordon", "east")
        clients.nova(f"zone-{verb}", "east")
        assert clients.json("compute", "zone", "list", "--long")[0]["State"] == state
    clients.openstack("compute", "zone", "set", "east", "--weight-scale", "0.5", "--name", "east-2")
    assert clients.json("compute", "zone", "list")[0]["Weight Scale"] == 0.5
    clients.openstack("compute", "zone", "set", "east-2", "--name", "east")
    assert clients.openstack("compute", "zone", "set", "east", ok=False).code == 1
    assert clients.json("compute", "zone", "info")["name"] == "top"
    assert [row["Path"] for row in clients.json("compute", "zone", "tree")] == [".", "east"]


def test_availability_zones_show_whether_boots_are_taken_there(clients: Clients) -> None:
    def states() -> dict[str, str]:
        rows = (line.split("|") for line in clients.nova("availability-zone-list").out.splitlines())
        return {row[1].strip(): row[-2].strip() for row in rows if len(row) == 4}  # others are of a tree
    wait_for("its availability zones", lambda: "east/nova" in states() or None)
    assert (states()["nova"], states()["east"], states()["east/nova"]) == ("available",) * 3
    clients.nova("zone-cordon", "east")
    wait_for("all to know", lambda: states()["east"] == "not available" or None)
    assert (states()["nova"], states()["east/nova"]) == ("available", "not available")
    clients.nova("zone-uncordon", "east")
    wait_for("all to know", lambda: states()["east/nova"] == "available" or None)


def test_openstack_makes_and_deletes_a_link(pair: tuple[Clients, Zone], command: list[str]) -> None:
    clients, _ = pair
    _, url, user, password, *_ = command
    made = clients.json("compute", "zone", "create", url, "--username", user, "--password", password,
                        "--relation", "parent", "--weight-offset", "-1")
    assert (made["name"], made["relation"], made["weight_offset"]) == ("east", "parent", -1.0)
    clients.openstack("compute", "zone", "delete", "east")
    assert clients.json("compute", "zone", "list") == []


def test_who_is_no_administrator_is_told_so(clients: Clients) -> None:
    member = clients.user("ann", "lab", "member")
    assert "HTTP 403" in member.nova("zone-list", ok=False).err
    assert "403" in member.openstack("compute", "zone", "list", ok=False).err
    assert member.nova("zone-info").fields()["name"] == "top"


def test_a_boot_may_say_where_and_what_it_needs(clients: Clients, pair: tuple[Clients, Zone]) -> None:
    base = ("boot", "--flavor", "m1.tiny", "--image", "demo", "--nic", "auto")
    there = clients.nova(*base, "--zone", "east", "there").fields()["id"]
    fits = clients.nova(*base, "--zone-capability", "hypervisor=simulated", "fits").fields()["id"]
    never = clients.nova(*base, "--zone-capability", "hypervisor=none;gone", "never").fields()["id"]
    assert clients.wait(never, "ERROR", "ACTIVE")["status"] == "ERROR"
    assert clients.wait(fits, "ERROR", "ACTIVE")["status"] == "ACTIVE"
    assert clients.wait(there, "ERROR", "ACTIVE")["status"] == "ACTIVE"
    assert pair[1].guests()[there] == 1
    assert "has servers behind it (1)" in clients.nova("zone-delete", "east", ok=False).err
    for server in (there, fits, never):
        clients.nova("delete", server)
        clients.api.wait_gone(server)


def test_zone_boot_answers_with_a_reservation(clients: Clients) -> None:
    said = clients.nova("zone-boot", "--flavor", "m1.tiny", "--image", "demo", "--meta", "color=red",
                        "--min_instances", "2", "--max_instances", "2", "flock").out
    reservation = said.strip().removeprefix("Reservation ID= ")
    servers = clients.api.call("GET", f"/servers/detail?reservation_id={reservation}")["servers"]
    assert sorted(server["name"] for server in servers) == ["flock-1", "flock-2"]
    assert [server["metadata"] for server in servers] == [{"color": "red"}] * 2
    for server in servers:
        clients.nova("delete", server["id"])
        clients.api.wait_gone(server["id"])


def test_zone_boot_takes_the_reservation_and_files_of_2011(clients: Clients, tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_text("hello")
    command = ("zone-boot", "--flavor", "m1.tiny", "--image", "demo", "--reservation_id", "r-of-2011",
               "--file", f"/etc/motd={motd}", "lone")
    said = clients.nova(*command, version="2.56").out
    assert said.strip() == "Reservation ID= r-of-2011"
    (server,) = clients.api.call("GET", "/servers?reservation_id=r-of-2011")["servers"]
    clients.nova("delete", server["id"])
    clients.api.wait_gone(server["id"])
