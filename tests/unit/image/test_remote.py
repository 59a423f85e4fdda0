"""A compute service elsewhere takes and brings images over HTTP, as a service user."""

import threading
import time
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from tests.api.endpoint import Zone, make_zone
from zones.errors import Conflict, NotFound, Unavailable
from zones.image.remote import Account, RemoteImages
from zones.protocol import Caller, ImageValue

IMAGE = "11111111-1111-1111-1111-111111111111"
OWNER = Caller(user_id="ann", project_id="some-project", roles=frozenset({"member"}))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Chunks:
    """wsgiref knows no chunked bodies; the servers that we run do."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._left = 0

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = int(self._source.readline(), 16)
            if not self._left:
                return b""
        piece: bytes = self._source.read(min(size, self._left))
        self._left -= len(piece)
        if not self._left:
            self._source.readline()
        return piece


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def zone(tmp_path: Any) -> Iterator[Zone]:
    made = make_zone(tmp_path)
    yield made
    made.close()


@pytest.fixture
def url(zone: Zone) -> Iterator[str]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
            environ["wsgi.input"] = _Chunks(environ["wsgi.input"])
        return zone.app(environ, start_response)
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _remote(url: str, password: str = "compute-password") -> RemoteImages:
    return RemoteImages(Account(f"{url}/identity/v3", "compute", password, "service"), idle=10)


def test_a_snapshot_goes_there_and_an_image_comes_back(zone: Zone, url: str) -> None:
    pieces = [bytes([number]) * 70_000 for number in range(5)]
    zone.images.reserve(OWNER, IMAGE, "snap", {"k": "v"}, None)
    remote = _remote(url)
    with pytest.raises(Conflict):
        remote.download(IMAGE)
    value = remote.upload(IMAGE, iter(pieces))
    assert value == zone.images.value(OWNER, IMAGE)
    assert remote.upload(IMAGE, iter([b"again"])) == value
    assert b"".join(remote.download(IMAGE)) == b"".join(pieces)


def test_an_image_that_is_not_there(url: str) -> None:
    with pytest.raises(NotFound):
        _remote(url).upload(IMAGE, iter([b"x"]))


def test_a_source_that_fails_leaves_it_queued(zone: Zone, url: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the disk is gone")
    zone.images.reserve(OWNER, IMAGE, "snap", {}, None)
    remote = _remote(url)
    with pytest.raises(RuntimeError):
        remote.upload(IMAGE, broken())
    assert _when_free(remote).size == 5


def _when_free(remote: RemoteImages) -> ImageValue:
    """The other side hears only when it reads that the first upload has ended."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return remote.upload(IMAGE, iter([b"whole"]))
        except Conflict:
            assert time.monotonic() < deadline


def test_nobody_there_and_nobody_known(url: str) -> None:
    with pytest.raises(Unavailable):
        _remote("http://127.0.0.1:9").upload(IMAGE, iter([]))
    with pytest.raises(Unavailable):
        _remote(url, "wrong").upload(IMAGE, iter([]))
