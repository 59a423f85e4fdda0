"""A request about a server that a neighbour has: what goes on, what comes back, what stays here."""

import uuid
from typing import Any
from urllib.parse import quote, unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compute_api import Answer, fault
from tests.far_zone import EAST, Near, Response, near_zone, refusal
from tests.server_rows import IMAGE, add_server, server_row
from zones.api.compute import proxy
from zones.api.compute.actions import ACTIONS
from zones.api.compute.routes import V21
from zones.config import Quota
from zones.db import changes, keypairs, quotas
from zones.db.engine import Database
from zones.errors import Invalid, Unavailable, Unknown
from zones.protocol import ServerSpec, decode_spec
from zones.protocol.neighbours import Origin, pack_origin

BELOW = [(path, method, route if isinstance(route, tuple) else (route,))
         for path, methods in V21.items() if path.startswith("/servers/{server_id}")
         for method, route in methods.items()]
OTHERS = {"key": "k 1", "tag": "t?1", "network": "private", "port_id": "p-1", "volume_id": "v-1",
          "request_id": "req-1"}
BODIES: dict[tuple[str, str], Any] = {
    ("/servers/{server_id}", "PUT"): {"server": {"name": "new"}},
    ("/servers/{server_id}/action", "POST"): {"pause": None},
    ("/servers/{server_id}/metadata", "POST"): {"metadata": {"a": "1"}},
    ("/servers/{server_id}/metadata", "PUT"): {"metadata": {"a": "1"}},
    ("/servers/{server_id}/metadata/{key}", "PUT"): {"meta": {"k 1": "1"}},
    ("/servers/{server_id}/tags", "PUT"): {"tags": ["a"]},
    ("/servers/{server_id}/os-interface", "POST"): {"interfaceAttachment": {}},
    ("/servers/{server_id}/os-volume_attachments", "POST"): {"volumeAttachment": {}},
    ("/servers/{server_id}/os-volume_attachments/{volume_id}", "PUT"): {"volumeAttachment": {}},
    ("/servers/{server_id}/remote-consoles", "POST"): {"remote_console": {}},
}
HISTORY = {"action": "pause", "instance_uuid": "", "request_id": "req-1", "user_id": "ann",
           "project_id": "f1", "start_time": "", "message": None}
SPECIAL = {"/servers/{server_id}/os-instance-actions": {"instanceActions": [HISTORY]},
           "/servers/{server_id}/os-instance-actions/{request_id}": {"instanceAction": HISTORY}}


@pytest.fixture
def near(sqlite_database: Database) -> Near:
    return near_zone(sqlite_database)


def act(near: Near, server_id: str, body: Any, who: str = "ann", at: str = "2.90",
        headers: dict[str, str] | None = None) -> Answer:
    return near.api("POST", f"/servers/{server_id}/action", body, who=who, at=at, headers=headers)


# ---------------------------------------------------------------- routes

@pytest.mark.parametrize(("path", "method", "routes"), BELOW, ids=[" ".join(one[:2]) for one in BELOW])
def test_every_route_is_local_or_goes_on_with_all_its_arguments(
        near: Near, path: str, method: str, routes: Any) -> None:
    server_id = near.server()
    params = {"server_id": server_id, **OTHERS}
    asked = "/".join(quote(params[part[1:-1]], safe="") if part.startswith("{") else part
                     for part in path.split("/"))
    if path in SPECIAL:
        near.far.otherwise = Response(200, orjson.dumps(SPECIAL[path]))
    body = BODIES.get((path, method))
    answer = near.api(method, asked, body, who="admin")
    if (path, method) in proxy.LOCAL:
        assert near.far.asked == [], "answered here"
        return
    assert answer.status in (200, 202), answer
    (got,) = near.far.asked
    assert (got.method, got.path, got.body, got.microversion) == (method, asked, body, "2.90")
    assert got.origin == Origin(project_id="p1", user_id="boss", roles=["admin"],
                                request_id=answer.headers["X-Openstack-Request-Id"], hops_left=7)
    assert (got.operation is None) == (method == "GET")
    assert near.far.fetched == ([] if method == "GET" else [server_id])


