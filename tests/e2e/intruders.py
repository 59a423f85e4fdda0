"""Who tries to reach what is not theirs: every route of a zone, asked with other people's ids."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from zones.api.compute.actions import ACTIONS
from zones.api.compute.routes import V21
from zones.api.identity.routes import ROUTES as IDENTITY
from zones.api.image.routes import ROUTES as IMAGE
from zones.api.wsgi import Route

SERVER = "/servers/{server_id}"
OLD = "2.35"
"""A microversion of what is gone later."""
BODIES: Mapping[str, Any] = {
    "reboot": {"type": "HARD"}, "resize": {"flavorRef": "2"}, "createImage": {"name": "stolen"},
    "changePassword": {"adminPass": "Stolen.123"}, "os-resetState": {"state": "error"},
    "addSecurityGroup": {"name": "default"}, "removeSecurityGroup": {"name": "default"},
    "addFixedIp": {"networkId": "x"}, "removeFixedIp": {"address": "10.0.0.1"},
    "addFloatingIp": {"address": "10.0.0.1"}, "removeFloatingIp": {"address": "10.0.0.1"},
    "os-migrateLive": {"host": None, "block_migration": "auto"}, "evacuate": {},
    "createBackup": {"name": "x", "backup_type": "daily", "rotation": 1}, "os-getConsoleOutput": {},
    "os-getVNCConsole": {"type": "novnc"}, "os-getSPICEConsole": {"type": "spice-html5"},
    "os-getRDPConsole": {"type": "rdp-html5"}, "os-getSerialConsole": {"type": "serial"}}
"""Arguments of actions that have some."""
ON_SERVERS: Mapping[tuple[str, str], Any] = {
    ("", "PUT"): {"server": {"name": "stolen"}}, ("/metadata", "POST"): {"metadata": {"stolen": "1"}},
    ("/metadata", "PUT"): {"metadata": {"stolen": "1"}}, ("/metadata/{key}", "PUT"): {"meta": {"x": "1"}},
    ("/tags", "PUT"): {"tags": ["stolen"]}, ("/os-interface", "POST"): {"interfaceAttachment": {}},
    ("/os-volume_attachments", "POST"): {"volumeAttachment": {"volumeId": "x"}},
    ("/remote-consoles", "POST"): {"remote_console": {"protocol": "vnc", "type": "novnc"}}}


@dataclass(frozen=True)
class Asked:
    """One operation of an API: `rule` guards it, `at` is the oldest microversion to ask at."""

    service: str
    method: str
    path: str
    rule: str | None
    body: Any = None
    at: str = "2.90"

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.method} {self.service}{self.path} {self.body or ''}"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Intruder:
    """Somebody with a token at an endpoint; keeps every answer that was got."""

    url: str
    token: str
    headers: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    _line: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, at: str = "2.90",
            **headers: str) -> Answer:
        """The answer to a request whose path is sent as it is."""
        raw = b"" if body is None else json.dumps(body).encode()
        for again in (True, False):
            line = self._line = self._line or http.client.HTTPConnection(
                str(urlsplit(self.url).netloc), timeout=40)
            try:
                line.putrequest(method, path, skip_accept_encoding=True)
                for name, value in {"X-Auth-Token": self.token, "Content-Type": "application/json",
                                    "OpenStack-API-Version": f"compute {at}", "Content-Length": str(len(raw)),
                                    **self.headers, **headers}.items():
                    line.putheader(name, value)
                line.endheaders(raw)
                found = line.getresponse()
                text = found.read().decode(errors="replace")
                break
            except (ConnectionError, http.client.BadStatusLine):  # an idle connection that was closed
                line.close()
                self._line = None
                if not again:
                    raise
        told = dict(found.getheaders())
        self.kept.append(f"{told}\n{text}")
        return Answer(found.status, told, text)

    def try_on(self, asked: Asked, ids: Mapping[str, str], prefix: str = "") -> Answer:
        """Ask for an operation on somebody's things: `ids` are the parameters of its path."""
        path = asked.path
        for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            path = path.replace(f"{{{name}}}", ids.get(name, "x"))
        root = {"compute": f"/compute/v2.1{prefix}"}.get(asked.service, f"/{asked.service}")
        return self.ask(asked.method, root + path, asked.body, asked.at)


def on_servers() -> Iterator[Asked]:
    """Every operation of a server, with a body that it would take."""
    for asked in compute():
        if asked.path.startswith(SERVER):
            yield asked


def compute() -> Iterator[Asked]:
    """Every operation of the Compute API; each server action is one."""
    for path, methods in V21.items():
        for method, routes in methods.items():
            for route in routes if isinstance(routes, tuple) else (routes,):
                at = "2.90" if route.until >= (2, 90) else OLD
                if path == f"{SERVER}/action":
                    yield from (Asked("compute", method, path, action.rule, {name: BODIES.get(name)},
                                      "2.90" if action.until >= (2, 90) else "2.5")
                                for name, action in [*ACTIONS.items()] if name not in ("rebuild", "rescue"))
                    yield Asked("compute", method, path, ACTIONS["rescue"].rule, {"rescue": {}})
                else:
                    yield Asked("compute", method, path, route.rule,
                                ON_SERVERS.get((path.removeprefix(SERVER), method), _anything(method)), at)


def others() -> Iterator[Asked]:
    """Every operation of the Identity and the Image API."""
    for service, table in (("identity", IDENTITY), ("image", IMAGE)):
        for path, methods in table.items():
            for method, route in methods.items():
                assert isinstance(route, Route)
                yield Asked(service, method, path, route.rule, _anything(method))


def _anything(method: str) -> Any:
    return {} if method in ("POST", "PUT", "PATCH") else None
