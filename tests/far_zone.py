"""A neighbour that writes down exactly what it is asked, and a zone that has a server there."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import sqlalchemy as sa

from tests.compute_api import Api
from tests.server_rows import FLAVOR, FarEnds, add_server, core_of, server_row, zone_api
from zones.capabilities.link_table import LinkState
from zones.db import attempts, tables
from zones.db.engine import Database
from zones.errors import Unavailable, ZonesError
from zones.protocol import ImageValue
from zones.protocol.neighbours import Origin, ServerDoc

EAST = "aaaaaaaa-0000-4000-8000-00000000000e"
ATTEMPT = "aaaaaaaa-0000-4000-8000-00000000000a"


@dataclass(frozen=True)
class Asked:
    """One forwarded request."""

    method: str
    path: str
    origin: Origin
    microversion: str
    body: Any
    operation: str | None


@dataclass(frozen=True)
class Response:
    """What the neighbour answers."""

    status: int = 202
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, name: str = "conflictingRequest") -> Response:
    """A refusal as a zone's Compute API words it."""
    return Response(status, orjson.dumps({name: {"code": status, "message": "no"}}), {"X-Zone-Error": code})


@dataclass
class FarZone:
    """Answers `answers` in turn, an error is raised, then `otherwise`; `docs` are its servers."""

    answers: list[Response | ZonesError] = field(default_factory=list)
    otherwise: Response = field(default_factory=Response)
    asked: list[Asked] = field(default_factory=list)
    docs: dict[str, ServerDoc] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    pushed: list[tuple[str, str, str]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    """Called while it is asked."""
    silent: bool = False

    def forward(self, method: str, path: str, *, origin: Origin, microversion: str,
                body: bytes | None = None, operation: str | None = None) -> Response:
        """Write it down and answer."""
        self.asked.append(Asked(method, path, origin, microversion,
                                None if body is None else orjson.loads(body), operation))
        self.before()
        answer = self.answers.pop(0) if self.answers else self.otherwise
        if isinstance(answer, ZonesError):
            raise answer
        return answer

    def document(self, server_id: str) -> ServerDoc | None:
        """What the test has laid ready."""
        self.fetched.append(server_id)
        return self.docs.get(server_id)

    def push(self, zone_uuid: str, image: ImageValue, project_id: str) -> None:
        """Taken."""
        self.pushed.append((zone_uuid, image.id, project_id))

    def parts(self) -> dict[str, Any]:
        """The parts of an API that has this neighbour."""
        return {"neighbours": self._to, "push": self.push,
                "links": lambda: [LinkState(EAST, "east")],
                "silent": lambda: frozenset({EAST}) if self.silent else frozenset()}

    def _to(self, zone_uuid: str) -> "FarZone":
        if zone_uuid != EAST:
            raise Unavailable("there is no link", code="zone_down")
        return self


@dataclass
class Near:
    """A zone whose neighbour is `far`; `ends` are its images."""

    api: Api
    far: FarZone
    ends: FarEnds

    @property
    def last(self) -> Asked:
        """What the neighbour was asked last."""
        return self.far.asked[-1]

    def server(self, **values: Any) -> str:
        """A server of project p1 that the neighbour has; its id."""
        server_id = add_server(self.api.db, **{
            "host": None, "zone_uuid": EAST, "host_path": ["east"], "attempt_id": str(uuid.uuid4()),
            "quota_cores": 1, "quota_ram": 512, "news_version": 3, **values})
        row = server_row(self.api.db, server_id)
        attempt = {"id": row["attempt_id"], "server_id": server_id, "n": 1, "kind": "link", "target": EAST,
                   "state": "running", "maybe": False, "vcpus": 1, "ram": 512, "disk": 1,
                   "explanation": None, "reason": None, "counted_boot": 0, "counted_seq": 1,
                   "created_at": 1e9, "updated_at": 1e9, "answered_at": 1e9}
        self.api.db.run(lambda conn: attempts.insert(conn, [attempt]))
        return server_id

    def says(self, server_id: str, **values: Any) -> None:
        """Let the neighbour's document of a server be its row, but for these values."""
        row = server_row(self.api.db, server_id)
        doc = {"id": server_id, "attempt": row["attempt_id"], "seq": 9, "version": row["news_version"] + 1,
               "project_id": row["project_id"], "user_id": row["user_id"], "name": row["name"],
               "vm_state": row["vm_state"], "flavor": msgspec.to_builtins(FLAVOR) | {"id": "1"},
               "placed": True, "launched_at": 1e9, "power_state": 1, **values}
        self.far.docs[server_id] = msgspec.convert(doc, ServerDoc)


def near_zone(db: Database, far: FarZone | None = None, **link: Any) -> Near:
    """A zone with a link called east."""
    far, ends = far or FarZone(), FarEnds()
    api = zone_api(db, ends)
    api = Api(db, hosts=api.hosts, core=core_of(db, ends), more=far.parts())
    row = {"zone_uuid": EAST, "name": "east", "api_url": "http://east", "is_active": True, "created_at": 1.0,
           "max_microversion": "2.90", **link}
    db.run(lambda conn: conn.execute(sa.insert(tables.link), [row]))
    db.run(lambda conn: conn.execute(sa.insert(tables.zone), [
        {"uuid": "aaaaaaaa-0000-4000-8000-000000000001", "name": "near", "epoch": "e", "created_at": 1.0}]))
    return Near(api, far, ends)
