"""The client and a real endpoint agree: discovery, login, info, and what a zone says no with."""

import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from tests.api.endpoint import PASSWORD, make_zone
from tests.neighbour_double import OWN, QUICK
from zones.db import leases
from zones.errors import Unavailable
from zones.forwarder import discovery
from zones.forwarder.link import Link
from zones.forwarder.neighbour import Neighbour
from zones.protocol.neighbours import Origin


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    zone = make_zone(tmp_path)
    zone.db.run(leases.ensure_zone, "west")
    server = make_server("127.0.0.1", 0, zone.app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    zone.close()


def _neighbour(url: str, auth_url: str, password: str) -> Neighbour:
    return Neighbour(Link(1, "z", "west", url, auth_url, "admin", password), QUICK, OWN)


def test_a_zone_says_where_to_log_in_and_who_it_is(url: str) -> None:
    api = f"{url}/v2.1"
    auth_url = discovery.identity_url(api, "", QUICK)
    neighbour = _neighbour(api, auth_url, PASSWORD)
    info, etag = neighbour.info()
    assert info is not None
    assert info.protocol == {"min": 1, "max": 1}
    assert etag
    assert neighbour.info(etag) == (None, etag)
    got = neighbour.forward("GET", "/no/such/path", origin=Origin("p", "u"), microversion="2.1")
    assert (got.status, got.headers.get("X-Zone-Error")) == (404, "no_such_path")
    neighbour.close()


def test_a_wrong_password_is_a_link_that_can_not_log_in(url: str) -> None:
    with pytest.raises(Unavailable) as raised:
        _neighbour(f"{url}/v2.1", f"{url}/identity", "wrong").info()
    assert raised.value.code == "link_login"
