"""The routes of a tree that a child serves: who may call them, their bodies, and waiting for changes."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import compute_api
from tests.compute_api import Api, fault
from tests.peerkit import ChildZone, boot_of, child_zone, new_id
from tests.server_rows import IMAGE, zone_api
from zones.api.compute import zone_boot
from zones.api.compute.parts import Parts
from zones.api.compute.routes import ROUTES
from zones.api.compute.versions import DIALECT
from zones.api.policy import Policy
from zones.api.wsgi import Service
from zones.config import Config
from zones.db.engine import Database
from zones.protocol.neighbours import Handover
from zones.servers import feed


@pytest.fixture
def zone(shared_database: Database) -> ChildZone:
    return child_zone(shared_database)


@pytest.fixture
def api(zone: ChildZone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of that zone; `top` and `side` are peers, `moved` wakes who waits."""
    made = zone_api(zone.db, zone.ends)
    moved = feed.Moved()
    core = replace(made.core, zone_uuid=zone.core.zone_uuid)
    parts = Parts(core=core, db=zone.db, config=Config(data_dir=Path("unused")), hosts=list,
                  host_status=lambda host: "UP", moved=moved)
    made._service = Service(ROUTES, parts, DIALECT, made._authenticate, Policy().may)
    for name in ("top", "side"):
        monkeypatch.setitem(compute_api.CALLERS, name, zone.peer())
    yield made


def plain(*boots: Handover) -> dict[str, Any]:
    return {"boots": msgspec.to_builtins(list(boots))}


def test_boots_are_answered_in_order_and_read_by_their_peer_alone(api: Api, zone: ChildZone) -> None:
    boots = [boot_of(), boot_of(networks=[{"uuid": "x"}]), boot_of()]
    answer = api("POST", "/os-zones/boot", plain(*boots), who="top")
    assert answer.status == 200
    assert [(one["attempt"], one["state"]) for one in answer.body["answers"]] == [
        (boots[0].attempt, "accepted"), (boots[1].attempt, "refused"), (boots[2].attempt, "accepted")]
    assert zone.number() == 2
    found = api.get("/os-zones/changes?since=&wait=0&limit=10", who="top")
    assert {doc["id"] for doc in found["servers"]} == {boots[0].spec.id, boots[2].spec.id}
    nothing = api.get("/os-zones/changes", who="side")
    assert nothing.keys() <= {"cursor", "generation"}
    assert nothing["cursor"].endswith(f".{2 * feed.MARKS}")
    path = f"/os-zones/changes/{boots[0].spec.id}"
    assert api.get(path, who="top")["server"]["attempt"] == boots[0].attempt
    assert api("GET", path, who="side").status == 404
    assert api("GET", "/os-zones/changes/none-such", who="top").status == 404


def test_what_is_no_boot_is_refused_by_itself(api: Api) -> None:
    good, attempt = boot_of(), new_id()
    (well,) = plain(good)["boots"]
    boots = [{"attempt": attempt, "spec": {"id": 5}}, {"attempt": "x", "spec": well["spec"]}, well]
    answers = api("POST", "/os-zones/boot", {"boots": boots}, who="top").body["answers"]
    assert [(one["attempt"], one["state"], one.get("code")) for one in answers] == [
        (attempt, "refused", "bad_spec"), ("x", "refused", "bad_spec"), (good.attempt, "accepted", None)]
    bodies: tuple[Any, ...] = ({}, {"boots": 5}, {"boots": [5]}, {"boots": [{}]}, [], plain(*[good] * 65))
    for nonsense in bodies:
        assert fault(api("POST", "/os-zones/boot", nonsense, who="top"))
    assert api("POST", "/os-zones/boot", {"boots": []}, who="top").body == {"answers": []}


def test_a_batch_may_be_large_but_not_endless(api: Api) -> None:
    boots = [boot_of(user_data="a" * 65000) for _ in range(64)]
    body = plain(*boots)
    assert len(msgspec.json.encode(body)) > 4_000_000
    answer = api("POST", "/os-zones/boot", body, who="top")
    assert {one.get("state") for one in answer.body["answers"]} <= {"accepted", "refused"}
    assert api("POST", "/os-zones/boot", b"[" + b" " * zone_boot.MAX_BODY + b"]", who="top").status == 413
    assert api("POST", "/os-zones/boot", b" " * 600_000, who="ann").status == 413


