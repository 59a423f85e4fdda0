"""Peers of a zone whose far ends are doubles, and the boots that they hand over."""

import uuid
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from tests.server_rows import FLAVOR, FarEnds, core_of
from zones.config import Quota
from zones.db import changes, feed, leases, peers, tables
from zones.db.engine import Connection, Database
from zones.protocol import Caller, ImageValue, ServerSpec
from zones.protocol.neighbours import Answered, Handover
from zones.servers import handover
from zones.servers.core import Core

HASH = "ab" * 64
IMAGE = ImageValue("22222222-2222-2222-2222-222222222222", "theirs", os_hash_value=HASH, size=4096)
LOCAL_IMAGE = "33333333-3333-3333-3333-333333333333"


def new_id() -> str:
    """An id as zones make them."""
    return str(uuid.uuid4())


@dataclass
class ChildZone:
    """A zone that peers boot in; it has the image `IMAGE` under another id."""

    db: Database
    core: Core
    ends: FarEnds

    def peer(self, identity: str = "foreign") -> Caller:
        """A new peer record, and who calls as it."""
        peer_id = new_id()
        self.db.run(peers.add, {"id": peer_id, "name": f"peer-{peer_id}", "identity": identity,
                                "created_at": 1.0})
        return Caller(user_id="peer-user", project_id="", roles=frozenset({"zone_peer"}), peer=peer_id,
                      owner_peer="" if identity == "shared" else peer_id)

    def boot(self, peer: Caller, **given: Any) -> Answered:
        """Hand one boot over."""
        return handover.accept(self.core, peer, [boot_of(**given)])[0]

    def row(self, server_id: str) -> dict[str, Any]:
        """The server's row."""
        return next(row for row in self.rows(tables.server) if row["id"] == server_id)

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """All of a table."""
        return self.db.run(_rows, table)

    def number(self, most: int = feed.MOST) -> int | None:
        """Number the feed once; the new head."""
        return self.db.run(lambda conn: feed.number(conn, feed.peers(conn), most))

    def change(self, server_id: str, at: float, **values: Any) -> None:
        """Change a server's row, as all do who change one."""
        self.db.run(lambda conn: changes.change(conn, server_id, at, **values))

    def refuse(self, server_id: str, code: str = "no_valid_host") -> None:
        """What the worker does with a server that fits nowhere here."""
        self.db.run(_refuse, self.core, server_id, code)

    def usage(self, peer: Caller) -> tuple[int, int, int]:
        """What all projects of a peer use: instances, cores, RAM."""
        rows = [row for row in self.rows(tables.quota_usage) if row["owner_peer"] == peer.owner_peer]
        instances, cores, ram = (sum(row[name] for row in rows) for name in ("instances", "cores", "ram"))
        return instances, cores, ram


def child_zone(db: Database, quota: Quota | None = None) -> ChildZone:
    """A zone called `west` on this database."""
    zone = db.run(leases.ensure_zone, "west")
    ends = FarEnds(matching={(HASH, 4096): LOCAL_IMAGE})
    return ChildZone(db, replace(core_of(db, ends, quota), zone_uuid=zone["uuid"]), ends)


def boot_of(attempt: str = "", request_id: str = "", **spec: Any) -> Handover:
    """A boot; `spec` are fields of its spec."""
    whole = ServerSpec(**{"id": new_id(), "name": "vm", "project_id": "theirs", "user_id": "uma",
                          "flavor": FLAVOR, "image": IMAGE, "path": [new_id()], **spec})
    return Handover(attempt or new_id(), msgspec.convert(msgspec.to_builtins(whole), ServerSpec), request_id)


def _rows(conn: Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(sa.select(table)).mappings()]


def _refuse(conn: Connection, core: Core, server_id: str, code: str) -> None:
    row = next(row for row in _rows(conn, tables.server) if row["id"] == server_id)
    handover.refuse(conn, core, row, 2e9, code, "it fits nowhere")
