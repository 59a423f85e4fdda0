"""Quota of a server that a neighbour has: taken before it is asked for more, settled by what it says.

Who dies in between, or gets no answer, has perhaps asked for nothing: then no document ever comes. So
what is taken beyond what the server has lapses; a neighbour that did it after all says so, and then it
is counted.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from zones.db import changes, quotas, work
from zones.db.engine import Connection, now
from zones.protocol import Caller, FlavorValue
from zones.servers.core import Core, Row
from zones.servers.delete import mine

PATIENCE = 60.0
"""Seconds that more than a server has is held for it: longer than any neighbour is waited for."""
HELD = "held"
"""The kind of work that ends it."""


class Held(NamedTuple):
    """What was taken beyond what the server had."""

    cores: int
    ram: int


def hold(conn: Connection, core: Core, caller: Caller, server_id: str, flavor: FlavorValue) -> Held:
    """Take the quota that a resize to this flavor needs while both sizes count.

    A document that is newer than the last one heard settles it. Raises `NotFound`, `OverQuota`.
    """
    row, at = mine(conn, caller, server_id), now(conn)
    more = Held(max(0, flavor.vcpus - row["quota_cores"]), max(0, flavor.ram - row["quota_ram"]))
    limits = quotas.effective_limits(conn, row["project_id"], core.quota)
    quotas.reserve(conn, row["owner_peer"], row["project_id"], limits, 0, more.cores, more.ram)
    changes.change(conn, server_id, at, quota_cores=row["quota_cores"] + more.cores,
                   quota_ram=row["quota_ram"] + more.ram, held_version=row["news_version"] + 1)
    work.drop(conn, server_id, [HELD])
    work.add(conn, [{"kind": HELD, "server_id": server_id, "due_at": at + PATIENCE, "created_at": at}])
    return more


def give_back(conn: Connection, server_id: str, held: Held) -> None:
    """The neighbour did surely not do it. Nothing to do when a document has settled it meanwhile."""
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is None or row["deleted"] or row["held_version"] <= row["news_version"]:
        return
    quotas.release(conn, row["owner_peer"], row["project_id"], 0, held.cores, held.ram)
    changes.change(conn, server_id, now(conn), quota_cores=row["quota_cores"] - held.cores,
                   quota_ram=row["quota_ram"] - held.ram)
    work.drop(conn, server_id, [HELD])


def lapse(conn: Connection, server_id: str) -> None:
    """The neighbour has not said that it did it, for long: count what the server has."""
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is not None and not row["deleted"] and row["held_version"] > row["news_version"]:
        counted = recount(conn, row, row["flavor"], row["old_flavor"])
        changes.change(conn, server_id, now(conn), held_version=row["news_version"], **counted)


def recount(conn: Connection, row: Row, flavor: Mapping[str, Any],
            old_flavor: Mapping[str, Any] | None) -> Row:
    """Count what a server has now; the columns that say so. The neighbour has it: no limit is asked."""
    sizes = [flavor, *([old_flavor] if old_flavor else [])]
    cores, ram = (max(int(size[name]) for size in sizes) for name in ("vcpus", "ram"))
    more = (cores - row["quota_cores"], ram - row["quota_ram"])
    if more != (0, 0):
        quotas.count(conn, row["owner_peer"], row["project_id"], 0, *more)
    return {"quota_cores": cores, "quota_ram": ram}
