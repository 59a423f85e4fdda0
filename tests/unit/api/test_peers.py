"""A peer is believed about its own users only: what it says of itself opens nothing here."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import webob

from tests.server_rows import FarEnds, add_server, core_of, server_row
from zones.api.compute.actions import ACTIONS
from zones.api.compute.parts import Parts
from zones.api.compute.routes import ROUTES, V21
from zones.api.compute.versions import DIALECT
from zones.api.peers import PeerGate
from zones.api.policy import Policy
from zones.api.rules import PEER_SERVERS, PEER_ZONES
from zones.api.wsgi import Call, Reply, Route, Service
from zones.config import Config
from zones.db import peers
from zones.db.engine import Database
from zones.errors import Forbidden, Invalid, Unavailable
from zones.protocol import Caller
from zones.protocol.neighbours import ASKER, MEANT, OPERATION, ORIGIN, Origin, pack_origin

TOKENS = {
    "ann": Caller(user_id="ann", project_id="p1", roles=frozenset({"member"}), user_name="ann"),
    "boss": Caller(user_id="boss", project_id="p1", roles=frozenset({"admin"})),
    "top": Caller(user_id="peer-top", project_id="zone-peers", roles=frozenset({"zone_peer", "admin"})),
    "side": Caller(user_id="peer-side", project_id="zone-peers", roles=frozenset({"zone_peer"})),
    "nobody": Caller(user_id="stray", project_id="zone-peers", roles=frozenset({"zone_peer", "admin"})),
}
REQUEST_ID = "req-0a1b2c3d-1111-4222-8333-444455556666"
ORIGIN_ADMIN = Origin(project_id="abc", user_id="ann", roles=["admin", "member", "zone_peer", "service"],
                      user_name="Ann", request_id=REQUEST_ID)


OWN = "11111111-1111-4111-8111-111111111111"


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Desk:
    """A gate on a database with two peers: `top`, foreign, and `side`, which shares our projects."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, _Clock()
        self.ids = {name: str(uuid.uuid4()) for name in ("top", "side")}
        for name, identity in (("top", peers.FOREIGN), ("side", peers.SHARED)):
            db.run(peers.add, {"id": self.ids[name], "name": name, "identity": identity, "created_at": 1.0})
            db.run(peers.add_user, self.ids[name], f"peer-{name}")
        self.gate = PeerGate(lambda request: TOKENS[request.headers["X-Auth-Token"]], db, self.clock,
                             own_uuid=OWN)

    def request(self, who: str, origin: Origin | str | None = None, method: str = "GET", path: str = "/",
                **headers: str) -> webob.Request:
        told = pack_origin(origin) if isinstance(origin, Origin) else origin
        return webob.Request.blank(path, method=method, headers={
            "X-Auth-Token": who, **({} if told is None else {ORIGIN: told}),
            **{name.replace("_", "-"): value for name, value in headers.items()}})

    def caller(self, who: str, origin: Origin | str | None = None) -> Caller:
        return self.gate(self.request(who, origin))


@pytest.fixture
def desk(sqlite_database: Database) -> _Desk:
    return _Desk(sqlite_database)


@pytest.mark.parametrize("who", ["ann", "boss"])
def test_headers_of_anybody_else_are_not_even_seen(desk: _Desk, who: str) -> None:
    request = desk.request(who, ORIGIN_ADMIN, **{OPERATION: "op-1", ASKER: str(uuid.uuid4())})
    assert desk.gate(request) is TOKENS[who]
    assert not [name for name in request.headers if name.upper().startswith("X-ZONE")]
    assert desk.caller(who, "nonsense, not even base64") is TOKENS[who]


