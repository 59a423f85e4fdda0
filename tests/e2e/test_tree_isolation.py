"""What is somebody's stays theirs: two parents of one zone with projects of the same id, on three levels.

`red` and `blue` are both parents of `mid`, which is the parent of `leaf`; the very same project id is in
all four. Every route of every API is asked with other people's ids, by everybody who might try.
"""

import base64
import json
import re
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import intruders
from tests.e2e.intruders import Asked, Intruder
from tests.treekit import NO_HOSTS, Tree, tree
from tests.zonekit import HOME, Client, Failed, wait_for
from zones.api.rules import PEER_SERVERS, PEER_ZONES
from zones.protocol.neighbours import ASKER, OPERATION, ORIGIN, VALUES, Origin, pack_origin

SAME = "5a3e5a3e5a3e5a3e5a3e5a3e5a3e5a3e"
"""The project id that is in every zone."""
ZONES = ("red", "blue", "mid", "leaf")
OPTIONS = {"hosts": "2", "vcpus": "32", "ram": "32768", "disk": "400"}
PASSWORD, SCRIPT, NAME = "Admin-Pass.of.", "user-data-of-", "server-of-"


@dataclass
class World:
    """The tree, who is in it, what they have, and every answer that an intruder got."""

    zones: Tree
    users: dict[str, Client] = field(default_factory=dict)
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    """Whose → the parameters of paths that name what is theirs."""
    kept: list[str] = field(default_factory=list)

    def intruder(self, zone: str, token: str, **headers: str) -> Intruder:
        return Intruder(self.zones[zone].url, token, {k.replace("_", "-"): v for k, v in headers.items()},
                        self.kept)

    def user(self, who: str) -> Intruder:
        """`zone/project`, with every header that a zone would believe of a peer."""
        return self.intruder(who.partition("/")[0], self.users[who].token, **self.forged())

    def peer(self, parent: str, child: str, origin: Origin | None = None, **headers: str) -> Intruder:
        """The peer's user itself."""
        login = self.zones.peers[parent, child]
        client = Client(self.zones[child].url, login.username, login.password, login.options["project"])
        client.log_in()
        told = {ORIGIN: pack_origin(origin)} if origin else {}
        return self.intruder(child, client.token, **told, **headers)

    def forged(self) -> dict[str, str]:
        return {ORIGIN: pack_origin(Origin(SAME, "ann", ["admin"])), ASKER: self.uuid("red"),
                OPERATION: str(uuid.uuid4()), "X_Zone_Anything": "1"}

    def uuid(self, zone: str) -> str:
        return str(self.zones.admin(zone).call("GET", "/os-zones/info")["zone"]["uuid"])

    def sql(self, zone: str, query: str, *values: Any) -> list[Any]:
        with sqlite3.connect(self.zones[zone].folder / "data" / "zone.sqlite", timeout=20) as conn:
            return conn.execute(query, values).fetchall()

    def inner(self, parent: str, project: str) -> str:
        """The id that a parent's project has in `mid`."""
        (peer_id,), = self.sql("mid", "SELECT id FROM peer WHERE name = ?", parent)
        return uuid.uuid5(uuid.UUID(peer_id), project).hex


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with tree(tmp_path_factory.mktemp("tree"),
              {"red": {}, "blue": {}, "mid": OPTIONS, "leaf": OPTIONS},
              [("mid", "leaf"), ("red", "mid"), ("blue", "mid")],
              capabilities={"leaf": ["gpu=a100"]}, roles={"red": NO_HOSTS, "blue": NO_HOSTS}) as zones:
        made = World(zones)
        for zone in ZONES:
            enter(made, zone, "same", SAME)
        enter(made, "red", "other", uuid.uuid4().hex)
        below = {"hints": {"zone_capabilities": "gpu=a100"}}
        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(settle, made, who, more, **where) for who, more, where in (
                    ("red/same", "", below), ("blue/same", "", below), ("red/other", "", below),
                    ("leaf/same", "", {}), ("mid/same", "", {"availability_zone": "nova"}),
                    ("red/same", " in mid", {"availability_zone": "mid/nova"}))]:
                done.result()
        yield made


