"""The unmodified `openstack` command: servers, images, flavors, users; what it prints and what it does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import Clients
from tests.zonekit import wait_for
from zones import states

RUNNING, PAUSED, SHUTDOWN, SUSPENDED = states.RUNNING, states.PAUSED, states.SHUTDOWN, states.SUSPENDED
BOOT = ("server", "create", "--image", "demo", "--flavor", "m1.nano", "--nic", "none")


@pytest.fixture
def server(clients: Clients) -> Iterator[str]:
    """An active server, deleted afterwards."""
    made = clients.boot("pet")
    yield made
    clients.api.call("DELETE", f"/servers/{made}")
    clients.gone(made)


@pytest.fixture(scope="module")
def one(clients: Clients) -> str:
    """A server that nothing succeeds on."""
    return clients.boot("rock")


# ------------------------------------------------------------------ true processes

def test_a_server_from_create_to_delete_by_the_command_itself(clients: Clients) -> None:
    made = json.loads(clients.process(
        "openstack", *BOOT, "--property", "color=red", "-f", "json", "first").out)
    server = made["id"]
    assert made["name"] == "first" and made["status"] in ("BUILD", "ACTIVE") and made["adminPass"]
    clients.wait(server, "ACTIVE")
    guest = clients.guest(server)
    assert guest is not None
    assert (guest["flavor"], guest["power"]) == ("42", RUNNING)
    assert guest["machine"]["metadata"] == {"color": "red"}
    listed = json.loads(clients.process("openstack", "server", "list", "-f", "json").out)
    assert [(one["ID"], one["Status"], one["Flavor"]) for one in listed if one["Name"] == "first"] == [
        (server, "ACTIVE", "m1.nano")]
    shown = json.loads(clients.process("openstack", "server", "show", "first", "-f", "json").out)
    assert (shown["id"], shown["properties"]) == (server, {"color": "red"})
    clients.process("openstack", "server", "stop", "first")
    clients.wait(server, "SHUTOFF")
    clients.process("openstack", "server", "delete", "first")
    clients.gone(server)
    missing = clients.process("openstack", "server", "show", "first", ok=False)
    assert "No Server found for first" in missing.err


def test_clouds_yaml_is_as_good_as_openrc(clients: Clients) -> None:
    folder = clients.zone.folder / "data"
    empty = {name: "" for name in clients.env if name.startswith("OS_")}
    done = clients.process("openstack", "--os-cloud", clients.zone.name, "token", "issue", "-f", "json",
                           **empty, OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"))
    assert json.loads(done.out)["id"]
    for name in ("openrc", "clouds.yaml"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


# ------------------------------------------------------------------ actions

@pytest.mark.parametrize(("commands", "status", "wanted"), [
    (["pause"], "PAUSED", PAUSED), (["pause", "unpause"], "ACTIVE", RUNNING),
    (["suspend"], "SUSPENDED", SUSPENDED), (["suspend", "resume"], "ACTIVE", RUNNING),
    (["stop"], "SHUTOFF", SHUTDOWN), (["stop", "start"], "ACTIVE", RUNNING),
    (["reboot"], "ACTIVE", RUNNING), (["reboot --hard"], "ACTIVE", RUNNING),
    (["rescue"], "RESCUE", RUNNING), (["rescue", "unrescue"], "ACTIVE", RUNNING),
    (["resize --flavor m1.tiny"], "VERIFY_RESIZE", RUNNING),
    (["resize --flavor m1.tiny", "resize confirm"], "ACTIVE", RUNNING),
    (["resize --flavor m1.tiny", "resize revert"], "ACTIVE", RUNNING),
    (["set --password new-secret"], "ACTIVE", RUNNING),
    (["shelve", "unshelve"], "ACTIVE", RUNNING),
], ids=lambda value: "-".join(value).replace(" ", "_") if isinstance(value, list) else "")
def test_an_action_and_what_it_does_to_the_guest(
        clients: Clients, server: str, commands: list[str], status: str, wanted: int) -> None:
    for command in commands:
        clients.openstack("server", *command.split(), server)
        clients.wait(server, "ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF", "RESCUE", "VERIFY_RESIZE",
                     "SHELVED_OFFLOADED")
    shown = clients.wait(server, status)
    guest = clients.guest(server)
    assert guest is not None
    assert (guest["power"], guest["host"]) == (wanted, shown["OS-EXT-SRV-ATTR:host"])
    bigger = commands[0].startswith("resize") and commands[-1] != "resize revert"
    assert (guest["flavor"], shown["flavor"]["original_name"]) == (
        ("1", "m1.tiny") if bigger else ("42", "m1.nano"))
    done = [event["Action"] for event in clients.json("server", "event", "list", server)]
    assert len(done) == 1 + len(commands)
    assert done[-1] == "create"


def test_rebuild_and_rename(clients: Clients, server: str) -> None:
    clients.openstack("server", "rebuild", "--image", "demo", "--property", "a=b", server)
    clients.wait(server, "ACTIVE")
    clients.openstack("server", "set", "--name", "other", "--description", "d", server)
    clients.openstack("server", "set", "--property", "k=v", "--tag", "t", server)
    clients.openstack("server", "unset", "--property", "a", server)
    shown = clients.json("server", "show", server)
    assert (shown["name"], shown["description"], shown["properties"], shown["tags"]) == (
        "other", "d", {"k": "v"}, ["t"])
    clients.openstack("server", "unset", "--tag", "t", server)
    assert clients.api.show(server)["tags"] == []


def test_lock(clients: Clients) -> None:
    ann = clients.user("ann", "gardens", "member")
    server = ann.boot("tree")
    ann.openstack("server", "lock", "--reason", "growing", server)
    assert "is locked" in ann.openstack("server", "pause", server, ok=False).err
    assert "is locked" in ann.openstack("server", "delete", server, ok=False).err
    assert ann.json("server", "list", "--locked") != []
    ann.openstack("server", "unlock", server)
    ann.openstack("server", "delete", server)
    ann.gone(server)


def test_console_log(clients: Clients, server: str) -> None:
    assert "'pet' is up" in clients.openstack("console", "log", "show", "--lines", "1", server).out


# ------------------------------------------------------------------ images

def test_images_up_down_and_booted(clients: Clients, tmp_path: Path) -> None:
    content = bytes(range(256)) * 64
    disk, back = tmp_path / "disk.img", tmp_path / "back.img"
    disk.write_bytes(content)
    made = clients.json("image", "create", "--file", str(disk), "--disk-format", "raw",
                        "--container-format", "bare", "--property", "os=none", "mine")
    assert made["name"] == "mine"
    shown = clients.json("image", "show", "mine")
    assert (shown["status"], shown["size"], shown["properties"]["os"]) == ("active", len(content), "none")
    clients.openstack("image", "save", "--file", str(back), "mine")
    assert back.read_bytes() == content
    server = clients.json("server", "create", "--image", "mine", "--flavor", "m1.nano", "--nic", "none",
                          "own-disk")["id"]
    clients.wait(server, "ACTIVE")
    clients.openstack("server", "image", "create", "--name", "snap", server)
    clients.wait(server, "ACTIVE")
    wait_for("the snapshot", lambda: clients.json("image", "show", "snap")["status"] == "active")
    clients.openstack("image", "save", "--file", str(back), "snap")
    assert back.read_bytes().startswith(b"simulated disk 1")
    assert {"mine", "snap", "demo"} <= {one["Name"] for one in clients.json("image", "list")}
    clients.openstack("image", "set", "--name", "renamed", "--protected", "mine")
    assert "protected" in clients.openstack("image", "delete", "renamed", ok=False).err
    clients.openstack("image", "set", "--unprotected", "renamed")
    clients.openstack("image", "delete", "renamed", "snap")
    clients.openstack("server", "delete", server)
    clients.gone(server)
    assert "No Image found" in clients.openstack("image", "show", "snap", ok=False).err


def test_an_image_that_is_private_is_not_seen_by_others(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 100)
    clients.openstack("image", "create", "--file", str(tmp_path / "disk"), "--private", "secret")
    eve = clients.user("eve", "shadows", "member")
    assert [one["Name"] for one in eve.json("image", "list")] == ["demo"]
    clients.openstack("image", "delete", "secret")


# ------------------------------------------------------------------ flavors, keys, quota, the zone

def test_flavors(clients: Clients) -> None:
    made = clients.json("flavor", "create", "--ram", "256", "--disk", "2", "--vcpus", "1", "--private",
                        "--property", "own:a=b", "own")
    assert (made["ram"], made["properties"], made["os-flavor-access:is_public"]) == (
        256, {"own:a": "b"}, False)
    clients.openstack("flavor", "set", "--project", "admin", "--property", "own:c=d", "own")
    clients.openstack("flavor", "unset", "--property", "own:a", "own")
    shown = clients.json("flavor", "show", "own")
    assert shown["properties"] == {"own:c": "d"}
    assert "own" in [one["Name"] for one in clients.json("flavor", "list", "--all")]
    clients.openstack("flavor", "delete", "own")
    assert "No Flavor found for own" in clients.openstack("flavor", "show", "own", ok=False).err


def test_key_pairs(clients: Clients, tmp_path: Path) -> None:
    private = clients.openstack("keypair", "create", "made").out
    assert "PRIVATE KEY" in private
    public = tmp_path / "key.pub"
    public.write_text(clients.openstack("keypair", "show", "--public-key", "made").out)
    clients.openstack("keypair", "create", "--public-key", str(public), "given")
    assert sorted(one["Name"] for one in clients.json("keypair", "list")) == ["given", "made"]
    clients.openstack("keypair", "delete", "given", "made")
    assert clients.json("keypair", "list") == []


def test_what_the_zone_is_made_of(clients: Clients, one: str) -> None:
    host = clients.api.show(one)["OS-EXT-SRV-ATTR:host"]
    assert host in [row["Hypervisor Hostname"] for row in clients.json("hypervisor", "list")]
    assert clients.json("hypervisor", "show", host)["state"] == "up"
    assert {"Host Name": host, "Service": "compute", "Zone": "nova"} in clients.json("host", "list")
    assert [row["Project"] for row in clients.json("host", "show", host)][:2] == ["(total)", "(used_now)"]
    (service,) = clients.json("compute", "service", "list")
    assert (service["Binary"], service["State"]) == ("nova-compute", "up")
    assert clients.json("availability", "zone", "list", "--compute") == [
        {"Zone Name": "nova", "Zone Status": "available"}]
    limits = {row["Name"]: row["Value"] for row in clients.json("limits", "show", "--absolute")}
    assert limits["total_instances_used"] >= 1
    (versions,) = [row for row in clients.json("versions", "show") if row["Service Type"] == "compute"]
    assert (versions["Min Microversion"], versions["Max Microversion"]) == ("2.1", "2.90")
    assert {row["Type"] for row in clients.json("catalog", "list")} >= {"compute", "identity", "image"}


def test_quota(clients: Clients) -> None:
    bob = clients.user("bob", "fields", "member")
    clients.openstack("quota", "set", "--instances", "1", "fields")
    quota = {row["Resource"]: row["Limit"] for row in clients.json("quota", "show", "fields")}
    assert quota["instances"] == 1
    server = bob.boot("only")
    refused = bob.openstack(*BOOT, "more", ok=False)
    assert "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances" in refused.err
    bob.openstack("server", "delete", server)


def test_server_groups(clients: Clients) -> None:
    group = clients.json("server", "group", "create", "--policy", "anti-affinity", "apart")["id"]
    hosts = set()
    servers = []
    for name in ("a", "b"):
        servers.append(clients.json(*BOOT, "--hint", f"group={group}", name)["id"])
        hosts.add(clients.wait(servers[-1], "ACTIVE")["OS-EXT-SRV-ATTR:host"])
    assert len(hosts) == 2
    assert clients.json("server", "group", "show", group)["members"] == servers
    clients.openstack("server", "delete", *servers)
    clients.openstack("server", "group", "delete", group)


# ------------------------------------------------------------------ who may log in, and where

def test_tokens_projects_users_and_roles(clients: Clients) -> None:
    token = clients.json("token", "issue")
    assert token["project_id"] == clients.json("project", "show", "admin")["id"]
    clients.openstack("project", "create", "--description", "d", "meadow")
    clients.openstack("user", "create", "--password", "carol-secret-word", "--project", "meadow", "carol")
    clients.openstack("role", "add", "--user", "carol", "--project", "meadow", "reader")
    assert "carol" in [row["Name"] for row in clients.json("user", "list")]
    assigned = clients.json("role", "assignment", "list", "--user", "carol", "--names")
    assert [(row["Role"], row["Project"].partition("@")[0]) for row in assigned] == [("reader", "meadow")]
    carol = clients.user("carol-2", "meadow", "reader")
    assert carol.json("server", "list") == []
    assert "403" in carol.openstack(*BOOT, "x", ok=False).err
    clients.openstack("user", "set", "--disable", "carol-2")
    assert "401" in carol.openstack("server", "list", ok=False).err
    clients.openstack("user", "delete", "carol-2")
    clients.openstack("project", "delete", "meadow")
    assert "No Project" in clients.openstack("project", "show", "meadow", ok=False).err


def test_an_application_credential_is_a_login(clients: Clients) -> None:
    made = clients.json("application", "credential", "create", "robot")
    login = {name: "" for name in clients.env if name.startswith("OS_")} | {
        "OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": clients.env["OS_AUTH_URL"],
        "OS_APPLICATION_CREDENTIAL_ID": made["ID"], "OS_APPLICATION_CREDENTIAL_SECRET": made["Secret"],
        "OS_IDENTITY_API_VERSION": "3"}
    clients.process("openstack", "server", "list", **login)
    clients.openstack("application", "credential", "delete", "robot")
    ran = clients.process("openstack", "server", "list", ok=False, **login)
    assert "401" in ran.err


# ------------------------------------------------------------------ microversions, and what can't be

@pytest.mark.parametrize("version", ["2.1", "2.60", "2.90"])
def test_each_microversion(clients: Clients, version: str) -> None:
    made = clients.json("server", "create", "--image", "demo", "--flavor", "m1.nano", *(
        [] if version == "2.1" else ["--nic", "none"]), f"of-{version}", version=version)
    clients.wait(made["id"], "ACTIVE")
    shown = clients.json("server", "show", made["id"], version=version)
    assert (shown["id"], shown["status"], shown["name"]) == (made["id"], "ACTIVE", f"of-{version}")
    assert made["id"] in [row["ID"] for row in clients.json("server", "list", version=version)]
    assert clients.json("flavor", "list", version=version)
    clients.openstack("server", "delete", made["id"], version=version)
    clients.gone(made["id"])


@pytest.mark.parametrize(("command", "words"), [
    ("server create --image demo --flavor nope --nic none x", "No Flavor found for nope"),
    ("server create --image nope --flavor m1.nano --nic none x", "No Image found for nope"),
    ("server create --image demo --flavor m1.nano --nic none --key-name nope x", "key_name"),
    ("server unpause {server}", "while it is in vm_state active"),
    ("server start {server}", "while it is in vm_state active"),
    ("server resize --flavor m1.nano {server}", "must change flavor"),
    ("server resize confirm {server}", "while it is in vm_state active"),
    ("server migrate {server}", "not moved between hosts"),
    ("server show nobody", "No Server found for nobody"),
    ("server delete nobody", "No Server found for nobody"),
    ("server create --image demo --flavor m1.nano --nic none --hint group=nope x", "group"),
    ("image show nope", "No Image found for nope"),
    ("flavor create --ram 0 --vcpus 0 x", "too small"),
    ("keypair delete nope", "not found"),
    ("quota set --instances -7 admin", "-7"),
])
def test_what_cannot_be_is_said(clients: Clients, one: str, command: str, words: str) -> None:
    ran = clients.openstack(*command.format(server=one).split(), ok=False)
    assert words.lower() in (ran.err + ran.out).lower()
    assert "HTTP 5" not in ran.err