def test_recall_says_what_is_left(api: Api) -> None:
    boot, never = boot_of(), new_id()
    api("POST", "/os-zones/boot", plain(boot), who="top")
    path = f"/os-zones/boot/{boot.spec.id}"
    answer = api("DELETE", f"{path}?attempt={boot.attempt}&attempt={never}", who="top")
    assert (answer.status, answer.body) == (200, {"answers": [
        {"attempt": boot.attempt, "state": "cancelled", "gone": True},
        {"attempt": never, "state": "cancelled", "gone": True}]})
    assert api("POST", "/os-zones/boot", plain(boot), who="top").body["answers"][0]["state"] == "cancelled"
    for bad in (path, f"{path}?attempt=x", f"{path}?" + "&".join(f"attempt={new_id()}" for _ in range(201))):
        assert api("DELETE", bad[:2000], who="top").status in (400, 413)


@pytest.mark.parametrize("who", ["ann", "admin", "reader"])
def test_users_do_not_speak_as_peers(api: Api, who: str) -> None:
    boot = boot_of()
    for method, path, body in (
            ("POST", "/os-zones/boot", plain(boot)), ("GET", "/os-zones/changes", None),
            ("DELETE", f"/os-zones/boot/{boot.spec.id}?attempt={boot.attempt}", None),
            ("GET", f"/os-zones/changes/{boot.spec.id}", None)):
        assert api(method, path, body, who=who).status == 403, (method, path)


def test_a_user_boots_as_in_2011_and_gets_the_reservation(api: Api, zone: ChildZone) -> None:
    body = {"server": {"name": "vm", "imageRef": IMAGE.id, "flavorRef": "1", "networks": "auto",
                       "max_count": 2, "min_count": 2}}
    for path in ("/os-zones/boot", "/zones/boot"):
        answer = api("POST", path, body, who="ann")
        assert answer.status == 200, answer
        found = api.get(f"/servers?reservation_id={answer.body['reservation_id']}", who="ann")["servers"]
        assert len(found) == 2
    assert api("POST", "/os-zones/boot", {"server": {}}, who="ann").status == 400


def test_a_user_may_name_the_reservation_there_and_only_there(api: Api) -> None:
    server = {"name": "vm", "imageRef": IMAGE.id, "flavorRef": "1", "reservation_id": "r-mine"}
    for _ in range(2):
        answer = api("POST", "/os-zones/boot", {"server": server}, at="2.1", who="ann")
        assert (answer.status, answer.body) == (200, {"reservation_id": "r-mine"}), answer
    assert len(api.get("/servers?reservation_id=r-mine", who="ann")["servers"]) == 2
    assert api("POST", "/servers", {"server": server}, at="2.1", who="ann").status == 400
    for bad in ("", "a b", "r" * 65, "r\n", 7, None):
        body = {"server": {**server, "reservation_id": bad}}
        assert api("POST", "/os-zones/boot", body, at="2.1", who="ann").status == 400, bad


def test_files_are_taken_there_below_2_57(api: Api) -> None:
    files = [{"path": "/etc/motd", "contents": "aGk="}]
    server = {"name": "vm", "imageRef": IMAGE.id, "flavorRef": "1", "personality": files}
    for at, status in (("2.36", 200), ("2.56", 200), ("2.57", 400)):
        networks = {"networks": "auto"} if at != "2.36" else {}
        answer = api("POST", "/os-zones/boot", {"server": {**server, **networks}}, at=at, who="ann")
        assert answer.status == status, answer


@pytest.mark.parametrize(("query", "status"), [
    ("since=x", 400), ("wait=-1", 400), ("wait=nan", 400), ("wait=x", 400), ("limit=x", 400),
    ("limit=0", 200), ("since=other.0", 410)])
def test_nonsense_is_said_to_be_that(api: Api, query: str, status: int) -> None:
    assert api("GET", f"/os-zones/changes?{query}", who="top").status == status


def test_who_waits_for_changes_gets_them_when_they_come(api: Api, zone: ChildZone) -> None:
    cursor = api.get("/os-zones/changes", who="top")["cursor"]
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(
        api.get(f"/os-zones/changes?since={cursor}&wait=5", who="top")))
    thread.start()
    boot = boot_of()
    api("POST", "/os-zones/boot", plain(boot), who="top")
    head = zone.number()
    assert head == 1
    api._service._parts.moved.moved(head)
    thread.join(30)
    assert [doc["id"] for doc in answers[0]["servers"]] == [boot.spec.id]
