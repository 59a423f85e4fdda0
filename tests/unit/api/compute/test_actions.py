"""Server actions over HTTP: what reaches the core, what each answers, what is refused and why."""

from typing import Any

import pytest

from tests.compute_api import Answer, Api, fault
from tests.server_rows import IMAGE, FarEnds, add_server, server_row, zone_api
from zones.api.compute.actions import ACTIONS
from zones.db import work
from zones.db.engine import Database


@pytest.fixture
def ends() -> FarEnds:
    return FarEnds()


@pytest.fixture
def zone(sqlite_database: Database, ends: FarEnds) -> Api:
    return zone_api(sqlite_database, ends)


def act(zone: Api, server_id: str, body: Any, at: str = "2.1", who: str = "ann") -> Answer:
    return zone("POST", f"/servers/{server_id}/action", body, at=at, who=who)


def asked(zone: Api, server_id: str) -> tuple[str, dict[str, Any]]:
    """The action that waits for the server's host, and its arguments."""
    (item,) = zone.db.run(work.of_server, server_id)
    return item["args"]["action"], item["args"]["args"]


@pytest.mark.parametrize(("body", "vm_state", "name"), [
    ({"pause": None}, "active", "pause"), ({"unpause": None}, "paused", "unpause"),
    ({"suspend": None}, "active", "suspend"), ({"resume": None}, "suspended", "resume"),
    ({"os-stop": None}, "active", "stop"), ({"os-start": None}, "stopped", "start"),
    ({"reboot": {"type": "SOFT"}}, "active", "reboot_soft"),
    ({"reboot": {"type": "Hard"}}, "active", "reboot_hard"),
    ({"unrescue": None}, "rescued", "unrescue"), ({"shelve": None}, "active", "shelve"),
    ({"revertResize": None}, "resized", "revert_resize"),
    ({"confirmResize": None}, "resized", "confirm_resize"),
])
def test_a_plain_action_is_accepted(zone: Api, body: Any, vm_state: str, name: str) -> None:
    server_id = add_server(zone.db, vm_state=vm_state, old_flavor={"id": "2", "name": "x"})
    answer = act(zone, server_id, body)
    assert (answer.status, answer.body) == (202, None)
    assert asked(zone, server_id)[0] == name
    again = act(zone, server_id, body)
    assert (again.status, "task_state" in fault(again)) == (409, True)


def test_resize(zone: Api) -> None:
    server_id = add_server(zone.db)
    assert act(zone, server_id, {"resize": {"flavorRef": "2", "OS-DCF:diskConfig": "AUTO"}}).status == 202
    name, args = asked(zone, server_id)
    assert (name, args["flavor"]["name"]) == ("resize", "m1.small")
    other = add_server(zone.db)
    assert act(zone, other, {"resize": {"flavorRef": "1"}}).status == 400
    assert act(zone, other, {"resize": {"flavorRef": "9"}}).status in (400, 404)


def test_rescue_and_password(zone: Api) -> None:
    server_id = add_server(zone.db)
    answer = act(zone, server_id, {"rescue": {"adminPass": "pw"}})
    assert (answer.status, answer.body) == (200, {"adminPass": "pw"})
    assert act(zone, add_server(zone.db), {"rescue": None}).body["adminPass"]
    assert act(zone, add_server(zone.db), {"changePassword": {"adminPass": "pw"}}).status == 202


def test_rebuild(zone: Api) -> None:
    server_id = add_server(zone.db)
    answer = act(zone, server_id, {"rebuild": {
        "imageRef": IMAGE.id, "name": "again", "metadata": {"k": "v"}, "description": None,
        "user_data": "YQ==", "accessIPv4": "192.0.2.7"}}, at="2.90")
    assert answer.status == 202, answer
    server = answer.body["server"]
    assert (server["name"], server["metadata"], server["user_data"]) == ("again", {"k": "v"}, "YQ==")
    assert (server["status"], server["accessIPv4"]) == ("REBUILD", "192.0.2.7")
    assert server["adminPass"]
    assert answer.headers["Location"].endswith(f"/servers/{server_id}")
    answer = act(zone, add_server(zone.db), {"rebuild": {"imageRef": IMAGE.id}}, at="2.53")
    assert not {"key_name", "user_data", "OS-EXT-STS:vm_state"} & set(answer.body["server"])


