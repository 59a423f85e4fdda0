"""Links by the API: what is shown, to whom, and that no answer ever holds a credential."""

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.compute_api import Answer, Api, fault
from tests.server_rows import add_server
from zones.api.compute.zone_routes import ZONE_ROUTES
from zones.db import leases, links
from zones.db.engine import Database
from zones.errors import Unavailable
from zones.neighbours.adding import Means
from zones.protocol.neighbours import Info, ServerDoc

EAST = "11111111-1111-4111-8111-111111111111"
GPU = "22222222-2222-4222-8222-222222222222"
NEW = {"api_url": "http://east:8774", "username": "peer-top", "password": "hush-hush"}
ENTRIES = {
    EAST: {"name": "east", "age": 3.0, "load": {"hosts": 4, "servers": 9}, "classes": [
        {"availability_zone": "nova", "hosts": 4, "capabilities": {"hypervisor": ["kvm", "qemu"]}}]},
    GPU: {"name": "gpu", "age": 95.0, "path": ["gpu"], "load": {"hosts": 1}, "classes": [
        {"availability_zone": "nova", "hosts": 1, "capabilities": {"gpu": ["a100"]}}]}}


class _Zone:
    def info(self, etag: str | None) -> tuple[Info | None, str]:
        return Info("east", EAST, "e", 1, {"min": 1, "max": 1}), ""

    def document(self, server_id: str) -> ServerDoc | None:
        return None

    def close(self) -> None:
        """Nothing is open."""


class Desk:
    """The API of a zone whose one neighbour is `east`; `told` counts what others heard of changes."""

    def __init__(self, db: Database) -> None:
        self.db, self.told = db, 0
        self.own = db.run(leases.ensure_zone, "top")["uuid"]
        self.down = False
        means = Means(self._discover, lambda link: _Zone(), lambda text: text[::-1],
                      lambda text: text[::-1], self.own)
        self.api = Api(db, more={"links_changed": self._changed, "adding": means})

    def _discover(self, api_url: str, cacert: str) -> str:
        if self.down:
            raise Unavailable("the endpoint does not answer")
        return "http://east:8774/identity"

    def _changed(self) -> None:
        self.told += 1

    def add(self, **values: Any) -> dict[str, Any]:
        answer = self.api("POST", "/os-zones", {"zone": {**NEW, **values}})
        assert answer.status == 201, answer
        return dict(answer.body["zone"])


@pytest.fixture
def desk(sqlite_database: Database) -> Desk:
    return Desk(sqlite_database)


def test_a_link_is_made_shown_and_told(desk: Desk) -> None:
    zone = desk.add(weight_offset="1.5")
    assert zone == {
        "id": zone["id"], "name": "east", "api_url": "http://east:8774/v2.1", "uuid": EAST,
        "relation": "child", "weight_offset": 1.5, "weight_scale": 1.0, "state": "enabled",
        "is_active": False, "reason": None, "message": None, "last_seen": None, "capabilities": "",
        "servers": 0}
    assert desk.told == 1
    for path in (f"/os-zones/{zone['id']}", f"/zones/{zone['id']}", "/os-zones/east"):
        assert desk.api.get(path) == {"zone": zone}
    for path in ("/os-zones", "/os-zones/detail", "/zones", "/zones/detail"):
        assert desk.api.get(path, at="2.1") == {"zones": [zone]}


def test_health_offer_and_servers_are_shown(desk: Desk) -> None:
    zone = desk.add()
    desk.db.run(links.note_poll, EAST, is_active=True, seen_at=1e9, summary=ENTRIES, summary_at=1e9)
    add_server(desk.db, zone_uuid=EAST)
    shown = desk.api.get(f"/os-zones/{zone['id']}")["zone"]
    assert (shown["is_active"], shown["last_seen"], shown["capabilities"], shown["servers"]) == (
        True, "2001-09-09T01:46:40.000000", "gpu=a100, hypervisor=kvm;qemu", 1)
    assert desk.api.get("/os-zones")["zones"] == [shown]


def test_no_answer_holds_a_credential(desk: Desk) -> None:
    zone = desk.add(auth_url="http://id:5000/v3", cacert="PEM-TEXT", project="secret-project")
    path = f"/os-zones/{zone['id']}"
    answers = [desk.api("GET", "/os-zones"), desk.api("GET", path), desk.api("GET", "/os-zones/tree"),
               desk.api("PUT", path, {"zone": {"password": "hush-again"}}),
               desk.api("POST", f"{path}/action", {"drain": None}),
               desk.api("POST", "/os-zones", {"zone": NEW}),
               desk.api("PUT", path, {"zone": {"api_url": "http://peer-top:hush-hush@east"}}),
               desk.api("PUT", path, {"zone": {"password": ["hush-hush"]}}),
               desk.api("PUT", path, {"zone": {"password": "hush-hush", "x": 1}}),
               desk.api("PUT", path, {"zone": {"password": "hush-hush"}, "x": 1})]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 202, 409, 400, 400, 400, 400]
    for answer in answers:
        text = orjson.dumps(answer.body).decode()
        assert not [secret for secret in ("hush", "peer-top", "PEM-TEXT", "secret-project", "5000")
                    if secret in text], text


