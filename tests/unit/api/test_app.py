"""The endpoint as a whole: mounts, addresses, who needs a token, and uploads that go wrong."""

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import webob

from tests.api.endpoint import PASSWORD, Zone, make_zone
from zones.api.app import Endpoint, Mount
from zones.api.compute.routes import ROUTES as COMPUTE
from zones.api.identity.routes import ROUTES as IDENTITY
from zones.api.image.routes import ROUTES as IMAGE
from zones.api.wsgi import Route, Routes


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    made = make_zone(tmp_path_factory.mktemp("zone"), max_size=100_000)
    yield made
    made.close()


def _ask(app: Any, method: str, path: str, token: str = "", body: bytes = b"",
         **environ: Any) -> webob.Response:
    request = webob.Request.blank(path, method=method, body=body)
    if token:
        request.headers["X-Auth-Token"] = token
    request.environ.update(environ)
    return request.get_response(app)


@pytest.fixture(scope="module")
def token(zone: Zone) -> str:
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "admin", "domain": {"id": "default"}, "password": PASSWORD}}}}}
    answer = _ask(zone.app, "POST", "/v3/auth/tokens", body=orjson.dumps(body))
    assert answer.status_int == 201
    return str(answer.headers["X-Subject-Token"])


def _each(routes: Routes) -> Iterator[tuple[str, str, Route]]:
    for path, methods in routes.items():
        for method, route in methods.items():
            for one in route if isinstance(route, tuple) else (route,):
                yield method, path, one


def test_only_discovery_and_log_in_need_no_token() -> None:
    free = {(method, path) for routes in (IDENTITY, IMAGE) for method, path, route in _each(routes)
            if route.rule is None}
    assert free == {("GET", "/"), ("GET", "/v3"), ("POST", "/v3/auth/tokens"), ("GET", "/versions"),
                    ("POST", "/v3/users/{user_id}/password"), ("GET", "/v2")}


@pytest.mark.parametrize(("prefix", "routes"), [
    ("/identity", IDENTITY), ("/image", IMAGE), ("/compute", COMPUTE)])
def test_everything_else_tells_where_to_get_one(zone: Zone, prefix: str, routes: Routes) -> None:
    for method, path, route in _each(routes):
        if route.rule is not None:
            major, minor = max(route.since, (2, 1))
            answer = _ask(zone.app, method, prefix + path,
                          HTTP_OPENSTACK_API_VERSION=f"compute {major}.{minor}")
            assert (method, path, answer.status_int) == (method, path, 401)
            assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://localhost:80/identity"'


def test_a_401_has_the_body_of_its_service(zone: Zone) -> None:
    assert _ask(zone.app, "GET", "/v3/users").json["error"]["code"] == 401
    assert _ask(zone.app, "GET", "/image/v2/images").json["code"] == "401 Unauthorized"
    assert _ask(zone.app, "GET", "/compute/v2.1/flavors").json["unauthorized"]["code"] == 401


@pytest.mark.parametrize("text", ["nonsense", "x" * 10000, "\x80\xff"])
def test_a_token_of_nonsense_is_401(zone: Zone, text: str) -> None:
    answer = _ask(zone.app, "GET", "/v3/users", HTTP_X_AUTH_TOKEN=text)
    assert answer.status_int == 401


def _mounted(name: str) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        seen = (name, environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["zones.root_url"],
                webob.Request(environ).application_url)
        return [orjson.dumps(seen)]
    return app


MOUNTS = (Mount("/a", _mounted("a")), Mount("/b", _mounted("b"), keep=True), Mount("", _mounted("rest")))


@pytest.mark.parametrize(("path", "told"), [
    ("/a", ["a", "/a", ""]), ("/a/", ["a", "/a", "/"]), ("/a/x/y", ["a", "/a", "/x/y"]),
    ("/ab", ["rest", "", "/ab"]), ("/b/x", ["b", "", "/b/x"]), ("/", ["rest", "", "/"]),
    ("/x/a", ["rest", "", "/x/a"]), ("//a", ["rest", "", "//a"]),
])
def test_the_first_element_decides(path: str, told: list[str]) -> None:
    assert orjson.loads(_ask(Endpoint(MOUNTS), "GET", path).body)[:3] == told


def test_addresses_are_those_by_which_the_client_came() -> None:
    answer = _ask(Endpoint(MOUNTS), "GET", "/a/x", HTTP_HOST="zone.example:8774")
    assert orjson.loads(answer.body)[3:] == ["http://zone.example:8774", "http://zone.example:8774/a"]