def test_a_peer_that_means_another_zone_is_told_that_nothing_was_done(desk: _Desk) -> None:
    with pytest.raises(Unavailable, match="another one was meant") as refused:
        desk.gate(desk.request("top", ORIGIN_ADMIN, **{MEANT: str(uuid.uuid4())}))
    assert refused.value.code == "other_zone"
    known = desk.caller("top", ORIGIN_ADMIN)
    for meant in (OWN, ""):
        assert desk.gate(desk.request("top", ORIGIN_ADMIN, **{MEANT: meant})) == known


def test_a_peers_user_is_that_peers_alone(desk: _Desk) -> None:
    caller = desk.caller("top", ORIGIN_ADMIN)
    top = {"id": desk.ids["top"], "identity": peers.FOREIGN}
    assert caller == Caller(
        user_id="ann", project_id=desk.db.run(peers.project_of, top, "abc"),
        roles=frozenset({"admin", "member", "zone_peer"}), user_name="Ann", owner_peer=desk.ids["top"],
        peer=desk.ids["top"], request_id=REQUEST_ID)
    assert caller.project_id != "abc"
    shared = desk.caller("side", ORIGIN_ADMIN)
    assert (shared.project_id, shared.owner_peer, shared.peer) == ("abc", "", desk.ids["side"])


def test_a_peer_without_a_user_has_no_project_and_no_role_but_its_own(desk: _Desk) -> None:
    caller = desk.caller("top")
    assert (caller.project_id, caller.roles, caller.peer, caller.owner_peer) == (
        "", frozenset({"zone_peer"}), desk.ids["top"], desk.ids["top"])


def test_who_stands_for_no_peer_in_force_may_nothing(desk: _Desk) -> None:
    with pytest.raises(Forbidden):
        desk.caller("nobody", ORIGIN_ADMIN)
    desk.caller("top")
    desk.db.run(peers.disable, desk.ids["top"])
    desk.clock.now = 1.9
    desk.caller("top")
    desk.clock.now = 2.0
    with pytest.raises(Forbidden, match="peer-create"):
        desk.caller("top")


@pytest.mark.parametrize("origin", [
    "", "!", "e30=", "A" * 5000, "ü", pack_origin(Origin("abc", "")), pack_origin(Origin("", "ann")),
    pack_origin(Origin("../abc", "ann")), pack_origin(Origin("abc", "a" * 65)),
    pack_origin(Origin("abc", "ann\n")), pack_origin(Origin("abc", "ann", user_name="a\0"))])
def test_an_origin_that_is_none_is_refused(desk: _Desk, origin: str) -> None:
    request = desk.request("top")
    request.environ["HTTP_X_ZONE_ORIGIN"] = origin.encode().decode("latin-1")
    if origin:
        with pytest.raises(Invalid):
            desk.gate(request)
    else:
        assert desk.gate(request).project_id == ""


@pytest.mark.parametrize("told", ["", "x", f"{REQUEST_ID}\n", f"req-{'0' * 36}", REQUEST_ID.upper()])
def test_a_request_id_that_is_none_is_not_taken_over(desk: _Desk, told: str) -> None:
    assert desk.caller("top", Origin("abc", "ann", request_id=told)).request_id == ""


def test_the_zone_that_calls_is_noted(desk: _Desk) -> None:
    zone = str(uuid.uuid4())
    desk.gate(desk.request("top", **{ASKER: zone}))
    desk.gate(desk.request("side", **{ASKER: "no uuid"}))
    assert {row["name"]: row["zone_uuid"] for row in desk.db.run(peers.rows)} == {"top": zone, "side": None}


# ------------------------------------------------------------------ what a peer may do

def _routes(servers: bool) -> Iterator[tuple[str, str, Route]]:
    for path, methods in V21.items():
        for method, route in methods.items():
            for one in route if isinstance(route, tuple) else (route,):
                if path.startswith("/servers/{server_id}") is servers and one.rule is not None:
                    yield method, path, one


OTHERS = [each for each in _routes(False) if each[2].rule not in PEER_ZONES]