def test_weights_can_be_zero_and_health_is_not_set_by_hand(desk: Desk) -> None:
    path = f"/os-zones/{desk.add(weight_offset=3)['id']}"
    answer = desk.api("PUT", path, {"zone": {"weight_offset": 0, "weight_scale": "0.0", "name": "e2"}})
    assert (answer.status, answer.body["zone"]["weight_offset"], answer.body["zone"]["weight_scale"],
            answer.body["zone"]["name"], desk.told) == (200, 0.0, 0.0, "e2", 2)
    for bad in ({"is_active": True}, {"uuid": GPU}, {"id": 7}, {"state": "enabled"}, {}):
        assert desk.api("PUT", path, {"zone": bad}).status == 400
    assert desk.told == 2


@pytest.mark.parametrize(("action", "state"), [
    ("cordon", "cordoned"), ("drain", "draining"), ("uncordon", "enabled")])
def test_actions(desk: Desk, action: str, state: str) -> None:
    path = f"/os-zones/{desk.add()['id']}"
    answer = desk.api("POST", f"{path}/action", {action: None})
    assert (answer.status, answer.body["zone"]["state"], desk.told) == (202, state, 2)


def test_a_link_with_servers_is_deleted_by_force(desk: Desk) -> None:
    path = f"/os-zones/{desk.add()['id']}"
    add_server(desk.db, zone_uuid=EAST)
    assert "servers behind it (1)" in fault(desk.api("DELETE", path))
    assert desk.api("DELETE", f"{path}?force=maybe").status == 400
    assert desk.api("DELETE", f"{path}?force=true").status == 204
    assert desk.api("GET", path).status == 404
    assert desk.told == 2


@pytest.mark.parametrize("which", ["99", "x", "-1", "1e3", "9" * 11, "%00", "..%2f1", "%D9%A3"])
def test_what_is_not_there_is_404_whatever_it_is_called(desk: Desk, which: str) -> None:
    desk.add()
    calls: list[Callable[[], Answer]] = [
        lambda: desk.api("GET", f"/os-zones/{which}"),
        lambda: desk.api("PUT", f"/os-zones/{which}", {"zone": {"weight_offset": 1}}),
        lambda: desk.api("POST", f"/os-zones/{which}/action", {"drain": None}),
        lambda: desk.api("DELETE", f"/os-zones/{which}")]
    for call in calls:
        assert call().status in ((404, 400) if which == "%00" else (404,))


@pytest.mark.parametrize("body", [
    None, [], {}, {"zone": []}, {"zone": {}}, {"zone": {**NEW, "x": 1}},
    {"zone": {**NEW, "relation": "peer"}}, {"zone": {**NEW, "no_check": "x"}},
    {"zone": {**NEW, "weight_offset": "nan"}}, {"zone": {**NEW, "weight_scale": 1e10}},
    {"zone": {**NEW, "weight_scale": "9999999999"}}, {"zone": {**NEW, "password": ""}},
    {"zone": {**NEW, "username": "a\0"}}, {"zone": {**NEW, "name": "a/b"}},
    {"zone": {**NEW, "api_url": "http://u:p@east"}}, {"zone": {**NEW, "api_url": "ftp://east"}}])
def test_a_body_that_makes_no_sense_is_refused(desk: Desk, body: Any) -> None:
    answer = desk.api("POST", "/os-zones", body)
    assert answer.status == 400, answer
    assert (desk.told, desk.db.run(links.rows)) == (0, [])


def test_a_neighbour_that_is_away_is_stored_only_unchecked(desk: Desk) -> None:
    desk.down = True
    answer = desk.api("POST", "/os-zones", {"zone": NEW})
    assert answer.status == 503
    assert "--no-check" in fault(answer)
    assert desk.add(no_check=True)["uuid"] is None


def test_the_tree_shows_this_zone_its_links_and_all_below(desk: Desk) -> None:
    desk.add()
    desk.add(api_url="http://far:1", no_check=True)
    at = desk.db.run(leases.now)
    desk.db.run(links.note_poll, EAST, is_active=True, summary=ENTRIES, summary_at=at)
    desk.db.run(leases.save_summary, {
        "zones": {desk.own: {"name": "top", "load": {"hosts": 2, "servers": 1}}}})
    zones = desk.api.get("/os-zones/tree")["zones"]
    assert [(zone["name"], zone["uuid"], zone["path"], zone["is_active"], zone["hosts"], zone["servers"])
            for zone in zones] == [
        ("top", desk.own, [], True, 2, 1), ("east", EAST, ["east"], True, 4, 9),
        ("gpu", GPU, ["east", "gpu"], False, 1, 0), ("far", None, ["far"], False, None, None)]
    assert 3.0 <= zones[1]["age"] < 60.0
    assert desk.api.get("/zones/tree")["zones"][0]["name"] == "top"


def test_only_administrators_see_or_touch_links(desk: Desk) -> None:
    for path, methods in ZONE_ROUTES.items():
        for method in methods:
            if path.split("/")[2:3] not in (["info"], ["boot"]):
                for who in ("ann", "reader"):
                    asked = re.sub(r"\{\w+\}", "1", path)
                    assert desk.api(method, asked, {}, who=who).status == 403, (method, path)