def enter(world: World, zone: str, project: str, project_id: str) -> None:
    """A member of a project that has this id, which no API would let anybody choose."""
    admin = world.zones.admin(zone)
    world.sql(zone, "INSERT INTO project (id, name, enabled, created_at) VALUES (?, ?, 1, 1.0)",
              project_id, project)
    user = admin.call("POST", "identity/v3/users", {"user": {
        "name": f"user-{project}", "password": f"User-Pass.{zone}.{project}"}})["user"]
    roles = admin.call("GET", "identity/v3/roles")["roles"]
    member = next(role["id"] for role in roles if role["name"] == "member")
    admin.call("PUT", f"identity/v3/projects/{project_id}/users/{user['id']}/roles/{member}")
    client = Client(world.zones[zone].url, f"user-{project}", f"User-Pass.{zone}.{project}", project)
    client.log_in()
    world.users[f"{zone}/{project}"] = client
    world.things[f"{zone}/{project}"] = {"project_id": project_id, "user_id": user["id"]}


def settle(world: World, who: str, more: str = "", **where: Any) -> None:
    """A server with secrets, a key, a group and an image, of this user."""
    client, marked = world.users[who], f"{who}{more}".replace("/", "-").replace(" ", "-")
    script = base64.b64encode(f"{SCRIPT}{marked}".encode()).decode()
    client.call("POST", "/os-keypairs", {"keypair": {"name": f"key-of-{marked}", "type": "ssh"}})
    group = client.call("POST", "/os-server-groups", {"server_group": {
        "name": f"group-of-{marked}", "policy": "soft-anti-affinity"}})["server_group"]["id"]
    server = client.boot(f"{NAME}{marked}", user_data=script, adminPass=f"{PASSWORD}{marked}",
                         key_name=f"key-of-{marked}", metadata={"of": marked}, tags=[marked], **where)
    client.wait(server, "ACTIVE")
    image = client.act(server, "createImage", {"name": f"image-of-{marked}"})["image_id"]
    wait_for("the image", lambda: client.call("GET", f"image/v2/images/{image}")["status"] == "active")
    client.wait(server, "ACTIVE")
    world.things[f"{who}{more}"] = {
        **world.things[who], "server_id": server, "image_id": image, "id": group,
        "marked": marked, "key": "of", "tag": "x", "network": "private"}


VICTIMS = ("red/same", "red/same in mid", "blue/same", "red/other", "mid/same", "leaf/same")


def theirs(world: World, victims: tuple[str, ...]) -> dict[str, list[Any]]:
    """What the owners see of their things, and what the hypervisors have."""
    found: dict[str, list[Any]] = {}
    for who in victims:
        things, client = world.things[who], world.users[who.split(" ")[0]]
        shown = client.show(things["server_id"])
        image = client.call("GET", f"image/v2/images/{things['image_id']}")
        guest = [{name: row[name] for name in ("server", "attempt", "power", "machine")}
                 for zone in ("mid", "leaf") for row in world.zones[zone].guest_rows()
                 if row["server"] == things["server_id"]]
        found[who] = [{name: shown[name] for name in (
                          "status", "name", "metadata", "tags", "locked", "flavor")},
                      {name: image[name] for name in ("status", "name", "tags", "visibility", "checksum")},
                      guest, client.call("GET", f"/os-server-groups/{things['id']}"),
                      sorted(one["id"] for one in client.servers())]
    return found


