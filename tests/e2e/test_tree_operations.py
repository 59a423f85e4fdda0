"""Every operation on a server, asked for at the top, done two zones below: the effect there, the answer here.

The 2011 unit tests passed while almost every forwarded call was wrong; so each one has its test here,
with its arguments, on real zones, asserting what the leaf's hypervisor has.
"""

import base64
import hashlib
import hmac
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.treekit import NO_HOSTS, Tree, tree
from tests.zonekit import Client, Failed, wait_for

LEAF = "west-gpu"
OPTIONS = {"hosts": "1", "vcpus": "16", "ram": "16384", "disk": "200"}


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    with tree(tmp_path_factory.mktemp("tree"), {"top": {}, "west": OPTIONS, LEAF: {**OPTIONS, "hosts": "4"}},
              capabilities={LEAF: ["gpu=a100"]}, roles={"top": NO_HOSTS}) as made:
        made.link("west", LEAF)
        made.link("top", "west")
        client = made.tenant("top", "blue")
        wait_for("the top has heard of the leaf", lambda: f"west/{LEAF}/nova" in zone_names(client))
        yield made


@pytest.fixture
def client(zones: Tree) -> Client:
    """A tenant of the top."""
    return zones.tenant("top", "blue")


def zone_names(client: Client) -> list[str]:
    """The availability zones that a user may name."""
    return [zone["zoneName"] for zone in
            client.call("GET", "/os-availability-zone")["availabilityZoneInfo"]]


def boot(client: Client, name: str = "one", **fields: Any) -> str:
    server = client.boot(name, hints={"zone_capabilities": "gpu=a100"}, **fields)
    client.wait(server, "ACTIVE")
    return server


@pytest.fixture(scope="module")
def server(zones: Tree) -> str:
    """One server for all that leaves it ACTIVE as it was."""
    return boot(zones.tenant("top", "blue"), "shared")


def guest(zones: Tree, server: str) -> dict[str, Any]:
    """The guest, which is in the leaf and nowhere else."""
    assert zones.where(server) == [LEAF]
    found = zones.guest(LEAF, server)
    assert found is not None
    return found


def becomes(zones: Tree, server: str, **wanted: Any) -> None:
    """Wait until the guest in the leaf is like that."""
    wait_for(f"guest {wanted}", lambda: wanted.items() <= guest(zones, server).items())


def is_password(stored: str, password: str) -> bool:
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(
        digest, hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), 100).hex())


RUNNING, PAUSED, SHUTDOWN, SUSPENDED = 1, 3, 4, 7


# ------------------------------------------------------------------ create

def test_every_field_of_a_boot_arrives(zones: Tree, client: Client) -> None:
    key = client.call("POST", "/os-keypairs", {"keypair": {"name": "mine", "type": "ssh"}})["keypair"]
    script = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
    server = boot(client, "all-of-it", flavor="2", key_name="mine", user_data=script,
                  metadata={"role": "web"}, tags=["a", "b"], config_drive=True, adminPass="Secret.123",
                  description="two zones below", hostname="all-of-it-host")
    found = guest(zones, server)
    machine = found["machine"]
    assert found["flavor"] == "2" or machine["flavor"]["id"] == "2"
    assert machine["key"] == "mine" and key["public_key"]
    assert machine["user_data"] == hashlib.sha256(b"#!/bin/sh\necho hello\n").hexdigest()
    assert machine["metadata"] == {"role": "web"}
    assert machine["config_drive"] is True
    assert machine["name"] == "all-of-it" and machine["hostname"] == "all-of-it-host"
    assert is_password(machine["password"], "Secret.123")
    shown = client.show(server)
    assert shown["metadata"] == {"role": "web"} and sorted(shown["tags"]) == ["a", "b"]
    assert shown["description"] == "two zones below" and shown["key_name"] == "mine"
    assert shown["flavor"]["vcpus"] == machine["flavor"]["vcpus"]
    assert shown["OS-EXT-AZ:availability_zone"].startswith(f"west/{LEAF}")
    assert shown["addresses"]["private"][0]["addr"]
    assert shown["config_drive"] == "True"