def test_peers_may_exactly_what_stands_below_a_server() -> None:
    below = {route.rule for _, _, route in _routes(True)} | {action.rule for action in ACTIONS.values()}
    assert below | {"os_compute_api:servers:show:flavor-extra-specs"} == PEER_SERVERS
    assert PEER_SERVERS.isdisjoint({route.rule for _, _, route in OTHERS})


@pytest.mark.parametrize("who", ["top", "side"])
@pytest.mark.parametrize(("method", "path", "route"), OTHERS, ids=[" ".join(one[:2]) for one in OTHERS])
def test_no_other_route_opens_whatever_roles_are_claimed(
        desk: _Desk, who: str, method: str, path: str, route: Route) -> None:
    service = Service({f"/v2.1{path}": {method: route}}, None, DIALECT, desk.gate, Policy().may)
    request = desk.request(who, ORIGIN_ADMIN, method, re.sub(r"\{\w+\}", "x", f"/v2.1{path}"))
    request.headers["OpenStack-API-Version"] = "compute " + ".".join(map(str, max(route.since, (2, 1))))
    assert request.get_response(service).status_code == 403


@pytest.mark.parametrize("rule", [
    "os-extended-server-attributes", "servers:show:host_status", "servers:create:forced_host",
    "servers:detail:get_all_tenants", "servers:allow_all_filters", "os-instance-actions:events:details",
    "limits:other_project", "os-keypairs:any_user"])
def test_nothing_shows_a_peer_the_hosts_or_others(desk: _Desk, rule: str) -> None:
    assert not Policy().may(f"os_compute_api:{rule}", desk.caller("top", ORIGIN_ADMIN))


def test_a_forwarded_request_keeps_its_id_and_its_roles_open_what_they_should(desk: _Desk) -> None:
    seen: list[Any] = []

    def handler(call: Call) -> Reply:
        seen.append((call.caller.request_id, call.may("os_compute_api:os-server-diagnostics"),
                     call.may("os_compute_api:servers:index")))
        return Reply(200, {})
    service = Service({"/v2.1/servers/{server_id}": {"GET": Route(handler, "os_compute_api:servers:show")}},
                      None, DIALECT, desk.gate, Policy().may)
    answer = desk.request("top", Origin("abc", "ann", ["reader"], request_id=REQUEST_ID),
                          path="/v2.1/servers/x").get_response(service)
    assert (answer.status_code, orjson.loads(answer.body)) == (200, {})
    assert seen == [(REQUEST_ID, True, False)]
    assert answer.headers["X-Openstack-Request-Id"] != REQUEST_ID


@pytest.mark.parametrize("who", ["top", "side"])
@pytest.mark.parametrize(("method", "path"), sorted({(method, path) for method, path, _ in _routes(True)}))
def test_nothing_of_a_server_that_it_did_not_boot(desk: _Desk, who: str, method: str, path: str) -> None:
    server = add_server(desk.db, project_id="p1", tags=["t"], metadata={"key": "v"})
    parts = Parts(core=core_of(desk.db, FarEnds()), db=desk.db, config=Config(), hosts=list,
                  host_status=lambda host: "UP")
    service = Service(ROUTES, parts, DIALECT, desk.gate, Policy().may)
    origin = Origin("p1", "ann", ["admin"])
    place = re.sub(r"\{\w+\}", "key", f"/v2.1{path}".replace("{server_id}", server))
    for body in ({}, {"os-stop": None}, {"metadata": {}}, {"meta": {"key": "x"}}, {"tags": []},
                 {"server": {"name": "mine"}}):
        request = desk.request(who, origin, method, place)
        request.headers["OpenStack-API-Version"] = "compute 2.90"
        request.body = orjson.dumps(body)
        assert request.get_response(service).status_code in (400, 404)
    row = server_row(desk.db, server)
    assert (row["name"], row["vm_state"], row["task_state"], row["deleted"]) == ("vm", "active", None, False)
    assert (row["metadata"], row["tags"]) == ({"key": "v"}, ["t"])