def assert_nothing_of(world: World, victim: str, answer: intruders.Answer, asked: Asked) -> None:
    """Neither a failure nor a word of what is the victim's."""
    things = world.things[victim]
    assert answer.status < 500 or answer.status == 501, (asked.label, answer)
    if asked.path.startswith(intruders.SERVER):
        assert answer.status in (400, 403, 404, 409, 501), (asked.label, answer)
        assert answer.status not in (409, 501) or asked.path != intruders.SERVER, (asked.label, answer)
    if answer.status < 400:
        for name in ("marked", "server_id", "image_id", "id"):  # but for what was asked for
            assert f"{{{name}}}" in asked.path or things[name] not in answer.text, (asked.label, answer)


def assault(world: World, intruder: Intruder, victim: str, asked: list[Asked], prefix: str = "") -> None:
    before = theirs(world, (victim,))
    for one in asked:
        assert_nothing_of(world, victim, intruder.try_on(one, world.things[victim], prefix), one)
    assert theirs(world, (victim,)) == before


# ------------------------------------------------------------------ users

@pytest.mark.parametrize(("who", "victim"), [
    ("blue/same", "red/same"), ("red/other", "red/same"), ("red/same", "blue/same"),
    ("mid/same", "red/same"), ("mid/same", "red/same in mid"), ("mid/same", "blue/same"),
    ("leaf/same", "red/same"), ("leaf/same", "blue/same"), ("red/same", "mid/same")])
def test_users_reach_nothing_of_others(world: World, who: str, victim: str) -> None:
    """Also with the headers of a peer, which make nobody one."""
    intruder = world.user(who)
    assault(world, intruder, victim, [one for one in [*intruders.compute(), *intruders.others()]
                                      if one.label != "DELETE identity/v3/auth/tokens "])
    of_servers = list(intruders.on_servers())
    assault(world, intruder, victim, of_servers[:8], prefix=f"/{SAME}")


def test_a_list_shows_each_its_own(world: World) -> None:
    for who, client in world.users.items():
        own = {things["server_id"] for victim, things in world.things.items()
               if victim.split(" ")[0] == who and "server_id" in things}
        assert {one["id"] for one in client.servers()} == own, who
        assert {one["id"] for one in client.servers(all_tenants="0", tenant_id=SAME)} == own, who


def test_administrators(world: World) -> None:
    """One of a parent sees that parent; one of a child all that is in it, as today."""
    ids = {who: things["server_id"] for who, things in world.things.items() if "server_id" in things}
    seen = {zone: {one["id"] for one in world.zones.admin(zone).servers(all_tenants="1")} for zone in ZONES}
    of = {zone: {ids[who] for who in ids if who.startswith(zone)} for zone in ZONES}
    assert seen["red"] == of["red"] and seen["blue"] == of["blue"]
    assert seen["mid"] == of["red"] | of["blue"] | of["mid"]
    assert seen["leaf"] == (seen["mid"] | of["leaf"]) - {ids["red/same in mid"], ids["mid/same"]}
    assert world.zones.admin("mid").show(ids["red/same"])["tenant_id"] == world.inner("red", SAME)
    red = world.zones.admin("red")
    red.log_in()
    assault(world, world.intruder("red", red.token, **world.forged()), "blue/same",
            list(intruders.on_servers()))


def test_values_are_for_peers(world: World) -> None:
    user = world.user("mid/same")
    own = world.things["mid/same"]["server_id"]
    answer = user.ask("POST", f"/compute/v2.1/servers/{own}/action",
                      {"resize": {"flavorRef": "2"}, VALUES: {"image_id": str(uuid.uuid4())}})
    assert answer.status == 400, answer


# ------------------------------------------------------------------ the peer itself

