"""From a WSGI request to one handler and back: match, authenticate, authorise, call, render.

A service (compute, identity, image…) is a literal table `path → method → Route`. A handler takes a
`Call` and returns a `Reply`; it raises `errors.ZonesError` for everything that is not as it should
be, and `faults` turns that into the service's own error body. Nothing here knows any noun.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import webob
from webob.exc import HTTPException

from zones import errors
from zones.api.faults import status_of
from zones.protocol import Caller

LOG = logging.getLogger(__name__)
ACCESS = logging.getLogger("zones.access")

Version = tuple[int, int]
"""A microversion, such as (2, 53)."""

NOBODY = Caller(user_id="", project_id="")
"""Who calls a route that needs no token."""

MAX_BODY = 512 * 1024
MAX_PATH = 2048
MAX_DEPTH = 32


@dataclass(frozen=True)
class Reply:
    """What a handler answers: `body` is JSON-able, bytes, an iterator of bytes, or None."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One authorised request: path parameters, who asks, at which microversion, and of what parts."""

    request: webob.Request
    params: Mapping[str, str]
    caller: Caller
    version: Version
    parts: Any
    """The service's collaborators; each service declares its own class of them."""
    may: Callable[[str], bool]
    """`may(rule)`: whether policy allows the caller that rule on its own project."""

    def json(self, validate: Callable[[Any], Any] | None = None, *, limit: int = MAX_BODY) -> Any:
        """The body, of at most `limit` bytes, as a checked value. Raises `Invalid`, `TooLarge`."""
        body = read_json(self.request, limit)
        return body if validate is None else validate(body)

    def url(self, path: str) -> str:
        """An absolute link below this service's root, as the client reached it."""
        return f"{self.request.application_url.rstrip('/')}{path}"


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Route:
    """One operation: its handler, the policy rule that guards it (None: no token needed), its versions."""

    handler: Handler
    rule: str | None
    since: Version = (0, 0)
    until: Version = (99, 99)


Routes = Mapping[str, Mapping[str, Route | tuple[Route, ...]]]
"""`/servers/{id}` → `GET` → a route, or several for different microversions."""


@dataclass(frozen=True)
class Dialect:
    """How one service speaks: versions from headers, headers of every answer, body of an error."""

    version_of: Callable[[webob.Request], Version]
    headers_of: Callable[[Version], Mapping[str, str]]
    fault: Callable[[errors.ZonesError, int], Any]
    id_headers: tuple[str, ...] = ("X-Openstack-Request-Id",)
    """The headers of every answer that carry the request's id."""
    code_header: str = ""
    """The header of an error's answer that carries its code; "" for a service that has none."""


class Service:
    """A WSGI application for one service: a route table and what its handlers work with."""

    def __init__(self, routes: Routes, parts: Any, dialect: Dialect,
                 authenticate: Callable[[webob.Request], Caller],
                 may: Callable[[str, Caller], bool]) -> None:
        self._tree = _tree(routes)
        self._parts = parts
        self._dialect = dialect
        self._authenticate = authenticate
        self._may = may

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        started = time.monotonic()
        request = webob.Request(environ)
        request_id = f"req-{uuid.uuid4()}"
        environ["zones.request_id"] = request_id
        version: Version = (0, 0)
        try:
            version = self._dialect.version_of(request)
            reply = self._answer(request, version, request_id)
        except errors.ZonesError as error:
            reply = self._fault(error)
        except HTTPException as error:
            reply = self._fault(errors.Invalid(str(error), code="bad_request"))
        except Exception:
            LOG.exception("%s %s failed", request.method, _shown(environ))
            reply = self._fault(errors.ZonesError(
                f"An unexpected error was logged under {request_id}.", code="internal_error"))
        ACCESS.info("%s %s %s %d %.1fms", request_id, request.method, _shown(environ),
                    reply.status, (time.monotonic() - started) * 1000)
        response = _response(reply, {**dict.fromkeys(self._dialect.id_headers, request_id),
                                     **self._dialect.headers_of(version)})
        return response(environ, start_response)  # type: ignore[no-any-return]

    def _answer(self, request: webob.Request, version: Version, request_id: str) -> Reply:
        _check_url(request)
        methods, params = match(self._tree, request.path_info)
        if methods is None:
            raise errors.NotFound("The resource could not be found.", code="no_such_path")
        route = _choose(methods, request.method, version)
        caller = NOBODY
        if route.rule is not None:
            caller = self._authenticate(request)
            if not self._may(route.rule, caller):
                raise errors.Forbidden(f"Policy doesn't allow {route.rule} to be performed.",
                                       code="policy")
        who = msgspec.structs.replace(caller, request_id=caller.request_id or request_id)
        return route.handler(Call(request, params, who, version, self._parts,
                                  lambda rule: self._may(rule, who)))

    def _fault(self, error: errors.ZonesError) -> Reply:
        status = status_of(error)
        headers = {self._dialect.code_header: error.code} if self._dialect.code_header else {}
        if isinstance(error, errors.Unavailable):
            headers["Retry-After"] = str(error.retry_after)
        elif "retry_after" in error.details:
            headers["Retry-After"] = str(error.details["retry_after"])
        if status == 401:
            headers["WWW-Authenticate"] = error.details.get("challenge", "Keystone")
        if status == 405:
            headers["Allow"] = error.details.get("allow", "")
        return Reply(status, self._dialect.fault(error, status), headers)