def test_files_arrive(zones: Tree, client: Client) -> None:
    older = Client(client.url, client.username, client.password, client.project, microversion="2.1")
    server = older.boot("files", hints={"zone_capabilities": "gpu=a100"}, networks=[], personality=[
        {"path": "/etc/motd", "contents": base64.b64encode(b"hello").decode()}])
    older.wait(server, "ACTIVE")
    assert guest(zones, server)["machine"]["files"] == ["/etc/motd"]


def test_a_server_group_of_the_top_holds_in_the_leaf(zones: Tree, client: Client) -> None:
    group = client.call("POST", "/os-server-groups", {"server_group": {
        "name": "apart", "policy": "anti-affinity"}})["server_group"]["id"]
    made = [client.boot(f"apart-{number}", hints={"zone_capabilities": "gpu=a100", "group": group})
            for number in range(5)]
    ends = [client.wait(server, "ACTIVE", "ERROR") for server in made]
    hosts = [guest(zones, one["id"])["host"] for one in ends if one["status"] == "ACTIVE"]
    assert len(hosts) == len(set(hosts)) == 4  # the leaf has four hosts
    fault = next(one["fault"]["message"] for one in ends if one["status"] == "ERROR")
    assert "group" in fault
    members = client.call("GET", f"/os-server-groups/{group}")["server_group"]["members"]
    assert set(members) == set(made)


def test_a_flavor_that_only_the_top_knows(zones: Tree, client: Client) -> None:
    zones.admin("top").call("POST", "/flavors", {"flavor": {
        "id": "own", "name": "own", "vcpus": 3, "ram": 700, "disk": 2}})
    server = boot(client, "own-flavor", flavor="own")
    assert guest(zones, server)["machine"]["flavor"]["ram"] == 700
    assert client.show(server)["flavor"]["original_name"] == "own"


def test_an_image_that_only_the_top_has_is_pushed(zones: Tree, client: Client) -> None:
    image = client.call("POST", "image/v2/images", {
        "name": "mine", "disk_format": "raw", "container_format": "bare"})["id"]
    content = b"only here " * 5000
    upload(client, image, content)
    server = boot(client, "own-image", image=image)
    assert client.show(server)["image"]["id"] == image
    digest = hashlib.sha512(content).hexdigest()
    assert guest(zones, server)["machine"]["image"]["os_hash_value"] == digest
    for zone in ("west", LEAF):
        known = zones.admin(zone).call("GET", "image/v2/images?visibility=all")["images"]
        assert [one["status"] for one in known if one["os_hash_value"] == digest] == ["active"]


