"""Servers as rows, without a core that makes them; and a core whose far ends are recorded."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from tests.compute_api import Api
from zones.config import Placement, Quota, Timing
from zones.db import flavors, tables
from zones.db.engine import Database
from zones.errors import NotFound
from zones.protocol import (
    Answer,
    Ask,
    Caller,
    FlavorValue,
    HostReport,
    ImageValue,
    Message,
    ServerSpec,
    encode,
)
from zones.servers.core import Core

FLAVOR = FlavorValue("1", "m1.tiny", 1, 512, 1, extra_specs={"a": "b"})
IMAGE = ImageValue("11111111-1111-1111-1111-111111111111", "cirros", min_ram=64)
NET = [{"addr": "10.0.0.9", "version": 4, "OS-EXT-IPS:type": "fixed",
        "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:09"}]


def add_server(db: Database, *, security_groups: tuple[str, ...] = (), **values: Any) -> str:
    """Insert an active server of project p1 (`values` say otherwise); its id."""
    server_id = str(values.pop("id", uuid.uuid4()))
    project, name = values.get("project_id", "p1"), values.get("name", "vm")
    spec = ServerSpec(server_id, name, project, "ann", FLAVOR, IMAGE, security_groups=list(security_groups))
    flavor = {field: getattr(FLAVOR, field) for field in FLAVOR.__struct_fields__}
    row = {"id": server_id, "project_id": project, "user_id": "ann", "name": name, "hostname": "vm",
           "flavor_id": "1", "flavor": flavor, "image_id": IMAGE.id, "vm_state": "active",
           "power_state": 1, "host": "host-1", "availability_zone": "nova", "metadata": {}, "tags": [],
           "addresses": {"private": NET}, "attempt_id": "a-1", "reservation_id": "r-1",
           "created_at": 1e9, "updated_at": 1e9, "launched_at": 1e9 + 2.5, "spec": encode(spec),
           "feed_seq": 7, **values}
    db.run(lambda conn: conn.execute(sa.insert(tables.server), [row]))
    return server_id


def server_row(db: Database, server_id: str) -> dict[str, Any]:
    """The row as it is now."""
    return db.run(lambda conn: dict(conn.execute(sa.select(tables.server).where(
        tables.server.c.id == server_id)).mappings().one()))


def add_action(db: Database, server_id: str, **values: Any) -> None:
    """Insert an instance action that succeeded."""
    row = {"server_id": server_id, "action": "create", "request_id": f"req-{uuid.uuid4()}",
           "user_id": "ann", "project_id": "p1", "start_time": 1e9, "finish_time": 1e9 + 1,
           "updated_at": 1e9 + 1, "result": "Success", "host": "host-1", **values}
    db.run(lambda conn: conn.execute(sa.insert(tables.instance_action), [row]))


@dataclass
class FarEnds:
    """Images, bus and compute services that answer at once; `asked` is what they were asked."""

    asked: list[Message] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    reserved: dict[str, str | None] = field(default_factory=dict)
    matching: dict[tuple[str, int], str] = field(default_factory=dict)

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        """The one image."""
        if image_id != IMAGE.id:
            raise NotFound(f"no image {image_id}")
        return IMAGE

    def reserve(self, caller: Caller, image_id: str, name: str, properties: dict[str, str],
                base: ImageValue | None, zone_uuid: str | None = None) -> None:
        """It is remembered."""
        self.reserved[image_id] = zone_uuid

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        """What the test says that there is."""
        return self.matching.get((os_hash_value, size))

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> ImageValue:
        """The one image."""
        return IMAGE

    def discard(self, image_id: str) -> None:
        """It is forgotten."""
        self.reserved.pop(image_id, None)

    def send(self, service: str, message: Message) -> bool:
        """Sent."""
        return True

    def wake(self) -> None:
        """Nobody sleeps."""

    def ask(self, service: str, message: Message, deadline: float) -> Message:
        """The answer that the test has laid ready."""
        self.asked.append(message)
        assert isinstance(message, Ask)
        return Answer(value=self.answers[message.question])


def core_of(db: Database, ends: FarEnds, quota: Quota | None = None) -> Core:
    """The core on this database: every host is up and can do everything."""
    return Core(db=db, wires=ends, images=ends, quota=quota or Quota(), placement=Placement(),
                timing=Timing(), max_backlog=1000, service_of=lambda host: "c1",
                unsupported=lambda host: frozenset(), is_up=lambda host: True,
                seal=lambda text: f"sealed:{text}", unseal=lambda text: text.removeprefix("sealed:"))


def zone_api(db: Database, ends: FarEnds | None = None) -> Api:
    """The Compute API on the real core; only the bus and the images are doubles. One flavor, one host."""
    fields = {name: getattr(FLAVOR, name) for name in FLAVOR.__struct_fields__}
    larger = {**fields, "id": "2", "name": "m1.small", "ram": 2048, "disk": 20}
    for row in (fields, larger):
        db.run(flavors.create_flavor, {**row, "disabled": False, "created_at": 1.0, "updated_at": None})
    report = HostReport("c1", "host-1", 1, 1, "nova", 8, 8192, 100, 0, 0, 0, 0)
    return Api(db, hosts=[report], core=core_of(db, ends or FarEnds()))