@pytest.mark.parametrize("name", sorted(set(ACTIONS) - {"forceDelete"}))
def test_every_action_goes_on_but_the_delete(near: Near, name: str) -> None:
    bodies: dict[str, Any] = {
        "reboot": {"type": "SOFT"}, "resize": {"flavorRef": "2"}, "rebuild": {"imageRef": IMAGE.id},
        "createImage": {"name": "i"}, "changePassword": {"adminPass": "x"}, "os-resetState":
        {"state": "error"}, "addSecurityGroup": {"name": "g"}, "removeSecurityGroup": {"name": "g"},
        "rescue": {"adminPass": "x"}, "unshelve": {"availability_zone": "east/az2"},
        "lock": {"locked_reason": "r"}, "os-getConsoleOutput": {"length": 5}}
    given_, server_id = bodies.get(name), near.server()
    near.far.otherwise = Response(202, orjson.dumps({"server": {"adminPass": "secret"}}))
    version = "2.90" if ACTIONS[name].until >= (2, 90) else f"2.{ACTIONS[name].until[1]}"
    answer = act(near, server_id, {name: given_}, who="admin", at=version)
    assert answer.status == 202, answer
    sent = near.last.body
    expected = {"availability_zone": "az2"} if name == "unshelve" else given_
    assert (near.last.path, sent[name]) == (f"/servers/{server_id}/action", expected)
    assert ("zones:values" in sent) == (name in ("resize", "rebuild", "createImage"))


def test_a_delete_is_local_by_either_name(near: Near) -> None:
    near.api("DELETE", f"/servers/{near.server()}", who="ann")
    act(near, near.server(), {"forceDelete": None})
    assert near.far.asked == []


def test_nothing_is_done_there_to_a_server_that_is_being_deleted_here(near: Near) -> None:
    server = near.server(task_state="deleting")
    answer = act(near, server, {"reboot": {"type": "HARD"}})
    assert (answer.status, answer.headers["X-Zone-Error"]) == (409, "bad_task_state")
    assert not near.far.asked
    assert act(near, server, {"os-getConsoleOutput": {}}).status < 300
    assert len(near.far.asked) == 1


def test_a_server_of_this_zone_is_not_forwarded(near: Near) -> None:
    assert act(near, add_server(near.api.db), {"pause": None}).status == 202
    assert near.api("PUT", f"/servers/{add_server(near.api.db)}/tags/a", who="ann").status == 201
    assert act(near, str(uuid.uuid4()), {"pause": None}).status == 404
    assert act(near, near.server(), {"pause": None}, who="bob").status == 404
    assert near.far.asked == []


# ---------------------------------------------------------------- paths and queries

SEGMENT = st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text and "\0" not in text)


@given(SEGMENT)
def test_a_parameter_stays_one_segment(text: str) -> None:
    try:
        path = proxy.path_of("/servers/{server_id}/tags/{tag}", {"server_id": "s", "tag": text})
    except Invalid:
        assert text in (".", "..")
        return
    head, tail = path.rsplit("/", 1)
    assert head == "/servers/s/tags" and unquote(tail) == text
    assert not set(tail) & set("/?#\\ ") and tail.isascii()


@pytest.mark.parametrize("tag", ["..", "%2e%2e", ".", "%2e", "..%2f..%2fx", "a%2fb", "%2f"])
def test_tricks_with_paths_reach_nobody(near: Near, tag: str) -> None:
    server_id = near.server()
    for method in ("PUT", "DELETE"):
        answer = near.api(method, f"/servers/{server_id}/tags/{tag}", who="ann")
        assert answer.status in (400, 404, 405, 202)
        assert all(asked.path.startswith(f"/servers/{server_id}/tags") for asked in near.far.asked)
        assert "/.." not in near.far.asked[-1].path if near.far.asked else True
    assert near.api("GET", f"/servers/{server_id}", who="ann").status == 200


