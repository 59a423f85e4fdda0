"""What a neighbour does on the wire, and which error of the house that is."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.neighbour_double import (
    OWN,
    PASSWORD,
    QUICK,
    Double,
    Request,
    answer,
    drip,
    drip_body,
    fault,
    hang,
    reset,
)
from zones import errors
from zones.config import Links
from zones.forwarder.client import MAX_ANSWER, Client

Make = Callable[..., Client]
SHORT = Links(connect=0.3, deadline=0.3, breaker=0.1)


def test_a_request_is_logged_in_and_says_who_asks(west: Double, client: Make) -> None:
    got = client().request("GET", "/os-zones/info?x=1", headers={"Accept": "application/json"})
    assert (got.status, got.body) == (200, b'{"path": "/v2.1/os-zones/info?x=1"}')
    seen = west.seen[0]
    assert seen.headers["x-auth-token"] == "token-1"
    assert seen.headers["x-zone-id"] == OWN
    assert seen.headers["x-zone-meant"] == client().link.zone_uuid != ""
    assert west.logins[0].json()["auth"]["scope"]["project"] == {"name": "admin", "domain": {"id": "default"}}


def test_one_connection_and_one_login_serve_many_requests(west: Double, client: Make) -> None:
    asked = client()
    for _ in range(20):
        asked.request("POST", "/x", body=b"{}")
    assert (len(west.seen), len(west.logins)) == (20, 1)
    assert west.connections == 2, "one for the API, one for the identity service"


@pytest.mark.parametrize("body", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg",
])
def test_a_connection_is_used_again_whatever_the_framing(body: bytes, west: Double, client: Make) -> None:
    west.script(body)
    asked = client()
    assert [asked.request("GET", "/x").body for _ in range(3)] == [b"abcdefg"] * 3
    assert [each.nth for each in west.seen] == [0, 1, 2]


def test_a_body_until_the_connection_ends(west: Double, client: Make) -> None:
    def close(request: Request) -> None:
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
    west.script(close)
    asked = client()
    assert [asked.request("GET", "/x").body for _ in range(2)] == [b"abc"] * 2


def test_connections_that_the_other_side_has_closed_are_not_used(west: Double, client: Make) -> None:
    asked = client()
    for _ in range(3):
        assert asked.request("POST", "/x", body=b"{}", repeat=False).status == 200
        west.drop_connections()


# ---------------------------------------------------------------- not sent, or not answered

def test_nobody_there(west: Double, client: Make) -> None:
    asked = client()
    asked.request("GET", "/x")
    west.close()
    with pytest.raises(errors.Unavailable) as raised:
        asked.request("POST", "/x", body=b"{}", repeat=False)
    assert (raised.value.code, raised.value.message) == (
        "zone_unreachable", "zone west can't be reached: connection refused")


def test_a_breaker_spares_who_is_not_there(west: Double, client: Make) -> None:
    asked = client(Links(connect=2.0, deadline=5.0, breaker=30.0))
    asked.request("GET", "/x")
    west.close()
    for message in ("connection refused", "no connection was possible a moment ago"):
        with pytest.raises(errors.Unavailable, match=message) as raised:
            asked.request("GET", "/x")
    assert raised.value.retry_after > 20


@pytest.mark.parametrize("behaviour", [hang, drip, drip_body])
def test_the_deadline_is_for_all_of_it(behaviour: Callable[[Request], None], west: Double,
                                       client: Make) -> None:
    asked = client(SHORT)
    asked.request("GET", "/x")
    west.script(behaviour)
    began = time.monotonic()
    with pytest.raises(errors.Unknown) as raised:
        asked.request("GET", "/x")
    assert raised.value.code == "zone_timeout"
    assert 0.25 < time.monotonic() - began < 3
    west.script(answer())
    assert asked.request("GET", "/x", deadline=5).status == 200


@pytest.mark.parametrize("behaviour", [reset, lambda request: None])
def test_broken_off_after_it_was_sent_is_unknown(behaviour: Callable[[Request], None], west: Double,
                                                 client: Make) -> None:
    west.script(behaviour)
    with pytest.raises(errors.Unknown) as raised:
        client().request("POST", "/x", body=b"{}")
    assert raised.value.code == "zone_broke_off"
    assert len(west.seen) == 1, "a fresh connection that breaks is no stale one"


@pytest.mark.parametrize("behaviour", [reset, lambda request: None])
@pytest.mark.parametrize("repeat", [True, False])
def test_a_kept_connection_that_breaks(behaviour: Callable[[Request], None], repeat: bool, west: Double,
                                       client: Make) -> None:
    asked = client()
    asked.request("GET", "/first")
    west.script(behaviour, answer(200, b"again"))
    if repeat:
        assert asked.request("POST", "/x", body=b"{}").body == b"again"
    else:
        with pytest.raises(errors.Unknown):
            asked.request("POST", "/x", body=b"{}", repeat=False)
    assert len(west.seen) == 2 + repeat


@pytest.mark.parametrize("garbage", [
    b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00\xff\xfe" * 100,
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
])
def test_garbage_is_unknown(garbage: bytes, west: Double, client: Make) -> None:
    def say(request: Request) -> None:
        request.connection.sendall(garbage)
    west.script(say)
    with pytest.raises(errors.Unknown):
        client().request("GET", "/x")


@pytest.mark.parametrize("head", [
    f"Content-Length: {MAX_ANSWER + 1}", "Transfer-Encoding: chunked", "Connection: close"])
def test_an_answer_without_end_is_given_up(head: str, west: Double, client: Make) -> None:
    piece = b"x" * 2**20
    chunk = b"100000\r\n" + piece + b"\r\n" if "chunked" in head else piece

    def pour(request: Request) -> None:
        request.connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        while True:
            request.connection.sendall(chunk)
    west.script(pour)
    with pytest.raises(errors.Unknown, match="more than"):
        client(Links(deadline=60.0)).request("GET", "/x")


# ---------------------------------------------------------------- answers

@pytest.mark.parametrize(("status", "kind"), [
    (500, errors.Unknown), (502, errors.Unknown), (504, errors.Unknown), (599, errors.Unknown),
    (503, errors.Unavailable), (501, errors.NotServed)])
def test_failures_there(status: int, kind: type[errors.ZonesError], west: Double, client: Make) -> None:
    west.script(fault(status, "some_code", "It is so."))
    with pytest.raises(kind) as raised:
        client().request("GET", "/x")
    assert type(raised.value) is kind


def test_a_neighbour_that_says_when(west: Double, client: Make) -> None:
    west.script(fault(503, "backlog", "Full.", Retry_After="17"))
    with pytest.raises(errors.Unavailable) as raised:
        client().request("GET", "/x")
    assert (raised.value.code, raised.value.message, raised.value.retry_after) == ("backlog", "Full.", 17)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, west: Double, client: Make) -> None:
    west.script(answer(status, Location=f"{west.url}/elsewhere"))
    with pytest.raises(errors.Unknown) as raised:
        client().request("GET", "/x")
    assert raised.value.code == "redirected"
    assert len(west.seen) == 1


# ---------------------------------------------------------------- 401

def test_a_401_is_one_new_login_and_one_repeat(west: Double, client: Make) -> None:
    west.script(answer(401), answer(200, b"in"))
    assert client().request("POST", "/x", body=b"{}", repeat=False).body == b"in"
    assert [each.headers["x-auth-token"] for each in west.seen] == ["token-1", "token-2"]


def test_a_401_that_stays_is_never_handed_up(west: Double, client: Make) -> None:
    west.script(answer(401))
    with pytest.raises(errors.Unavailable) as raised:
        client().request("GET", "/x")
    assert raised.value.code == "link_login"
    assert len(west.seen) == 2
    assert PASSWORD not in raised.value.message


def test_many_at_once_make_one_login_when_the_token_ends(west: Double, client: Make) -> None:
    asked = client()
    asked.request("GET", "/x")
    west.behaviour = lambda request: answer(401 if request.headers["x-auth-token"] == "token-1" else 200)
    threads = [threading.Thread(target=asked.request, args=("GET", "/x")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(west.logins) == 2


# ---------------------------------------------------------------- streams

def test_a_stream_comes_in_pieces_and_its_connection_is_used_again(west: Double, client: Make) -> None:
    asked = client()
    west.script(answer(200, b"x" * 700_000), answer(200, b"next"))
    assert sum(map(len, asked.stream("GET", "/file"))) == 700_000
    assert asked.request("GET", "/x").body == b"next"
    assert west.seen[1].nth == 1


def test_an_abandoned_stream_closes_its_connection(west: Double, client: Make) -> None:
    ended = threading.Event()

    def pour(request: Request) -> None:
        try:
            request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            while True:
                request.connection.sendall(b"x" * 65536)
        except OSError:
            ended.set()
    west.script(pour)
    stream = client().stream("GET", "/file")
    assert len(next(stream)) > 0
    stream.close()
    assert ended.wait(10)


def test_a_stream_that_breaks_off(west: Double, client: Make) -> None:
    def half(request: Request) -> None:
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
    west.script(half)
    stream = client().stream("GET", "/file")
    with pytest.raises(errors.Unknown):
        list(stream)


@pytest.mark.parametrize(("said", "kind", "code"), [
    (fault(404, "no_image"), errors.NotFound, "no_image"), (answer(204), errors.Conflict, "image_not_active"),
    (fault(503, "busy"), errors.Unavailable, "busy")])
def test_a_stream_that_is_refused(said: bytes, kind: type[errors.ZonesError], code: str, west: Double,
                                  client: Make) -> None:
    west.script(said)
    with pytest.raises(kind) as raised:
        client().stream("GET", "/file")
    assert raised.value.code == code


def test_what_is_pushed_is_never_sent_twice(west: Double, client: Make) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b"ab", b"cd")
    asked = client()
    size = {"Content-Length": "4"}
    assert asked.push("PUT", "/f", pieces(), headers=size).status == 200
    assert west.seen[0].body == b"abcd"
    west.script(answer(401))
    with pytest.raises(errors.Unavailable) as raised:
        asked.push("PUT", "/f", pieces(), headers=size)
    assert (raised.value.code, len(west.seen), len(west.logins)) == ("link_login", 2, 2)


def test_a_push_that_is_refused_before_it_was_read(west: Double, client: Make) -> None:
    """The server answers and ends while we still send: its answer counts unless the network lost it."""
    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    def refuse(request: Request) -> None:
        request.connection.sendall(fault(409, "busy"))
    west.behaviour = refuse
    with pytest.raises((errors.Conflict, errors.Unknown)):
        client().push("PUT", "/f", pieces(), headers={"Content-Length": "0"})


def test_closed_while_in_use_keeps_nothing(west: Double) -> None:
    asked = Client(west.link(), QUICK, OWN)
    stream = asked.stream("GET", "/x")
    asked.close()
    assert b"".join(stream)
    assert asked._connections._idle == type(asked._connections._idle)()
