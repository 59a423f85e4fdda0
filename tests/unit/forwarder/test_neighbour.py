"""The typed calls: what goes over the wire, and what comes back from answers good, bad and senseless."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.neighbour_double import OWN, QUICK, Double, answer, fault
from zones import errors
from zones.forwarder.neighbour import Neighbour
from zones.protocol import FlavorValue, ServerSpec
from zones.protocol.neighbours import Answered, Handover, Offer, Offered, Origin, unpack_origin

ORIGIN = Origin("project", "ann", ["member"])
DOC = {"id": "s1", "attempt": "a1", "seq": 1, "version": 2, "project_id": "p", "user_id": "u", "name": "n",
       "vm_state": "active", "flavor": {}, "from_a_newer_version": 1}


@pytest.fixture
def neighbour(west: Double) -> Iterator[Neighbour]:
    made = Neighbour(west.link(), QUICK, OWN)
    yield made
    made.close()


def handover(attempt: str) -> Handover:
    return Handover(attempt, ServerSpec(f"s-{attempt}", "n", "p", "u", FlavorValue("1", "m1", 1, 1, 1)))


def test_info_and_its_etag(west: Double, neighbour: Neighbour) -> None:
    info = {"name": "west", "uuid": "u", "epoch": "e", "generation": 3, "protocol": {"min": 1, "max": 1},
            "compute_cpus": "1,2"}
    west.script(answer(200, {"zone": info}, ETag='"e.3"'), answer(304, ETag='"e.3"'))
    got, etag = neighbour.info(None)
    assert got is not None
    assert (got.name, got.generation, etag) == ("west", 3, '"e.3"')
    assert neighbour.info(etag) == (None, '"e.3"')
    assert [each.headers.get("x-zone-meant") for each in west.seen] == ["", ""], "whoever it is answers"
    assert [each.headers.get("if-none-match") for each in west.seen] == [None, '"e.3"']


def test_boots_and_recalls(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(202, {"answers": [{"attempt": "a", "state": "accepted"},
                                         {"attempt": "b", "state": "refused", "code": "no_room"}]}),
                answer(200, {"answers": [{"attempt": "a", "state": "cancelled", "gone": True}]}))
    assert neighbour.hand([handover("a"), handover("b")]) == [
        Answered("a", "accepted"), Answered("b", "refused", "no_room")]
    assert neighbour.recall("s/../1", ["a"]) == [Answered("a", "cancelled", gone=True)]
    assert [(each.method, each.path) for each in west.seen] == [
        ("POST", "/v2.1/os-zones/boot"), ("DELETE", "/v2.1/os-zones/boot/s%2F..%2F1?attempt=a")]
    assert [each["attempt"] for each in west.seen[0].json()["boots"]] == ["a", "b"]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"{}", b"<html>", b"\xff", {"answers": []},
    {"answers": [{"attempt": "b", "state": "x"}]},
    {"answers": [{"attempt": 5, "state": None}]}])
def test_answers_without_sense_are_unknown(body: Any, west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, body))
    for call in (lambda: neighbour.hand([handover("a")]), lambda: neighbour.recall("s", ["a"]),
                 neighbour.info, lambda: neighbour.document("s")):
        with pytest.raises(errors.Unknown, match="zone west") as raised:
            call()
        assert raised.value.code == "bad_answer"


def test_changes(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, {"cursor": "e.9", "servers": [DOC], "more": True}), fault(410, "feed_gone"))
    got = neighbour.changes("e.1", 0.0, 7)
    assert (got.cursor, got.more, got.servers[0].vm_state) == ("e.9", True, "active")
    assert west.seen[0].path == "/v2.1/os-zones/changes?since=e.1&wait=0&limit=7"
    with pytest.raises(errors.Gone) as raised:
        neighbour.changes("e.9", 0.0)
    assert raised.value.code == "feed_gone"


def test_a_document(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, {"server": DOC}), fault(404, "no_such_server"), fault(404, "no_such_path"),
                answer(404, b"<html>"))
    assert (doc := neighbour.document("s1")) is not None
    assert doc.version == 2
    assert neighbour.document("s1") is None
    for _ in range(2):
        with pytest.raises(errors.Unknown):
            neighbour.document("s1")


@pytest.mark.parametrize(("status", "code", "kind"), [
    (400, "bad", errors.Invalid), (403, "policy", errors.Forbidden), (403, "over_quota", errors.OverQuota),
    (404, "no", errors.NotFound), (409, "held", errors.Conflict), (409, "unsupported", errors.Unsupported),
    (410, "gone", errors.Gone), (413, "body_too_large", errors.TooLarge), (418, "tea", errors.Invalid),
    (429, "busy", errors.Unavailable), (501, "no", errors.NotServed)])
def test_refusals_are_the_errors_that_they_were(status: int, code: str, kind: type[errors.ZonesError],
                                                west: Double, neighbour: Neighbour) -> None:
    west.script(fault(status, code, "Because."))
    with pytest.raises(kind) as raised:
        neighbour.hand([handover("a")])
    assert type(raised.value) is kind
    if status != 429:
        assert (raised.value.code, raised.value.message) == (code, "Because.")


# ---------------------------------------------------------------- forwarded requests

def test_a_forwarded_request(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(202, {"adminPass": "x"}, Location="http://west/images/1", X_Secret="no",
                       X_Openstack_Request_Id="req-1"))
    got = neighbour.forward("POST", "/servers/s1/action", origin=ORIGIN, microversion="2.53",
                            body=b'{"pause": null}', operation="op-1")
    assert (got.status, got.body) == (202, b'{"adminPass": "x"}')
    assert got.headers == {"Content-Type": "application/json", "Location": "http://west/images/1"}
    sent = west.seen[0]
    assert unpack_origin(sent.headers["x-zone-origin"]) == ORIGIN
    assert (sent.headers["x-zone-operation"], sent.headers["openstack-api-version"], sent.body) == (
        "op-1", "compute 2.53", b'{"pause": null}')


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 409, 413, 415])
def test_a_forwarded_request_that_is_refused_is_answered(status: int, west: Double,
                                                         neighbour: Neighbour) -> None:
    west.script(fault(status, "why"))
    got = neighbour.forward("GET", "/servers/s1/tags", origin=ORIGIN, microversion="2.1")
    assert (got.status, got.headers["X-Zone-Error"]) == (status, "why")


@pytest.mark.parametrize(("said", "kind"), [
    (answer(404, b"<html>nginx", Content_Type="text/html"), errors.Unknown),
    (answer(401), errors.Unavailable),
    (fault(429, "slow"), errors.Unavailable), (fault(503, "full"), errors.Unavailable),
    (fault(500, "internal_error"), errors.Unknown), (fault(504, "unknown"), errors.Unknown),
    (fault(501, "not_served"), errors.NotServed)])
def test_what_is_no_answer_to_a_user(said: bytes, kind: type[errors.ZonesError], west: Double,
                                     neighbour: Neighbour) -> None:
    west.script(said)
    with pytest.raises(kind) as raised:
        neighbour.forward("GET", "/servers/s1/tags", origin=ORIGIN, microversion="2.1")
    assert type(raised.value) is kind


def test_a_change_without_an_operation_is_not_repeated(west: Double, neighbour: Neighbour) -> None:
    neighbour.forward("GET", "/x", origin=ORIGIN, microversion="2.1")
    west.script(lambda request: None, answer())
    with pytest.raises(errors.Unknown):
        neighbour.forward("POST", "/x", origin=ORIGIN, microversion="2.1", body=b"{}")


# ---------------------------------------------------------------- images

def test_an_image_is_offered_and_sent_from_where_it_broke_off(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, {"image": {"id": "i", "state": "wanted", "offset": 2}}),
                answer(200, {"image": {"id": "i", "state": "active"}}), answer(200, b"content"))
    assert neighbour.offer(Offer("h", 6, "p")) == Offered("i", "wanted", 2)
    assert neighbour.upload("i", 2, 6, iter([b"cd", b"ef"])) == Offered("i", "active")
    assert b"".join(neighbour.download("i", ORIGIN)) == b"content"
    offered, sent, read = west.seen
    assert offered.json() == {"image": {"os_hash_value": "h", "size": 6, "project_id": "p"}}
    assert (sent.method, sent.path, sent.body) == ("PUT", "/v2.1/os-zones/images/i/file", b"cdef")
    assert sent.headers["content-range"] == "bytes 2-5/6"
    assert (read.method, read.path) == ("GET", "/v2.1/os-zones/images/i/file")


@pytest.mark.parametrize("pieces", [[b"cd"], [b"cd", b"efg"], []])
def test_content_of_another_length_than_promised(pieces: list[bytes], west: Double,
                                                 neighbour: Neighbour) -> None:
    with pytest.raises(errors.Unknown) as raised:
        neighbour.upload("i", 2, 6, iter(pieces))
    assert raised.value.code == "image_size"


def test_a_source_that_fails(neighbour: Neighbour) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise errors.NotFound("the file is gone")
    with pytest.raises(errors.NotFound):
        neighbour.upload("i", 0, 6, broken())


def test_no_call_hands_up_a_401(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(401))
    calls: list[Callable[[], object]] = [
        neighbour.info, lambda: neighbour.hand([handover("a")]), lambda: neighbour.recall("s", ["a"]),
        lambda: neighbour.changes("", 0), lambda: neighbour.document("s"),
        lambda: neighbour.forward("GET", "/x", origin=ORIGIN, microversion="2.1"),
        lambda: neighbour.offer(Offer("h", 1, "p")), lambda: neighbour.upload("i", 0, 1, iter([b"a"])),
        lambda: neighbour.download("i", ORIGIN)]
    for call in calls:
        with pytest.raises(errors.Unavailable) as raised:
            call()
        assert raised.value.code == "link_login"