@pytest.mark.parametrize("claimed", ["nothing", "member", "admin", "inner", "local"])
@pytest.mark.parametrize("victim", ["red/same", "red/same in mid", "mid/same"])
def test_a_peer_reaches_only_what_it_booted(world: World, claimed: str, victim: str) -> None:
    origin = {"nothing": None, "member": Origin(SAME, "ann", ["member"]),
              "admin": Origin(SAME, "ann", ["admin", "service", "zone_peer"]),
              "inner": Origin(world.inner("red", SAME), "ann", ["admin", "member"]),
              "local": Origin("admin", "ann", ["admin"])}[claimed]
    peer = world.peer("blue", "mid", origin)
    assault(world, peer, victim, list(intruders.on_servers()))
    things = world.things[victim]
    before = theirs(world, (victim,))
    for path in (f"/changes/{things['server_id']}", f"/images/{things['image_id']}/file"):
        answer = peer.ask("GET", f"/compute/v2.1/os-zones{path}")
        assert answer.status == 404, (path, answer)
    quiet = peer.ask("DELETE", f"/compute/v2.1/os-zones/images/{things['image_id']}")
    assert quiet.status == 204, "what is not a peer's is gone for it"
    put = peer.ask("PUT", f"/compute/v2.1/os-zones/images/{things['image_id']}/file", {},
                   **{"Content-Range": "bytes 0-1/2"})
    assert put.status == 404, put
    gone = peer.ask("DELETE", f"/compute/v2.1/os-zones/boot/{things['server_id']}?attempt={uuid.uuid4()}")
    assert gone.status == 200, "that attempt is refused for ever; the server is another's"
    assert theirs(world, (victim,)) == before
    peer.kept = []  # its own user's data is in its own feed
    heard = peer.ask("GET", "/compute/v2.1/os-zones/changes")
    assert heard.status == 200 and things["marked"] not in heard.text
    assert world.things["blue/same"]["server_id"] in heard.text


def test_a_peer_takes_no_id_that_is_anothers(world: World) -> None:
    peer = world.peer("blue", "mid")
    spec = {"id": world.things["red/same"]["server_id"], "name": "mine", "project_id": SAME, "user_id": "ann",
            "flavor": {"id": "1", "name": "m1", "vcpus": 1, "ram": 64, "disk": 1},
            "image": {"id": str(uuid.uuid4()), "os_hash_value": "0" * 128, "size": 1}, "path": []}
    answer = peer.ask("POST", "/compute/v2.1/os-zones/boot",
                      {"boots": [{"attempt": str(uuid.uuid4()), "spec": spec}]})
    found = json.loads(answer.text)["answers"][0]
    assert (found["state"], found["code"]) == ("refused", "held"), answer
    make = {"createImage": {"name": "x"}, VALUES: {"image_id": world.things["red/same"]["image_id"]}}
    owner = world.peer("blue", "mid", Origin(SAME, "ann", ["member"]))
    own = world.things["blue/same"]["server_id"]
    refused = owner.ask("POST", f"/compute/v2.1/servers/{own}/action", make)
    assert refused.status == 409, refused
    assert theirs(world, ("red/same",))["red/same"][1]["name"] == "image-of-red-same"


@pytest.mark.parametrize("claimed", [[], ["admin", "member", "reader", "service"]])
def test_a_peer_is_no_administrator(world: World, claimed: list[str]) -> None:
    """No route outside its own list, whatever it says of its user."""
    peer = world.peer("blue", "mid", Origin(SAME, "ann", claimed))
    own = {"own_token", "own_project", "own_user", "own_role_assignments", "own_application_credentials",
           "get_auth_catalog", "get_auth_projects", "get_auth_domains", "list_domains", "get_domain"}
    allowed = {*PEER_SERVERS, *PEER_ZONES, *(f"identity:{name}" for name in own), None}
    for asked in [*intruders.compute(), *intruders.others()]:
        if asked.rule not in allowed:
            answer = peer.try_on(asked, world.things["mid/same"])
            server = asked.path.startswith(intruders.SERVER)
            assert answer.status == 403 or (server and answer.status in (400, 404)), (asked.label, answer)