@pytest.mark.parametrize(("more", "at"), [
    ({"preserve_ephemeral": True}, "2.1"), ({"personality": [{"path": "/a", "contents": "YQ=="}]}, "2.1"),
    ({"trusted_image_certificates": ["a"]}, "2.63"), ({"description": "d"}, "2.18"),
    ({"key_name": "k"}, "2.53"), ({"user_data": "YQ=="}, "2.56"), ({"hostname": "h"}, "2.89"),
    ({"colour": "red"}, "2.1"), ({"user_data": "\u00e4"}, "2.57"), ({"accessIPv6": "1.2.3.4"}, "2.1")])
def test_what_a_rebuild_refuses(zone: Api, more: dict[str, Any], at: str) -> None:
    server_id = add_server(zone.db)
    assert act(zone, server_id, {"rebuild": {"imageRef": IMAGE.id, **more}}, at=at).status == 400
    assert server_row(zone.db, server_id)["version"] == 1


def test_create_image_answers_in_a_header_then_in_the_body(zone: Api) -> None:
    answer = act(zone, add_server(zone.db), {"createImage": {"name": "snap", "metadata": {"k": "v"}}}, "2.44")
    assert (answer.status, answer.body) == (202, None)
    assert "/images/" in answer.headers["Location"]
    answer = act(zone, add_server(zone.db), {"createImage": {"name": "snap"}}, "2.45")
    assert set(answer.body) == {"image_id"}


@pytest.mark.parametrize(("given", "length"), [
    (None, None), ({}, None), ({"length": None}, None), ({"length": 10}, 10), ({"length": "10"}, 10),
    ({"length": -1}, None), ({"length": "-1"}, None)])
def test_console_output(zone: Api, ends: FarEnds, given: Any, length: int | None) -> None:
    ends.answers["console"] = "booted\n"
    answer = act(zone, add_server(zone.db), {"os-getConsoleOutput": given})
    assert (answer.status, answer.body) == (200, {"output": "booted\n"})
    assert ends.asked[0].args == {"length": length}  # type: ignore[union-attr]


def test_lock_keeps_users_out(zone: Api) -> None:
    server_id = add_server(zone.db)
    assert act(zone, server_id, {"lock": {"locked_reason": "audit"}}, at="2.73").status == 202
    row = server_row(zone.db, server_id)
    assert (row["locked"], row["locked_reason"], row["version"], row["feed_seq"]) == (True, "audit", 2, None)
    for body in ({"pause": None}, {"rebuild": {"imageRef": IMAGE.id}}):
        assert act(zone, server_id, body).status == 409
    assert zone("DELETE", f"/servers/{server_id}", who="ann").status == 409
    assert zone("PUT", f"/servers/{server_id}/metadata", {"metadata": {}}, who="ann").status == 409
    assert act(zone, server_id, {"unlock": None}).status == 202
    row = server_row(zone.db, server_id)
    assert (row["locked"], row["locked_reason"]) == (False, None)
    actions = zone.get(f"/servers/{server_id}/os-instance-actions", who="ann")["instanceActions"]
    assert [one["action"] for one in actions] == ["unlock", "lock"]
    assert act(zone, server_id, {"lock": {"locked_reason": "x"}}, at="2.72").status == 202
    assert server_row(zone.db, server_id)["locked_reason"] is None


