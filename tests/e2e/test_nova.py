"""The unmodified `nova` command: every action it knows of a server, and what a server is made of."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Clients
from tests.zonekit import wait_for
from zones import states

RUNNING, PAUSED, SHUTDOWN, SUSPENDED = states.RUNNING, states.PAUSED, states.SHUTDOWN, states.SUSPENDED


@pytest.fixture
def server(clients: Clients) -> Iterator[str]:
    """An active server, deleted afterwards."""
    made = clients.boot("pet")
    yield made
    clients.api.call("DELETE", f"/servers/{made}")
    clients.gone(made)


def power(clients: Clients, server: str) -> int:
    guest = clients.guest(server)
    assert guest is not None
    return int(guest["power"])


# ------------------------------------------------------------------ true processes

def test_a_server_from_boot_to_delete_by_the_command_itself(clients: Clients) -> None:
    booted = clients.process("nova", "boot", "--image", "demo", "--flavor", "m1.tiny", "--nic", "auto",
                             "--meta", "color=red", "first").fields()
    server = booted["id"]
    assert booted["name"] == "first" and booted["status"] in ("BUILD", "ACTIVE") and booted["adminPass"]
    clients.wait(server, "ACTIVE")
    guest = clients.guest(server)
    assert guest is not None
    assert (guest["flavor"], guest["power"], guest["machine"]["metadata"]) == ("1", RUNNING, {"color": "red"})

    (listed,) = [row for row in clients.process("nova", "list").table() if row["ID"] == server]
    address = clients.wait(server, "ACTIVE")["addresses"]["private"][0]["addr"]
    assert (listed["Name"], listed["Status"], listed["Networks"]) == ("first", "ACTIVE", f"private={address}")
    shown = clients.process("nova", "show", "first").fields()
    assert (shown["id"], shown["OS-EXT-STS:vm_state"]) == (server, "active")
    assert shown["OS-EXT-SRV-ATTR:host"] == guest["host"]

    clients.process("nova", "update", "--name", "second", "first")
    assert clients.wait(server, "ACTIVE")["name"] == "second"
    for action, status, wanted in (("stop", "SHUTOFF", SHUTDOWN), ("start", "ACTIVE", RUNNING)):
        clients.process("nova", action, "second")
        clients.wait(server, status)
        assert power(clients, server) == wanted

    clients.process("nova", "delete", "second")
    clients.gone(server)
    missing = clients.process("nova", "show", "second", ok=False)
    assert "No server with a name or ID of 'second' exists" in missing.err


# ------------------------------------------------------------------ actions, in this process

@pytest.mark.parametrize(("commands", "status", "wanted"), [
    ([["pause"]], "PAUSED", PAUSED), ([["pause"], ["unpause"]], "ACTIVE", RUNNING),
    ([["suspend"]], "SUSPENDED", SUSPENDED), ([["suspend"], ["resume"]], "ACTIVE", RUNNING),
    ([["reboot"]], "ACTIVE", RUNNING), ([["stop"], ["reboot", "--hard"]], "ACTIVE", RUNNING),
    ([["rescue"]], "RESCUE", RUNNING), ([["rescue"], ["unrescue"]], "ACTIVE", RUNNING),
    ([["resize", "+m1.tiny"]], "VERIFY_RESIZE", RUNNING),
    ([["resize", "+m1.tiny"], ["resize-confirm"]], "ACTIVE", RUNNING),
    ([["resize", "+m1.tiny"], ["resize-revert"]], "ACTIVE", RUNNING),
    ([["set-password"]], "ACTIVE", RUNNING),
], ids=lambda value: "-".join(one[0] for one in value) if isinstance(value, list) else "")
def test_an_action_and_what_it_does_to_the_guest(
        clients: Clients, server: str, commands: list[list[str]], status: str, wanted: int,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "new-secret")
    for name, *more in commands:
        options = [one for one in more if one.startswith("--")]
        operands = [one.removeprefix("+") for one in more if one.startswith("+")]
        clients.nova(name, *options, server, *operands)
        shown = clients.api.show(server)
        clients.wait(server, *(["ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF", "RESCUE", "VERIFY_RESIZE"]))
        assert shown["id"] == server
    assert clients.wait(server, status)["status"] == status
    guest = clients.guest(server)
    assert guest is not None
    assert guest["power"] == wanted
    flavor = clients.wait(server, status)["flavor"]["original_name"]
    resized = commands[0][0] == "resize" and commands[-1][0] != "resize-revert"
    assert (flavor, guest["flavor"]) == (("m1.tiny", "1") if resized else ("m1.nano", "42"))


def test_rebuild(clients: Clients, server: str) -> None:
    done = clients.nova("rebuild", "--name", "anew", "--meta", "k=v", "--description", "d", server, "demo")
    assert done.fields()["adminPass"]
    shown = clients.wait(server, "ACTIVE")
    assert (shown["name"], shown["metadata"], shown["description"]) == ("anew", {"k": "v"}, "d")
    guest = clients.guest(server)
    assert guest is not None
    assert guest["machine"]["metadata"] == {"k": "v"}


def test_shelve_and_unshelve(clients: Clients, server: str) -> None:
    clients.nova("shelve", server)
    assert clients.wait(server, "SHELVED_OFFLOADED")["status"] == "SHELVED_OFFLOADED"
    assert clients.guest(server) is None
    (image,) = [one for one in clients.json("image", "list") if one["Name"] == "pet-shelved"]
    assert image["Status"] == "active"
    clients.nova("unshelve", server)
    clients.wait(server, "ACTIVE")
    assert power(clients, server) == RUNNING
    assert not [one for one in clients.json("image", "list") if one["Name"] == "pet-shelved"]


def test_lock_holds_its_own_user_back(clients: Clients) -> None:
    ann = clients.user("ann", "gardens", "member")
    server = ann.boot("tree")
    ann.nova("lock", server, "--reason", "growing")
    refused = ann.nova("pause", server, ok=False)
    assert "is locked (HTTP 409)" in refused.err
    assert "is locked (HTTP 409)" in ann.nova("delete", server, ok=False).out
    assert ann.nova("show", server).fields()["locked_reason"] == "growing"
    ann.nova("unlock", server)
    ann.nova("pause", server)
    ann.wait(server, "PAUSED")
    ann.nova("delete", server)
    ann.gone(server)


def test_snapshot_boots_again(clients: Clients, server: str) -> None:
    clients.nova("image-create", "--metadata", "a=b", server, "snap")
    clients.wait(server, "ACTIVE")
    (image,) = [one for one in clients.json("image", "list") if one["Name"] == "snap"]
    assert image["Status"] == "active"
    again = clients.nova("boot", "--image", "snap", "--flavor", "m1.nano", "--nic", "none", "again")
    clients.wait(again.fields()["id"], "ACTIVE")
    guest = clients.guest(again.fields()["id"])
    assert guest is not None
    assert guest["machine"]["image"]["id"] == image["ID"]
    clients.nova("delete", "again")
    clients.gone(again.fields()["id"])
    clients.openstack("image", "delete", "snap")


def test_console_and_diagnostics(clients: Clients, server: str) -> None:
    whole = clients.nova("console-log", server).out.strip().splitlines()
    assert whole[-1].endswith("'pet' is up")
    assert clients.nova("console-log", "--length", "2", server).out.strip().splitlines() == whole[-2:]
    assert clients.nova("diagnostics", server).fields()["state"] == "running"
    clients.nova("stop", server)
    clients.wait(server, "SHUTOFF")
    assert clients.nova("diagnostics", server).fields()["state"] == "shutdown"


@pytest.mark.parametrize(("state", "flag"), [("ERROR", []), ("ACTIVE", ["--active"])])
def test_reset_state(clients: Clients, server: str, state: str, flag: list[str]) -> None:
    clients.nova("reset-state", *flag, server)
    assert clients.wait(server, state)["status"] == state


# ------------------------------------------------------------------ what a server is made of

def test_what_boot_can_take_along(clients: Clients, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "motd"
    data.write_text("#!/bin/sh\n")
    file.write_text("hello\n")
    key = clients.nova("keypair-add", "mine")
    assert "PRIVATE KEY" in key.out
    booted = clients.nova(
        "boot", "--image", "demo", "--flavor", "m1.nano", "--nic", "auto", "--key-name", "mine",
        "--user-data", str(data), "--description", "all of it", "--availability-zone", "nova",
        "--config-drive", "true", "--tags", "red,blue", "--hostname", "host-name", "whole")
    server = booted.fields()["id"]
    shown = clients.wait(server, "ACTIVE")
    assert (shown["key_name"], shown["description"], shown["config_drive"], sorted(shown["tags"])) == (
        "mine", "all of it", "True", ["blue", "red"])
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "host-name"
    assert base64.b64decode(shown["OS-EXT-SRV-ATTR:user_data"]) == b"#!/bin/sh\n"
    guest = clients.guest(server)
    assert guest is not None
    assert (guest["machine"]["key"], guest["machine"]["config_drive"]) == ("mine", True)
    clients.nova("delete", "whole")
    clients.gone(server)
    old = clients.nova("boot", "--image", "demo", "--flavor", "m1.nano", "--file", f"/etc/motd={file}",
                       "old", version="2.1").fields()["id"]
    clients.wait(old, "ACTIVE")
    guest = clients.guest(old)
    assert guest is not None
    assert guest["machine"]["files"] == ["/etc/motd"]
    clients.nova("delete", "old")
    clients.nova("keypair-delete", "mine")


def test_several_at_once(clients: Clients) -> None:
    clients.nova("boot", "--image", "demo", "--flavor", "m1.nano", "--nic", "none",
                 "--min-count", "2", "--max-count", "3", "crowd")
    found = clients.nova("list", "--name", "^crowd-").table()
    assert sorted(row["Name"] for row in found) == ["crowd-1", "crowd-2", "crowd-3"]
    for row in found:
        clients.wait(row["ID"], "ACTIVE")
    clients.nova("delete", *(row["ID"] for row in found))
    for row in found:
        clients.gone(row["ID"])


def test_metadata_and_tags(clients: Clients, server: str) -> None:
    clients.nova("meta", server, "set", "a=1", "b=2")
    clients.nova("meta", server, "delete", "a")
    assert clients.api.show(server)["metadata"] == {"b": "2"}
    clients.nova("server-tag-add", server, "x", "y")
    clients.nova("server-tag-delete", server, "x")
    assert [row["Tag"] for row in clients.nova("server-tag-list", server).table()] == ["y"]
    clients.nova("server-tag-set", server, "p", "q")
    assert sorted(clients.api.show(server)["tags"]) == ["p", "q"]
    clients.nova("server-tag-delete-all", server)
    assert clients.api.show(server)["tags"] == []
    assert [row["ID"] for row in clients.nova("list", "--tags", "p").table()] == []


def test_lists_filter_sort_and_page(clients: Clients, server: str) -> None:
    other = clients.boot("other", "1")
    names = [row["Name"] for row in clients.nova("list", "--sort", "display_name:asc").table()]
    assert names == sorted(names)
    assert {"pet", "other"} <= set(names)
    assert [row["Name"] for row in clients.nova("list", "--flavor", "m1.tiny").table()] == ["other"]
    assert [row["Name"] for row in clients.nova("list", "--status", "SHUTOFF").table()] == []
    assert len(clients.nova("list", "--limit", "1").table()) == 1
    assert {"pet", "other"} <= {row["Name"] for row in clients.nova("list", "--all-tenants").table()}
    assert "Networks" not in clients.nova("list", "--minimal").out
    clients.nova("delete", other)
    clients.gone(other)


@pytest.mark.parametrize("version", ["2.1", "2.60", "2.90"])
def test_each_microversion_shows_the_same_server(clients: Clients, server: str, version: str) -> None:
    shown = clients.nova("show", server, version=version).fields()
    assert (shown["id"], shown["status"], shown["name"]) == (server, "ACTIVE", "pet")
    assert ("flavor" in shown) == (version == "2.1")
    assert ("locked_reason" in shown) == (version == "2.90")
    assert server in clients.nova("list", version=version).out
    booted = clients.nova("boot", "--image", "demo", "--flavor", "m1.nano", f"of-{version}", *(
        [] if version == "2.1" else ["--nic", "auto"]), version=version).fields()["id"]
    clients.wait(booted, "ACTIVE")
    clients.nova("delete", booted, version=version)
    clients.gone(booted)


# ------------------------------------------------------------------ flavors, keys, the zone

def test_flavors(clients: Clients) -> None:
    clients.nova("flavor-create", "own", "auto", "256", "2", "1", "--ephemeral", "1", "--is-public", "False")
    listed = {row["Name"]: row for row in clients.nova("flavor-list", "--all").table()}
    assert (listed["own"]["Memory_MiB"], listed["own"]["Disk"], listed["own"]["Is_Public"]) == (
        "256", "2", "False")
    flavor = listed["own"]["ID"]
    clients.nova("flavor-key", "own", "set", "hw:cpu_policy=shared", "own:c=d")
    clients.nova("flavor-key", "own", "unset", "own:c")
    shown = clients.nova("flavor-show", "own").fields()
    assert json.loads(shown["extra_specs"]) == {"hw:cpu_policy": "shared"}
    project = clients.json("project", "show", "admin")["id"]
    clients.nova("flavor-access-add", "own", project)
    assert [row["Tenant_ID"] for row in clients.nova("flavor-access-list", "--flavor", "own").table()] == [
        project]
    clients.nova("flavor-access-remove", "own", project)
    clients.nova("flavor-update", "own", "what it is for")
    assert clients.nova("flavor-show", "own").fields()["description"] == "what it is for"
    clients.nova("flavor-delete", flavor)
    assert "No flavor with a name or ID" in clients.nova("flavor-show", "own", ok=False).err


def test_key_pairs(clients: Clients, tmp_path: Path) -> None:
    made = clients.nova("keypair-add", "made").out
    assert made.startswith("-----BEGIN")
    public = clients.json("keypair", "show", "made", version="2.90")
    assert public["fingerprint"]
    shown = clients.nova("keypair-show", "made").out
    file = tmp_path / "key.pub"
    file.write_text(shown.split("Public key:")[-1].strip())
    clients.nova("keypair-add", "--pub-key", str(file), "given")
    assert {row["Name"] for row in clients.nova("keypair-list").table()} == {"made", "given"}
    again = clients.nova("keypair-add", "--pub-key", str(file), "given", ok=False)
    assert "already exists" in again.err
    for name in ("made", "given"):
        clients.nova("keypair-delete", name)
    assert clients.nova("keypair-list").table() == []


def test_what_the_zone_is_made_of(clients: Clients, server: str) -> None:
    host = clients.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    hosts = clients.nova("hypervisor-list").table()
    assert host in [row["Hypervisor hostname"] for row in hosts]
    assert all((row["State"], row["Status"]) == ("up", "enabled") for row in hosts)
    shown = clients.nova("hypervisor-show", hosts[0]["ID"]).fields()
    assert shown["hypervisor_type"] == "simulated"
    assert server in clients.nova("hypervisor-servers", host).out
    zones = clients.nova("availability-zone-list").out
    assert "| nova " in zones
    assert f"|- {host} " in zones
    (service,) = clients.nova("service-list").table()
    assert (service["Binary"], service["State"], service["Status"]) == ("nova-compute", "up", "enabled")
    actions = [row["Action"] for row in clients.nova("instance-action-list", server).table()]
    assert actions == ["create"]
    request = clients.nova("instance-action-list", server).table()[0]["Request_ID"]
    assert request in clients.nova("instance-action", server, request).out
    limits = {row["Name"]: row for row in clients.nova("limits").table()}
    assert int(limits["Instances"]["Used"]) >= 1
    assert clients.nova("version-list").code == 0
    assert clients.nova("usage").code == 0


def test_a_disabled_service_takes_nothing(clients: Clients, server: str) -> None:
    (service,) = clients.nova("service-list").table()
    clients.nova("service-disable", service["Id"], "--reason", "spring cleaning")
    try:
        def refused() -> dict[str, Any] | None:
            """Its last report from before the change may still count: try until it does not."""
            tried = clients.api.boot("nowhere", "42")
            shown = clients.wait(tried, "ERROR", "ACTIVE")
            clients.nova("delete", tried)
            clients.gone(tried)
            return shown if shown["status"] == "ERROR" else None
        shown = wait_for("a disabled service to take nothing", refused)
        assert "disabled" in shown["fault"]["message"]
        clients.nova("pause", server)
        clients.wait(server, "PAUSED")
    finally:
        clients.nova("service-enable", service["Id"])


def test_quota(clients: Clients) -> None:
    bob = clients.user("bob", "fields", "member")
    project = clients.json("project", "show", "fields")["id"]
    clients.nova("quota-update", project, "--instances", "1", "--cores", "5")
    limits = {row["Quota"]: row["Limit"] for row in clients.nova("quota-show", "--tenant", project).table()}
    assert (limits["instances"], limits["cores"]) == ("1", "5")
    server = bob.boot("only")
    refused = bob.nova("boot", "--image", "demo", "--flavor", "m1.nano", "--nic", "none", "more", ok=False)
    assert "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances (HTTP 403)" in (
        refused.err)
    assert len(bob.nova("list").table()) == 1
    assert "HTTP 403" in bob.nova("flavor-create", "mine", "auto", "1", "1", "1", ok=False).err
    bob.nova("delete", server)
    bob.gone(server)
    clients.nova("quota-delete", "--tenant", project)


# ------------------------------------------------------------------ plain words for what can't be

@pytest.mark.parametrize(("command", "words"), [
    ("boot --image demo --flavor nope --nic none x", "No flavor with a name or ID of 'nope' exists"),
    ("boot --image nope --flavor m1.nano --nic none x", "No Image matching nope"),
    ("boot --flavor m1.nano --nic none x", "you need to specify"),
    ("boot --image demo --flavor m1.nano --nic none --key-name nope x", "Invalid key_name"),
    ("unpause {server}", "while it is in vm_state active (HTTP 409)"),
    ("start {server}", "while it is in vm_state active (HTTP 409)"),
    ("resize {server} m1.nano", "must change flavor"),
    ("resize {server} nope", "No flavor with a name or ID of 'nope' exists"),
    ("migrate {server}", "not moved between hosts"),
    ("live-migration {server}", "not moved between hosts"),
    ("backup {server} b daily 1", "createImage makes an image"),
    ("meta {server} delete nothing", "was not found"),
    ("server-tag-delete {server} nothing", "nothing"),
    ("show nobody", "No server with a name or ID of 'nobody' exists"),
    ("delete nobody", "No server with a name or ID of 'nobody' exists"),
    ("get-vnc-console {server} novnc", "not served"),
    ("keypair-delete nobody", "not found"),
])
def test_what_cannot_be_is_said(clients: Clients, one: str, command: str, words: str) -> None:
    ran = clients.nova(*command.format(server=one).split(), ok=False)
    assert words.lower() in (ran.err + ran.out).lower()
    assert ran.err.count("\n") <= 3


@pytest.fixture(scope="module")
def one(clients: Clients) -> str:
    """A server that nothing succeeds on."""
    return clients.boot("rock")


def test_a_wrong_password_is_no_way_in(clients: Clients) -> None:
    ran = clients.process("nova", "list", ok=False, OS_PASSWORD="wrong")
    assert "HTTP 401" in ran.err