def test_a_token_for_no_project_is_no_way_round(world: World) -> None:
    """A peer's user that logs in without its project has no roles, and is nobody at all here."""
    login = world.zones.peers["blue", "mid"]
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": login.username, "domain": {"id": "default"}, "password": login.password}}},
        "scope": "unscoped"}}
    found = world.intruder("mid", "").ask("POST", "/identity/v3/auth/tokens", body)
    assert found.status == 201, found
    unscoped = world.intruder("mid", found.headers["X-Subject-Token"], **world.forged())
    for asked in intruders.compute():
        if asked.rule is not None and asked.method != "GET":
            assert unscoped.try_on(asked, world.things["red/same"]).status in (400, 403, 404), asked.label


@pytest.mark.parametrize("text", [
    "", "!", "A" * 5000, base64.urlsafe_b64encode(b'{"project_id": 5}').decode(),
    base64.urlsafe_b64encode(b'{"project_id":"p","user_id":"u","x":' + b"[" * 2900).decode(),
    pack_origin(Origin("../x", "ann")), pack_origin(Origin("p", "a\nb")), pack_origin(Origin("", ""))])
def test_no_origin_is_a_failure(world: World, text: str) -> None:
    peer = world.peer("blue", "mid", None, **{ORIGIN: text})
    answer = peer.ask("GET", f"/compute/v2.1/servers/{world.things['red/same']['server_id']}")
    assert answer.status in (400, 404), answer


# ------------------------------------------------------------------ paths

TRICKS = (
    "..%2f{other}", "%2e%2e", "%2e%2e%2f%2e%2e%2f{other}", "..", "%252e%252e%252f{other}", "..%252f{other}",
    "%2e", "x;/../{other}", "x%3b..%2f{other}", "%00", "%2500", "x%0d%0aHost:%20evil", "x%3fmarker=1", "x%23",
    "%e2%98%83", "%c0%ae%c0%ae%2f", "%ff", "x" * 1900, "%2F%2F{other}", "\\..\\{other}", "%5c..%5c{other}",
    "x%20HTTP/1.1", "?/../{other}", ".%09.")
FORWARDED = (("PUT", "tags"), ("DELETE", "tags"), ("DELETE", "metadata"), ("GET", "os-instance-actions"),
             ("DELETE", "os-interface"), ("DELETE", "os-volume_attachments"), ("PUT", "metadata"))


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_leads_to_another_resource(world: World, trick: str) -> None:
    """What arrives at the zones below is always about the server that was named, and what it was about."""
    own, other = (world.things[who]["server_id"] for who in ("red/same", "red/other"))
    before, marks = theirs(world, ("red/other", "blue/same")), {
        zone: len(log_of(world, zone)) for zone in ("mid", "leaf")}
    user = world.user("red/same")
    for method, below in FORWARDED:
        body = {"meta": {"x": "1"}} if (method, below) == ("PUT", "metadata") else None
        answer = user.ask(method, f"/compute/v2.1/servers/{own}/{below}/{trick.format(other=other)}", body)
        assert answer.status < 500 or answer.status == 501, (method, below, answer)
        assert world.things["red/other"]["marked"] not in answer.text
        assert user.ask(method, f"/compute/v2.1/servers/{trick.format(other=other)}").status < 500
    for zone, mark in marks.items():
        for path in re.findall(r"(?:PUT|DELETE|GET) (/v2\.1/servers/\S*)", log_of(world, zone)[mark:]):
            assert re.match(rf"/v2\.1/servers/{own}(/(tags|metadata|os-instance-actions|os-interface|"
                            r"os-volume_attachments)(/[^/]+)?)?$", path.split("?")[0]), (zone, path)
            assert other not in path.split("/")[3]
    assert theirs(world, ("red/other", "blue/same")) == before
    user.ask("DELETE", f"/compute/v2.1/servers/{own}/tags")
    user.ask("PUT", f"/compute/v2.1/servers/{own}/tags", {"tags": ["red-same"]})
    user.ask("PUT", f"/compute/v2.1/servers/{own}/metadata", {"metadata": {"of": "red-same"}})