def test_or_the_public_one() -> None:
    app = Endpoint(MOUNTS, "https://cloud.example/north/")
    answer = _ask(app, "GET", "/a/x", HTTP_HOST="10.0.0.1:8774")
    assert orjson.loads(answer.body) == [
        "a", "/north/a", "/x", "https://cloud.example/north", "https://cloud.example/north/a"]


@pytest.mark.parametrize("environ", [
    {"PATH_INFO": "/a/\xff"}, {"PATH_INFO": "/a/\0"}, {"PATH_INFO": "/\ufffd"}, {"QUERY_STRING": "a=%00"},
    {"QUERY_STRING": "a=%ff"}, {"QUERY_STRING": "a=\xff"}, {"QUERY_STRING": "%ed%a0%80=1"},
])
def test_what_is_no_text_goes_no_further(environ: dict[str, str]) -> None:
    assert _ask(Endpoint(MOUNTS), "GET", "/a", **environ).status_int == 400


@pytest.mark.parametrize("environ", [
    {"PATH_INFO": "/a/é".encode().decode("latin-1")}, {"QUERY_STRING": "a=%C3%A9%20%25"}])
def test_text_does(environ: dict[str, str]) -> None:
    assert _ask(Endpoint(MOUNTS), "GET", "/a", **environ).status_int == 200


def test_not_ready_says_what_is_missing(zone: Zone) -> None:
    zone.wrong["database"] = "does not answer"
    try:
        answer = _ask(zone.app, "GET", "/readyz")
    finally:
        zone.wrong["database"] = ""
    assert answer.status_int == 503
    assert answer.json["checks"] == {"database": "does not answer"}
    assert _ask(zone.app, "GET", "/healthz").status_int == 200


def test_head_is_a_get_without_a_body(zone: Zone, token: str) -> None:
    answer = _ask(zone.app, "HEAD", "/v3/auth/tokens", token, HTTP_X_SUBJECT_TOKEN=token)
    assert (answer.status_int, answer.body) == (200, b"")


class TestUpload:
    """PUT of content that is more, less or other than it says."""

    @pytest.fixture
    def path(self, zone: Zone, token: str) -> str:
        body = orjson.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
        return "/image/v2/images/" + _ask(zone.app, "POST", "/image/v2/images", token, body).json["id"]

    def _put(self, zone: Zone, token: str, path: str, source: Any, **environ: Any) -> int:
        answer = _ask(zone.app, "PUT", f"{path}/file", token, CONTENT_TYPE="application/octet-stream",
                      **{"wsgi.input": source, "webob.is_body_seekable": False, **environ})
        return int(answer.status_int)

    def _status(self, zone: Zone, token: str, path: str) -> tuple[str, int | None]:
        shown = _ask(zone.app, "GET", path, token).json
        return shown["status"], shown["size"]

    def test_whole(self, zone: Zone, token: str, path: str) -> None:
        assert self._put(zone, token, path, io.BytesIO(b"x" * 70_000 + b"next request"),
                         CONTENT_LENGTH="70000") == 204
        assert self._status(zone, token, path) == ("active", 70_000)
        assert _ask(zone.app, "GET", f"{path}/file", token).body == b"x" * 70_000

    def test_chunked(self, zone: Zone, token: str, path: str) -> None:
        assert self._put(zone, token, path, io.BytesIO(b"x" * 70_000), CONTENT_LENGTH="",
                         HTTP_TRANSFER_ENCODING="chunked") == 204
        assert self._status(zone, token, path) == ("active", 70_000)

    def test_short(self, zone: Zone, token: str, path: str) -> None:
        assert self._put(zone, token, path, io.BytesIO(b"x"), CONTENT_LENGTH="2") == 400
        assert self._status(zone, token, path) == ("queued", None)

    def test_broken(self, zone: Zone, token: str, path: str) -> None:
        class Broken:
            def read(self, size: int) -> bytes:
                raise OSError("connection reset")
        assert self._put(zone, token, path, Broken(), CONTENT_LENGTH="2") == 400
        assert self._status(zone, token, path) == ("queued", None)

    @pytest.mark.parametrize("length", ["100001", ""])
    def test_too_large(self, zone: Zone, token: str, path: str, length: str) -> None:
        how = {"HTTP_TRANSFER_ENCODING": "chunked"} if not length else {}
        assert self._put(zone, token, path, io.BytesIO(b"x" * 100_001), CONTENT_LENGTH=length, **how) == 413
        assert self._status(zone, token, path) == ("queued", None)

    def test_into_nothing(self, zone: Zone, token: str) -> None:
        assert self._put(zone, token, f"/image/v2/images/{uuid.uuid4()}", io.BytesIO(b"x"),
                         CONTENT_LENGTH="1") == 404
        assert list(Path(zone.images._files._folder).glob("*.part")) == []