def test_only_the_query_that_a_route_has_goes_on(near: Near) -> None:
    server_id = near.server()
    near.far.otherwise = Response(200, orjson.dumps({"instanceActions": [HISTORY], "links": [
        {"rel": "next", "href": "http://east/next"}]}))
    answer = near.api("GET", f"/servers/{server_id}/os-instance-actions?limit=1&changes-since="
                      "2026-01-01T00:00:00%2B01:00&marker=a%26b%23", who="ann")
    assert near.last.path == (f"/servers/{server_id}/os-instance-actions?limit=1&changes-since="
                              "2026-01-01T00%3A00%3A00%2B01%3A00&marker=a%26b%23")
    assert answer.body["instanceActions"] == [{**HISTORY, "project_id": "p1"}]
    assert "east" not in answer.body["links"][0]["href"] and "marker=req-1" in answer.body["links"][0]["href"]
    near.api("GET", f"/servers/{server_id}/os-instance-actions?limit=1&x=y", who="ann", at="2.50")
    assert near.last.path == f"/servers/{server_id}/os-instance-actions?limit=1"
    asked = len(near.far.asked)
    assert near.api("GET", f"/servers/{server_id}/os-instance-actions?x=y", who="ann").status == 400
    near.api("PUT", f"/servers/{server_id}/tags/a?evil=1", who="ann")
    assert near.last.path == f"/servers/{server_id}/tags/a" and len(near.far.asked) == asked + 1


def test_history_names_no_host_of_the_neighbour(near: Near) -> None:
    event = {"event": "compute_pause", "host": "rack-7-host-3", "hostId": "theirs", "result": "Success"}
    near.far.otherwise = Response(200, orjson.dumps({"instanceAction": {**HISTORY, "events": [event]}}))
    answer = near.api("GET", f"/servers/{near.server()}/os-instance-actions/req-1")
    (shown,) = answer.body["instanceAction"]["events"]
    assert shown["host"] == "east" and shown["hostId"] not in ("", "theirs") and shown["result"] == "Success"


# ---------------------------------------------------------------- who asks

def test_headers_of_users_have_no_effect(near: Near) -> None:
    server_id, operation = near.server(), str(uuid.uuid4())
    forged = {"X-Zone-Origin": pack_origin(Origin("p9", "mallory", ["admin"], hops_left=1)),
              "X-Zone-Operation": operation, "X-Zone-Id": EAST}
    for _ in range(2):
        answer = act(near, server_id, {"pause": None}, headers=forged)
        assert answer.status == 202
    assert len(near.far.asked) == 2 and len({asked.operation for asked in near.far.asked} - {operation}) == 2
    assert near.last.origin == Origin("p1", "ann", ["member"], request_id=answer.headers[
        "X-Openstack-Request-Id"], hops_left=7)
    assert act(near, server_id, {"pause": None, "zones:values": {}}).status == 400
    assert len(near.far.asked) == 2


def test_a_peer_goes_on_as_its_user_and_not_for_ever(near: Near) -> None:
    server_id = near.server(peer_id="peer-1", owner_peer="peer-1", project_id="f1")
    for left, status in ((2, 202), (1, 202), (0, 409)):
        headers = {"X-Zone-Origin": pack_origin(Origin("theirs", "zoe", hops_left=left))}
        assert act(near, server_id, {"pause": None}, who="peer", headers=headers).status == status
    assert near.last.origin == Origin("f1", "zoe", ["member"], request_id="req-of-the-zone-above",
                                      hops_left=0)


def test_the_repeat_of_a_peers_change_is_a_repeat_below(near: Near) -> None:
    server_id = near.server(peer_id="peer-1", owner_peer="peer-1", project_id="f1")
    near.far.answers = [Unknown("late"), Response(202)]
    headers = {"X-Zone-Operation": str(uuid.uuid4())}
    assert act(near, server_id, {"pause": None}, who="peer", headers=headers).status == 504
    assert act(near, server_id, {"pause": None}, who="peer", headers=headers).status == 202
    assert act(near, server_id, {"pause": None}, who="peer", headers=headers).status == 202
    first, second = near.far.asked
    assert first.operation == second.operation != headers["X-Zone-Operation"]


