"""The Compute API without a network: requests go straight into `wsgi.Service`, on a real database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import webob

from zones.api.compute.parts import Parts
from zones.api.compute.routes import ROUTES
from zones.api.compute.versions import DIALECT
from zones.api.policy import Policy
from zones.api.wsgi import Service
from zones.config import Config, Quota
from zones.db.engine import Database
from zones.errors import Unauthorized
from zones.protocol import Caller, HostReport

CALLERS = {
    "admin": Caller(user_id="boss", project_id="ops", roles=frozenset({"admin"})),
    "ann": Caller(user_id="ann", project_id="p1", roles=frozenset({"member"})),
    "reader": Caller(user_id="rea", project_id="p1", roles=frozenset({"reader"})),
    "bob": Caller(user_id="bob", project_id="p2", roles=frozenset({"member"})),
    **{name: Caller(user_id="zoe", project_id="f1", roles=frozenset({role, "zone_peer"}), owner_peer=peer,
                    peer=peer, request_id="req-of-the-zone-above")
       for name, role, peer in (("peer", "member", "peer-1"), ("peer admin", "admin", "peer-1"),
                                ("other peer", "admin", "peer-2"))},
}
"""Peers' callers are as `zones.api.peers.PeerGate` makes them."""


@dataclass
class Answer:
    """A status, headers, and the body as JSON (None when there is none)."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Api:
    """Calls the service as one of `CALLERS` at a microversion; `hosts` are the reports that it hears."""

    db: Database
    quota: Quota = field(default_factory=Quota)
    hosts: list[HostReport] = field(default_factory=list)
    core: Any = None
    more: dict[str, Any] = field(default_factory=dict)
    """Further parts."""

    def __post_init__(self) -> None:
        config = Config(data_dir=Path("unused"), quota=self.quota)
        parts = Parts(core=cast(Any, self.core), db=self.db, config=config, hosts=lambda: list(self.hosts),
                      host_status=self._host_status, **self.more)
        self._service = Service(ROUTES, parts, DIALECT, self._authenticate, Policy().may)

    def _host_status(self, host: str) -> str:
        enabled = {report.host: report.enabled for report in self.hosts}.get(host)
        return "UNKNOWN" if enabled is None else "UP" if enabled else "MAINTENANCE"

    @staticmethod
    def _authenticate(request: webob.Request) -> Caller:
        if request.headers.get("X-Auth-Token") not in CALLERS:
            raise Unauthorized("who are you?")
        return CALLERS[request.headers["X-Auth-Token"]]

    def __call__(self, method: str, path: str, body: Any = None, *, at: str = "2.90",
                 who: str = "admin", headers: Mapping[str, str] | None = None) -> Answer:
        """One request below `/v2.1`; a body that is bytes is sent as it is."""
        request = webob.Request.blank(f"/v2.1{path}", method=method, headers={
            "X-Auth-Token": who, "OpenStack-API-Version": f"compute {at}", **(headers or {})})
        if body is not None:
            request.body = body if isinstance(body, bytes) else orjson.dumps(body)
        response = request.get_response(self._service)
        return Answer(response.status_code, orjson.loads(response.body) if response.body else None,
                      dict(response.headers))

    def get(self, path: str, *, at: str = "2.90", who: str = "admin") -> Any:
        """The body of a GET that must be answered with 200."""
        answer = self("GET", path, at=at, who=who)
        assert answer.status == 200, answer
        return answer.body


def fault(answer: Answer) -> str:
    """The message of an error in Nova's form, which is checked."""
    assert answer.status >= 400, answer
    ((name, inner),) = answer.body.items()
    assert inner["code"] == answer.status and inner["message"], (name, inner)
    return str(inner["message"])