def upload(client: Client, image: str, content: bytes) -> None:
    request = urllib.request.Request(
        f"{client.url}/image/v2/images/{image}/file", content, method="PUT",
        headers={"X-Auth-Token": client.token, "Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204


# ------------------------------------------------------------------ power

@pytest.mark.parametrize(("action", "status", "power", "back"), [
    ("pause", "PAUSED", PAUSED, "unpause"), ("suspend", "SUSPENDED", SUSPENDED, "resume"),
    ("os-stop", "SHUTOFF", SHUTDOWN, "os-start")])
def test_there_and_back(zones: Tree, client: Client, server: str, action: str, status: str, power: int,
                        back: str) -> None:
    client.act(server, action)
    client.wait(server, status)
    assert guest(zones, server)["power"] == power
    with pytest.raises(Failed) as refused:
        client.act(server, action)
    assert refused.value.status == 409
    client.act(server, back)
    client.wait(server, "ACTIVE")
    assert guest(zones, server)["power"] == RUNNING


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_reboot(zones: Tree, client: Client, server: str, kind: str) -> None:
    client.act(server, "reboot", {"type": kind})
    client.wait(server, "ACTIVE")
    assert guest(zones, server)["power"] == RUNNING
    actions = client.call("GET", f"/servers/{server}/os-instance-actions")["instanceActions"]
    assert actions[0]["action"] == "reboot"
    assert actions[0]["project_id"] == client.show(server)["tenant_id"]


def test_rescue_and_unrescue(zones: Tree, client: Client, server: str) -> None:
    answer = client.act(server, "rescue", {"adminPass": "Rescue.456"})
    assert answer["adminPass"] == "Rescue.456"
    client.wait(server, "RESCUE")
    machine = guest(zones, server)["machine"]
    assert is_password(machine["password"], "Rescue.456") and machine["rescue"] is not None
    client.act(server, "unrescue")
    client.wait(server, "ACTIVE")
    assert guest(zones, server)["machine"].get("rescue") is None


def test_change_password(zones: Tree, client: Client, server: str) -> None:
    client.act(server, "changePassword", {"adminPass": "Other.789"})
    wait_for("the new password",
             lambda: is_password(guest(zones, server)["machine"]["password"], "Other.789"))
    client.wait(server, "ACTIVE")


# ------------------------------------------------------------------ resize, rebuild

def usage(client: Client) -> tuple[int, int]:
    limits = client.call("GET", "/limits")["limits"]["absolute"]
    return limits["totalCoresUsed"], limits["totalRAMUsed"]


def test_resize_confirm_and_revert(zones: Tree, client: Client) -> None:
    server = boot(client, "grows", flavor="1")
    before = usage(client)
    client.act(server, "resize", {"flavorRef": "2"})
    client.wait(server, "VERIFY_RESIZE")
    assert guest(zones, server)["machine"]["flavor"]["id"] == "2"
    assert usage(client)[1] > before[1]
    client.act(server, "revertResize")
    client.wait(server, "ACTIVE")
    assert guest(zones, server)["machine"]["flavor"]["id"] == "1"
    wait_for("the quota is as before", lambda: usage(client) == before)
    client.act(server, "resize", {"flavorRef": "2"})
    client.wait(server, "VERIFY_RESIZE")
    client.act(server, "confirmResize")
    shown = client.wait(server, "ACTIVE")
    assert shown["flavor"]["original_name"] == client.call("GET", "/flavors/2")["flavor"]["name"]
    assert guest(zones, server)["machine"]["flavor"]["id"] == "2"
    client.call("DELETE", f"/servers/{server}")
    client.wait_gone(server)
    wait_for("the quota is given back", lambda: usage(client)[1] < before[1])


def test_rebuild(zones: Tree, client: Client, server: str) -> None:
    client.call("POST", "/os-keypairs", {"keypair": {"name": "second", "type": "ssh"}})
    image = client.image()
    answer = client.act(server, "rebuild", {
        "imageRef": image, "name": "rebuilt", "metadata": {"again": "yes"}, "adminPass": "Rebuilt.1",
        "key_name": "second", "description": "built twice",
        "user_data": base64.b64encode(b"second").decode()})["server"]
    assert answer["id"] == server and answer["adminPass"] == "Rebuilt.1"
    assert answer["links"][0]["href"].startswith(client.url)
    shown = client.wait(server, "ACTIVE")
    machine = guest(zones, server)["machine"]
    assert machine["name"] == "rebuilt" and machine["metadata"] == {"again": "yes"}
    assert machine["key"] == "second" and is_password(machine["password"], "Rebuilt.1")
    assert machine["user_data"] == hashlib.sha256(b"second").hexdigest()
    assert shown["name"] == "rebuilt" and shown["metadata"] == {"again": "yes"}
    assert shown["key_name"] == "second" and shown["description"] == "built twice"


# ------------------------------------------------------------------ images, shelving

def test_an_image_of_a_server_is_made_below_and_read_at_the_top(
        zones: Tree, client: Client, server: str) -> None:
    made = client.act(server, "createImage", {"name": "snap", "metadata": {"by": "test"}})["image_id"]
    assert str(uuid.UUID(made)) == made

    def ready() -> dict[str, Any] | None:
        image = client.call("GET", f"image/v2/images/{made}")
        return image if image["status"] == "active" else None
    image = wait_for("the snapshot is active", ready)
    assert image["name"] == "snap" and image["by"] == "test" and image["size"] > 0
    content = download(client, made)
    assert len(content) == image["size"]
    assert hashlib.sha512(content).hexdigest() == image["os_hash_value"]
    assert server.encode() in content
    again = boot(client, "from-snap", image=made)
    assert guest(zones, again)["machine"]["image"]["os_hash_value"] == image["os_hash_value"]


def download(client: Client, image: str) -> bytes:
    request = urllib.request.Request(f"{client.url}/image/v2/images/{image}/file",
                                     headers={"X-Auth-Token": client.token})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def test_shelve_and_unshelve(zones: Tree, client: Client) -> None:
    server = boot(client, "shelved")
    client.act(server, "shelve")
    client.wait(server, "SHELVED_OFFLOADED")
    assert zones.where(server) == []
    client.act(server, "unshelve")
    client.wait(server, "ACTIVE")
    assert zones.where(server) == [LEAF]


# ------------------------------------------------------------------ what hangs on a server

def test_update(zones: Tree, client: Client, server: str) -> None:
    shown = client.call("PUT", f"/servers/{server}", {"server": {
        "name": "renamed", "description": "told", "accessIPv4": "192.0.2.7", "hostname": "renamed-host"}})
    assert (shown["server"]["name"], shown["server"]["accessIPv4"]) == ("renamed", "192.0.2.7")
    assert shown["server"]["links"][0]["href"].startswith(client.url)
    assert client.show(server)["description"] == "told"
    leaf = zones.admin(LEAF).call("GET", f"/servers/{server}")["server"]
    assert (leaf["name"], leaf["description"], leaf["accessIPv4"]) == ("renamed", "told", "192.0.2.7")


def test_metadata(zones: Tree, client: Client, server: str) -> None:
    below = zones.admin(LEAF)
    client.call("POST", f"/servers/{server}/metadata", {"metadata": {"a": "1", "b": "2"}})
    client.call("PUT", f"/servers/{server}/metadata/c", {"meta": {"c": "3"}})
    assert client.call("GET", f"/servers/{server}/metadata")["metadata"].items() >= {
        "a": "1", "b": "2", "c": "3"}.items()
    client.call("DELETE", f"/servers/{server}/metadata/a")
    client.call("PUT", f"/servers/{server}/metadata", {"metadata": {"only": "this"}})
    assert client.call("GET", f"/servers/{server}/metadata/only")["meta"] == {"only": "this"}
    assert client.show(server)["metadata"] == {"only": "this"}
    assert below.show(server)["metadata"] == {"only": "this"}
    with pytest.raises(Failed) as missing:
        client.call("DELETE", f"/servers/{server}/metadata/none")
    assert missing.value.status == 404


def test_tags(zones: Tree, client: Client, server: str) -> None:
    client.call("PUT", f"/servers/{server}/tags", {"tags": ["x", "y"]})
    client.call("PUT", f"/servers/{server}/tags/z")
    client.call("DELETE", f"/servers/{server}/tags/x")
    assert sorted(client.call("GET", f"/servers/{server}/tags")["tags"]) == ["y", "z"]
    assert sorted(zones.admin(LEAF).show(server)["tags"]) == ["y", "z"]
    assert [one["id"] for one in client.servers(tags="y,z")] == [server]
    client.call("DELETE", f"/servers/{server}/tags")
    assert zones.admin(LEAF).show(server)["tags"] == []


def test_lock_and_unlock(zones: Tree, client: Client, server: str) -> None:
    client.act(server, "lock", {"locked_reason": "mine"})
    assert (client.show(server)["locked"], client.show(server)["locked_reason"]) == (True, "mine")
    assert zones.admin(LEAF).show(server)["locked"] is True
    with pytest.raises(Failed) as refused:
        client.act(server, "os-stop")
    assert refused.value.status == 409
    client.act(server, "unlock")
    assert client.show(server)["locked"] is False


def test_console_output(zones: Tree, client: Client, server: str) -> None:
    whole = client.act(server, "os-getConsoleOutput", {})["output"]
    assert server in whole or "simulated" in whole
    assert client.act(server, "os-getConsoleOutput", {"length": 1})["output"] == whole.splitlines()[-1]


def test_diagnostics_for_the_administrator(zones: Tree, server: str) -> None:
    found = zones.admin("top").call("GET", f"/servers/{server}/diagnostics")
    assert found["driver"] == "simulated" and found["state"] == "running"


def test_interfaces_volumes_and_groups_answer(client: Client, server: str) -> None:
    interfaces = client.call("GET", f"/servers/{server}/os-interface")["interfaceAttachments"]
    assert interfaces[0]["fixed_ips"][0]["ip_address"] == (
        client.show(server)["addresses"]["private"][0]["addr"])
    assert client.call("GET", f"/servers/{server}/os-volume_attachments")["volumeAttachments"] == []
    assert client.call("GET", f"/servers/{server}/os-security-groups")["security_groups"]
    assert client.call("GET", f"/servers/{server}/ips")["addresses"]["private"]


def test_what_no_zone_can_do_is_refused(client: Client, server: str) -> None:
    with pytest.raises(Failed) as refused:
        client.act(server, "createBackup", {"name": "x", "backup_type": "daily", "rotation": 1})
    assert refused.value.status == 501


def test_reset_state_by_the_administrator(zones: Tree, client: Client) -> None:
    server = boot(client, "reset")
    zones.admin("top").act(server, "os-resetState", {"state": "error"})
    wait_for("ERROR here", lambda: client.show(server)["status"] == "ERROR")
    assert zones.admin(LEAF).show(server)["status"] == "ERROR"
    zones.admin("top").act(server, "os-resetState", {"state": "active"})
    wait_for("ACTIVE here", lambda: client.show(server)["status"] == "ACTIVE")


# ------------------------------------------------------------------ the end

@pytest.mark.parametrize("how", ["delete", "force"])
def test_delete(zones: Tree, client: Client, how: str) -> None:
    server = boot(client, "short-lived")
    assert zones.where(server) == [LEAF]
    if how == "delete":
        client.call("DELETE", f"/servers/{server}")
    else:
        client.act(server, "forceDelete")
    client.wait_gone(server)
    wait_for("nothing is left of it", lambda: zones.where(server) == [])
    for zone in ("west", LEAF):
        assert server not in [one["id"] for one in zones.admin(zone).servers(all_tenants="1")]


def test_a_batch_is_one_reservation(zones: Tree, client: Client) -> None:
    made = client.call("POST", "/servers", {"server": {
        "name": "batch", "flavorRef": "1", "imageRef": client.image(), "networks": "auto", "min_count": 3,
        "max_count": 3, "return_reservation_id": True}, "os:scheduler_hints": {
            "zone_capabilities": "gpu=a100"}})["reservation_id"]

    def active() -> list[dict[str, Any]]:
        found = [one for one in client.servers(reservation_id=made) if one["status"] == "ACTIVE"]
        return found if len(found) == 3 else []
    found = wait_for("all three", active)
    assert sorted(one["name"] for one in found) == ["batch-1", "batch-2", "batch-3"]
    for one in found:
        assert zones.where(one["id"]) == [LEAF]


def test_availability_zones_are_visible_and_valid(zones: Tree, client: Client) -> None:
    assert {"west", "west/nova", f"west/{LEAF}", f"west/{LEAF}/nova"} <= set(zone_names(client))
    near = client.boot("near", availability_zone="west/nova")
    client.wait(near, "ACTIVE")
    assert zones.where(near) == ["west"]
    far = client.boot("far", availability_zone=f"west/{LEAF}/nova")
    client.wait(far, "ACTIVE")
    assert zones.where(far) == [LEAF]
    assert client.show(far)["OS-EXT-AZ:availability_zone"] == f"west/{LEAF}/nova"