@pytest.mark.parametrize(("path", "method", "routes"), BELOW, ids=[" ".join(one[:2]) for one in BELOW])
def test_a_peer_reaches_nobody_elses_servers(near: Near, path: str, method: str, routes: Any) -> None:
    theirs = {"peer_id": "peer-1", "owner_peer": "peer-1", "project_id": "f1"}
    for server_id in (near.server(), near.server(**{**theirs, "peer_id": "peer-2", "owner_peer": "peer-2"}),
                      near.server(**{**theirs, "peer_id": "peer-2", "owner_peer": ""}),
                      add_server(near.api.db, project_id="f1")):
        before = server_row(near.api.db, server_id)
        params = {"server_id": server_id, **OTHERS}
        asked = "/".join(quote(params[part[1:-1]], safe="") if part.startswith("{") else part
                         for part in path.split("/"))
        answer = near.api(method, asked, BODIES.get((path, method)), who="peer admin")
        assert answer.status in (400, 403, 404), answer
        assert near.far.asked == [] and server_row(near.api.db, server_id) == before
    mine = near.server(**theirs, id=str(uuid.uuid4()))
    assert near.api("GET", f"/servers/{mine}", who="peer").status == 200
    assert near.api("GET", f"/servers/{mine}", who="other peer").status == 404
    assert near.api("GET", f"/servers/{mine}", who="ann").status == 404
    assert near.api("GET", f"/servers/{mine}", who="admin").status == 200


# ---------------------------------------------------------------- answers

def test_refusals_are_passed_on(near: Near) -> None:
    near.far.answers = [refusal(409, "locked")]
    answer = act(near, near.server(), {"pause": None})
    assert (answer.status, fault(answer), answer.headers["X-Zone-Error"]) == (409, "no", "locked")
    assert near.far.fetched == []