def test_unshelve_to_a_zone(zone: Api) -> None:
    shelved = {"vm_state": "shelved_offloaded", "host": None, "attempt_id": None,
               "shelved_image_id": IMAGE.id}
    assert act(zone, add_server(zone.db, **shelved), {"unshelve": None}, at="2.77").status == 202
    assert act(zone, add_server(zone.db, **shelved), {"unshelve": {"availability_zone": "b"}},
               at="2.77").status == 202
    assert act(zone, add_server(zone.db, **shelved), {"unshelve": {}}, at="2.77").status == 400


def test_reset_state_is_for_administrators(zone: Api) -> None:
    server_id = add_server(zone.db, vm_state="error")
    body = {"os-resetState": {"state": "active"}}
    assert act(zone, server_id, body).status == 403
    assert act(zone, server_id, body, who="admin").status == 202
    assert server_row(zone.db, server_id)["vm_state"] == "active"
    assert act(zone, server_id, {"os-resetState": {"state": "paused"}}, who="admin").status == 400


@pytest.mark.parametrize(("body", "at", "status"), [
    ({"restore": None}, "2.1", 409), ({"shelveOffload": None}, "2.1", 409),
    ({"addSecurityGroup": {"name": "web"}}, "2.1", 501), ({"createBackup": {}}, "2.1", 501),
    ({"migrate": None}, "2.1", 501), ({"evacuate": {}}, "2.1", 501),
    ({"addFixedIp": {"networkId": "1"}}, "2.43", 501), ({"addFixedIp": {"networkId": "1"}}, "2.44", 400),
    ({"os-getVNCConsole": {"type": "novnc"}}, "2.5", 501), ({"trigger_crash_dump": None}, "2.16", 400),
    ({"trigger_crash_dump": None}, "2.17", 501), ({"addSecurityGroup": None}, "2.1", 400)])
def test_what_no_zone_can_do_is_said(zone: Api, body: Any, at: str, status: int) -> None:
    answer = act(zone, add_server(zone.db), body, at=at, who="admin")
    assert answer.status == status
    assert fault(answer)
    assert act(zone, "nosuch", body, at=at, who="admin").status in (404, 400)


@pytest.mark.parametrize("body", [None, [], {}, {"pause": None, "unpause": None}, {"fly": None}, {"": None},
                                  {"reboot": None}, {"reboot": {"type": "WARM"}}, {"resize": {}},
                                  {"createImage": {}}, {"rebuild": []}, {"changePassword": {}},
                                  {"os-getConsoleOutput": {"length": "x"}}, {"resize": {"flavorRef": None}}])
def test_a_body_that_is_no_action(zone: Api, body: Any) -> None:
    answer = act(zone, add_server(zone.db), b"null" if body is None else body)
    assert answer.status == 400
    assert fault(answer)


def test_every_action_on_an_unknown_server_is_not_found(zone: Api) -> None:
    bodies: dict[str, Any] = {
        "reboot": {"type": "HARD"}, "resize": {"flavorRef": "2"}, "rebuild": {"imageRef": IMAGE.id},
        "createImage": {"name": "a"}, "changePassword": {"adminPass": "a"},
        "os-resetState": {"state": "error"}, "addSecurityGroup": {"name": "a"},
        "removeSecurityGroup": {"name": "a"}}
    for server_id in ("name", "6f4b0a52-5f0e-4c4c-9a6e-2f3f3a1f6f0d"):
        for name, action in ACTIONS.items():
            at = f"{min(action.until[0], 2)}.{min(action.until[1], 90)}"
            answer = act(zone, server_id, {name: bodies.get(name)}, at=at, who="admin")
            assert answer.status == 404, (name, answer)


def test_a_reader_may_look_and_not_touch(zone: Api) -> None:
    server_id = add_server(zone.db)
    assert zone.get(f"/servers/{server_id}", who="reader")["server"]["id"] == server_id
    for name in ACTIONS:
        if name not in ("os-getConsoleOutput",):
            assert act(zone, server_id, {name: None}, who="reader").status in (400, 403)
    assert act(zone, server_id, {"pause": None}, who="reader").status == 403