def log_of(world: World, zone: str) -> str:
    return world.zones[zone].processes["zone"].log.read_text(errors="replace")


# ------------------------------------------------------------------ secrets

def secrets_of(world: World) -> dict[str, str]:
    """All that is nobody else's to read, in the clear and sealed, with what it is."""
    found = {peer.password: f"password of {pair}" for pair, peer in world.zones.peers.items()}
    for who, client in [*world.users.items(), *((zone, world.zones.admin(zone)) for zone in ZONES)]:
        found |= {client.password: f"password of {who}", client.token: f"token of {who}"}
    for things in world.things.values():
        if "marked" in things:
            script = f"{SCRIPT}{things['marked']}"
            found |= {f"{PASSWORD}{things['marked']}": "admin password", script: "user data",
                      base64.b64encode(script.encode()).decode(): "user data"}
    for zone in ZONES:
        keys = (world.zones[zone].folder / "data" / "seal.keys").read_text().split()
        found |= dict.fromkeys(keys, f"seal key of {zone}")
        found |= {password: f"sealed password in {zone}" for (password,) in
                  world.sql(zone, "SELECT password FROM link")}
        for (spec,) in world.sql(zone, "SELECT spec FROM server"):
            sealed = json.loads(spec).get("admin_pass")
            found |= {sealed: f"sealed admin password in {zone}"} if sealed else {}
    return {secret: what for secret, what in found.items() if secret}


def test_no_secret_is_in_an_answer_or_a_log(world: World) -> None:
    """After all of the above."""
    answers = "\n".join(world.kept)
    assert len(world.kept) > 1000
    for zone in ZONES:
        for asked in ("/os-zones", "/os-zones/detail", "/os-zones/tree", "/os-zones/info"):
            answers += json.dumps(world.zones.admin(zone).call("GET", asked))
    logs = {zone: log_of(world, zone) for zone in ZONES}
    assert all("zones.access" in log or " 404 " in log for log in logs.values())
    for secret, what in secrets_of(world).items():
        if not what.startswith("token"):  # a login's answer is its own token
            assert secret not in answers, what
        for zone, log in logs.items():
            assert secret not in log, (what, zone)


def test_secrets_are_sealed_at_rest(world: World) -> None:
    plain = {secret: what for secret, what in secrets_of(world).items()
             if what == "admin password" or what.startswith(("password of", "token of"))}
    for zone in ZONES:
        for path in sorted((world.zones[zone].folder / "data").rglob("*")):
            # what a host is to build with stands in its own ledger, which nobody but the host has
            if path.is_file() and path.name not in ("openrc", "clouds.yaml") and "ledger" not in path.name:
                content = path.read_bytes()
                for secret, what in plain.items():
                    assert secret.encode() not in content, (what, path)


# ------------------------------------------------------------------ the end of a peer

def test_a_peer_that_was_let_in_no_more_is_out(world: World) -> None:
    peer = world.peer("blue", "mid", Origin(SAME, "ann", ["member"]))
    path = f"/compute/v2.1/servers/{world.things['blue/same']['server_id']}"
    assert peer.ask("GET", path).status == 200
    zone_admin(world.zones["mid"].config, "peer-delete", "blue", "--force")
    wait_for("it is out", lambda: peer.ask("GET", path).status in (401, 403), seconds=4)
    for each in ("/os-zones/changes", "/os-zones/info", f"/os-zones/changes/{uuid.uuid4()}"):
        assert peer.ask("GET", f"/compute/v2.1{each}").status in (401, 403)
    with pytest.raises(OSError, match="401"):
        world.peer("blue", "mid")
    assert world.users["red/same"].show(world.things["red/same"]["server_id"])["status"] == "ACTIVE"
    with pytest.raises(Failed):
        world.users["blue/same"].act(world.things["blue/same"]["server_id"], "os-stop")


def zone_admin(config: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, str(HOME / "bin" / "zone-admin"), "--config-file", str(config),
                           *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