@pytest.mark.parametrize(("said", "status", "code"), [
    (Unavailable("down", code="zone_down"), 503, "zone_down"), (Unknown("late"), 504, "unknown"),
    (refusal(401, "unauthorized"), 503, "link_login"),
    (refusal(500, "internal_error"), 504, "internal_error"),
    (refusal(409, "operation_under_way"), 504, "operation_under_way"),
    (refusal(501, "not_served"), 501, "not_served"), (refusal(406, "bad_microversion"), 409, "zone_too_old"),
])
def test_what_is_no_answer(near: Near, said: Any, status: int, code: str) -> None:
    near.far.answers = [said]
    answer = act(near, near.server(), {"pause": None})
    assert (answer.status, answer.headers["X-Zone-Error"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (status == 503)
    if status == 504:
        assert answer.headers["X-Openstack-Request-Id"] in fault(answer)


def test_a_silent_zone_is_not_asked(near: Near) -> None:
    server_id, far = near.server(), near.far
    far.silent = True
    answer = act(near, server_id, {"pause": None})
    assert (answer.status, answer.headers["X-Zone-Error"]) == (503, "zone_down")
    assert "east" in fault(answer) and "Retry-After" in answer.headers
    lost = near.server(zone_uuid=str(uuid.uuid4()))
    assert act(near, lost, {"pause": None}).status == 503
    assert far.asked == []
    for one in (server_id, lost):
        for at, status in (("2.68", "ACTIVE"), ("2.69", "UNKNOWN")):
            shown = near.api.get(f"/servers/{one}", at=at)["server"]
            assert (shown["status"], shown["host_status"]) == (status, "UNKNOWN")
    far.silent = False
    shown = near.api.get(f"/servers/{server_id}")["server"]
    assert shown["host_status"] == "UP"
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "east")
    assert shown["hostId"] == near.api.get(f"/servers/{near.server()}")["server"]["hostId"] != ""


def test_an_older_neighbour_is_not_asked_for_what_it_does_not_know(sqlite_database: Database) -> None:
    near = near_zone(sqlite_database, max_microversion="2.80")
    server_id = near.server()
    answer = act(near, server_id, {"pause": None}, at="2.81")
    assert (answer.status, answer.headers["X-Zone-Error"], near.far.asked) == (409, "zone_too_old", [])
    assert act(near, server_id, {"pause": None}, at="2.80").status == 202


def test_what_changed_there_is_known_here_at_once(near: Near) -> None:
    server_id = near.server()
    near.says(server_id, name="new", locked=True)
    near.far.otherwise = Response(200, b'{"server": {"name": "theirs", "tenant_id": "f1"}}')
    answer = near.api("PUT", f"/servers/{server_id}", {"server": {"name": "new"}}, who="ann")
    assert answer.status == 200
    assert (answer.body["server"]["name"], answer.body["server"]["tenant_id"]) == ("new", "p1")
    assert server_row(near.api.db, server_id)["locked"]


def test_a_tag_is_where_this_zone_has_it(near: Near) -> None:
    server_id = near.server()
    near.far.answers = [Response(201, b"", {"Location": "http://east/x"})]
    answer = near.api("PUT", f"/servers/{server_id}/tags/a", who="ann")
    assert answer.headers["Location"].endswith(f"/v2.1/servers/{server_id}/tags/a")
    assert "east" not in answer.headers["Location"]


# ---------------------------------------------------------------- what is taken here first

def usage(near: Near) -> tuple[int, int]:
    used = near.api.db.run(quotas.usage, "", "p1")
    return used["cores"], used["ram"]


@pytest.mark.parametrize(("said", "status", "held"), [
    (Response(202), 202, True), (refusal(409, "bad_vm_state"), 409, False), (Unknown("late"), 504, True),
    (Unavailable("down"), 503, False)])
def test_a_resize_holds_quota_until_it_is_known(near: Near, said: Any, status: int, held: bool) -> None:
    server_id = near.server()
    near.far.answers = [said]
    seen: list[tuple[int, int]] = []
    near.far.before = lambda: seen.append(usage(near))
    answer = act(near, server_id, {"resize": {"flavorRef": "2"}})
    assert answer.status == status
    assert near.last.body["zones:values"]["flavor"]["ram"] == 2048
    row = server_row(near.api.db, server_id)
    assert seen == [(0, 1536)] and usage(near) == seen[0] if held else usage(near) == (0, 0)
    assert (row["quota_cores"], row["quota_ram"]) == ((1, 2048) if held else (1, 512))
    if held:
        near.says(server_id, flavor={"id": "2", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20})
        act(near, server_id, {"pause": None})
        assert server_row(near.api.db, server_id)["quota_ram"] == 2048 and usage(near) == (0, 1536)


def test_a_resize_beyond_the_quota_is_not_asked_for(near: Near) -> None:
    near.api.db.run(quotas.set_limits, "p1", {"ram": 1000})
    answer = act(near, near.server(), {"resize": {"flavorRef": "2"}})
    assert (answer.status, near.far.asked) == (403, [])
    assert act(near, near.server(), {"resize": {"flavorRef": "none"}}).status in (400, 404)


@pytest.mark.parametrize(("said", "kept"), [
    (Response(202, b'{"image_id": "theirs"}'), True), (Unknown("late"), True),
    (refusal(409, "bad_vm_state"), False), (Unavailable("down"), False)])
def test_an_image_is_ours_before_it_is_made(near: Near, said: Any, kept: bool) -> None:
    near.far.answers = [said]
    server_id = near.server()
    answer = act(near, server_id, {"createImage": {"name": "i", "metadata": {"a": "b"}}})
    image_id = near.last.body["zones:values"]["image_id"]
    assert near.ends.reserved == ({image_id: EAST} if kept else {})
    if answer.status == 202:
        assert answer.body == {"image_id": image_id}
        old = act(near, server_id, {"createImage": {"name": "i"}}, at="2.44")
        assert old.headers["Location"].endswith(near.last.body["zones:values"]["image_id"])


def spec_of(near: Near, server_id: str) -> ServerSpec:
    return decode_spec(near.api.db.run(changes.read, [server_id])[server_id]["spec"])


def test_a_rebuild_takes_image_and_key_along(near: Near) -> None:
    near.api.db.run(keypairs.create_keypair, {
        "user_id": "ann", "name": "k", "id": 1, "type": "ssh", "public_key": "ssh-rsa AAAA",
        "fingerprint": "f", "created_at": 1.0}, "p1", Quota())
    server_id = near.server()
    near.says(server_id, key_name="k")
    near.far.answers = [Response(202, b'{"server": {"adminPass": "new", "tenant_id": "f1"}}')]
    body = {"rebuild": {"imageRef": IMAGE.id, "key_name": "k"}}
    answer = act(near, server_id, body)
    assert near.last.body["rebuild"] == body["rebuild"]
    named = near.last.body["zones:values"]
    assert (named["image"]["id"], named["key"]["public_key"]) == (IMAGE.id, "ssh-rsa AAAA")
    shown = answer.body["server"]
    assert (shown["adminPass"], shown["tenant_id"], shown["key_name"]) == ("new", "p1", "k")
    spec = spec_of(near, server_id)
    assert spec.key is not None and spec.image is not None
    assert (spec.image.id, spec.key.public_key) == (IMAGE.id, "ssh-rsa AAAA"), "as it is placed, if ever"
    near.far.answers = [refusal(409, "bad_task_state"), Response(202, b'{"server": {"adminPass": "new"}}')]
    body = {"rebuild": {"imageRef": IMAGE.id, "key_name": None, "user_data": "aGk="}}
    act(near, server_id, body, at="2.57")
    assert spec_of(near, server_id) == spec
    assert act(near, server_id, body, at="2.57").status == 202
    assert (spec_of(near, server_id).key, spec_of(near, server_id).user_data) == (None, "aGk=")
    assert answer.headers["Location"].endswith(f"/servers/{server_id}")


@pytest.mark.parametrize("body", [
    {"rebuild": {"imageRef": IMAGE.id}}, {"rescue": {"rescue_image_ref": IMAGE.id}}])
def test_an_image_that_is_missing_there_is_brought_once(near: Near, body: Any) -> None:
    server_id = near.server()
    near.far.answers = [refusal(409, "image_wanted"),
                        Response(202, b'{"server": {"adminPass": "x"}, "adminPass": "x"}')]
    assert act(near, server_id, body).status == 202
    assert near.far.pushed == [(EAST, IMAGE.id, "p1")]
    first, second = near.far.asked
    assert first.body == second.body and first.operation != second.operation
    near.far.answers = [refusal(409, "image_wanted")] * 2
    answer = act(near, server_id, body)
    assert (answer.status, answer.headers["X-Zone-Error"]) == (409, "image_wanted")
    assert len(near.far.pushed) == 2 and len(near.far.asked) == 4


def test_an_image_of_the_zone_above_is_passed_on_by_content(near: Near) -> None:
    server_id = near.server(peer_id="peer-1", owner_peer="peer-1", project_id="f1")
    image = {"id": str(uuid.uuid4()), "os_hash_value": "abc", "size": 5}
    body = {"rebuild": {"imageRef": image["id"]}, "zones:values": {"image": image}}
    near.far.answers = [refusal(409, "image_wanted")]
    answer = act(near, server_id, body, who="peer")
    assert (answer.status, answer.headers["X-Zone-Error"], near.far.pushed) == (409, "image_wanted", [])
    near.ends.matching[("abc", 5)] = IMAGE.id
    near.far.answers = [refusal(409, "image_wanted"), Response(202, b'{"server": {"adminPass": "x"}}')]
    assert act(near, server_id, body, who="peer").status == 202
    assert near.far.pushed == [(EAST, image["id"], "f1")]
    assert near.last.body["zones:values"]["image"] == image
    noted = spec_of(near, server_id).image
    assert noted is not None and (noted.id, noted.local_id) == (image["id"], IMAGE.id)