def _check_url(request: webob.Request) -> None:
    """Path and query are bounded UTF-8 without a NUL: nobody below need think of it again."""
    if len(request.environ.get("PATH_INFO", "")) > MAX_PATH:
        raise errors.TooLarge("the path is too long", code="path_too_long")
    try:
        texts = [request.path_info, *((text for pair in request.GET.items() for text in pair)
                                      if request.query_string else ())]
    except UnicodeDecodeError as error:
        raise errors.Invalid("The URL is not UTF-8.", code="bad_url") from error
    if any("\x00" in text for text in texts):
        raise errors.Invalid("The URL contains a NUL.", code="bad_url")


def _shown(environ: Mapping[str, Any]) -> str:
    """Path and query for a log: whatever the client sent, printable and bounded."""
    path = quote(environ.get("PATH_INFO", "")[:200], encoding="latin-1")
    return f"{path}?{query[:200]!r}" if (query := environ.get("QUERY_STRING")) else path


def _choose(methods: Mapping[str, tuple[Route, ...]], method: str, version: Version) -> Route:
    routes = methods.get(method)
    if routes is None and method == "HEAD":
        routes = methods.get("GET")
    if routes is None:
        raise errors.NotFound("That method is not served here.", code="method_not_allowed",
                              allow=", ".join(sorted(methods)))
    for route in routes:
        if route.since <= version <= route.until:
            return route
    raise errors.NotFound("That is not there at this microversion.", code="no_such_path")


def _response(reply: Reply, headers: Mapping[str, str]) -> webob.Response:
    response = webob.Response(status=reply.status)
    if reply.body is None:
        response.content_length = 0
        response.headers.pop("Content-Type", None)  # WebOb itself takes it from a 204
    elif isinstance(reply.body, bytes):
        response.body = reply.body
        response.content_type = "application/json"
    elif isinstance(reply.body, Iterator):
        response.app_iter = reply.body
        response.content_type = "application/octet-stream"
    else:
        response.body = orjson.dumps(reply.body)
        response.content_type = "application/json"
    response.headers.update(headers)
    response.headers.update(reply.headers)
    return response


# ------------------------------------------------------------------ paths

@dataclass
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "tuple[str, _Node] | None" = None
    methods: dict[str, tuple[Route, ...]] | None = None


def _tree(routes: Routes) -> _Node:
    root = _Node()
    for path, methods in routes.items():
        node = root
        for part in filter(None, path.split("/")):
            if part.startswith("{"):
                if node.parameter is None:
                    node.parameter = (part[1:-1], _Node())
                elif node.parameter[0] != part[1:-1]:
                    raise ValueError(f"{path}: the parameter is called {node.parameter[0]} elsewhere")
                node = node.parameter[1]
            else:
                node = node.children.setdefault(part, _Node())
        node.methods = {method: route if isinstance(route, tuple) else (route,)
                        for method, route in methods.items()}
    return root


def match(root: _Node, path: str) -> tuple[Mapping[str, tuple[Route, ...]] | None, dict[str, str]]:
    """The methods at `path` and its parameters; a literal part wins over a parameter."""
    params: dict[str, str] = {}
    node = root
    for part in filter(None, path.split("/")):
        if part in node.children:
            node = node.children[part]
        elif node.parameter is not None:
            name, node = node.parameter
            params[name] = part
        else:
            return None, params
    return node.methods, params


# ------------------------------------------------------------------ bodies

def read_json(request: webob.Request, limit: int = MAX_BODY) -> Any:
    """The request's body as JSON. Raises `Invalid`, and `TooLarge` past `limit` or `MAX_DEPTH`."""
    length = request.content_length
    if length is not None and length > limit:
        raise errors.TooLarge(f"the body is larger than {limit} bytes", code="body_too_large")
    raw = request.body_file.read(limit + 1)
    if len(raw) > limit:
        raise errors.TooLarge(f"the body is larger than {limit} bytes", code="body_too_large")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.Invalid("Malformed request body: it is not JSON", code="malformed_json") from error
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise errors.Invalid(f"the body is nested deeper than {MAX_DEPTH}", code="too_deep")
        level = [inner for outer in level if isinstance(outer, dict | list)
                 for inner in (outer.values() if isinstance(outer, dict) else outer)]
