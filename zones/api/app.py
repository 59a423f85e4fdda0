"""The endpoint: one WSGI application, a literal table of which path belongs to which service."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import orjson
from prometheus_client import CollectorRegistry

from zones.api import faults, root
from zones.api.auth import Authenticator, Backend
from zones.api.compute.parts import Parts as ComputeParts
from zones.api.compute.routes import ROUTES as COMPUTE
from zones.api.compute.versions import DIALECT as COMPUTE_DIALECT
from zones.api.identity.parts import Parts as IdentityParts
from zones.api.identity.routes import DIALECT as IDENTITY_DIALECT
from zones.api.identity.routes import ROUTES as IDENTITY
from zones.api.image.parts import Parts as ImageParts
from zones.api.image.routes import DIALECT as IMAGE_DIALECT
from zones.api.image.routes import ROUTES as IMAGE
from zones.api.peers import PeerGate
from zones.api.policy import Policy
from zones.api.wsgi import Service
from zones.errors import Invalid

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
_BAD_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Mount:
    """A path below which `app` answers; `keep` leaves the path as it is, else the mount is cut off."""

    path: str
    app: Wsgi
    keep: bool = False


def make_app(compute: ComputeParts, identity: IdentityParts, image: ImageParts, *, backend: Backend,
             policy: Policy, checks: Callable[[], Mapping[str, str]], metrics: CollectorRegistry,
             public_url: str = "", identity_url: str = "") -> "Endpoint":
    """The whole endpoint. `backend` knows tokens; `checks` and `metrics` as in `root.Parts`.

    `public_url` "" means: links and catalog show the address by which the client came.
    `identity_url` names an identity that is elsewhere, in the challenge of a 401.
    """
    who = Authenticator(backend, identity_url)
    gate = PeerGate(who, compute.db, own_uuid=compute.core.zone_uuid)
    compute_app = Service(COMPUTE, compute, COMPUTE_DIALECT, gate, policy.may)
    identity_app = Service(IDENTITY, identity, IDENTITY_DIALECT, who, policy.may)
    image_app = Service(IMAGE, image, IMAGE_DIALECT, who, policy.may)
    process_app = Service(root.ROUTES, root.Parts(checks, metrics), root.DIALECT, who, policy.may)
    return Endpoint((
        Mount("/compute", compute_app),
        Mount("/v2.1", compute_app, keep=True),
        Mount("/image", image_app),
        Mount("/identity", identity_app),
        Mount("/healthz", process_app, keep=True),
        Mount("/readyz", process_app, keep=True),
        Mount("/metrics", process_app, keep=True),
        Mount("", identity_app),  # `/` and `/v3`: clients that know only a host look here
    ), public_url)


class Endpoint:
    """Hands each request to the service of its first path element."""

    def __init__(self, mounts: Iterable[Mount], public_url: str = "") -> None:
        self._mounts = {mount.path: mount for mount in mounts}
        self._public = urlsplit(public_url.rstrip("/")) if public_url else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """PEP 3333. Sets `zones.root_url`: what all services of this endpoint stand below."""
        if not _is_text(environ):
            return _refuse(start_response)
        self._set_root(environ)
        path = environ.get("PATH_INFO", "")
        first = path.find("/", 1)
        prefix = path if first < 0 else path[:first]
        mount = self._mounts.get(prefix) or self._mounts[""]
        if mount.path and not mount.keep:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + mount.path
            environ["PATH_INFO"] = path[len(mount.path):]
        return mount.app(environ, start_response)

    def _set_root(self, environ: dict[str, Any]) -> None:
        if self._public is not None:
            environ["wsgi.url_scheme"] = self._public.scheme
            environ["HTTP_HOST"] = self._public.netloc
            environ["SCRIPT_NAME"] = self._public.path
        host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        environ["zones.root_url"] = (
            f"{environ['wsgi.url_scheme']}://{host}{environ.get('SCRIPT_NAME', '')}")


def _is_text(environ: dict[str, Any]) -> bool:
    """Whether path and query are UTF-8 without NUL: nothing behind here could do with anything else."""
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    if path.isascii() and query.isascii() and "\0" not in path and "%" not in query:
        return True
    try:
        raw = path.encode("latin-1") + b"?" + unquote_to_bytes(query.encode("latin-1"))
    except UnicodeEncodeError:
        return False
    return _BAD_TEXT.search(raw.decode("utf-8", "surrogateescape")) is None


def _refuse(start_response: Any) -> Iterable[bytes]:
    error = Invalid("The URL must be UTF-8 text without NUL.", code="bad_url")
    body = orjson.dumps(faults.nova(error, 400))
    start_response("400 Bad Request", [("Content-Type", "application/json"),
                                       ("Content-Length", str(len(body)))])
    return [body]
