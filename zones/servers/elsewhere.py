"""Quota of a server that a neighbour has: taken before it is asked for more, settled by what it says."""

from typing import NamedTuple

from zones.db import changes, quotas
from zones.db.engine import Connection, now
from zones.protocol import Caller, FlavorValue
from zones.servers.core import Core
from zones.servers.delete import mine


class Held(NamedTuple):
    """What was taken beyond what the server had."""

    cores: int
    ram: int


def hold(conn: Connection, core: Core, caller: Caller, server_id: str, flavor: FlavorValue) -> Held:
    """Take the quota that a resize to this flavor needs while both sizes count.

    A document that is newer than the last one heard settles it. Raises `NotFound`, `OverQuota`.
    """
    row = mine(conn, caller, server_id)
    more = Held(max(0, flavor.vcpus - row["quota_cores"]), max(0, flavor.ram - row["quota_ram"]))
    limits = quotas.effective_limits(conn, row["project_id"], core.quota)
    quotas.reserve(conn, row["owner_peer"], row["project_id"], limits, 0, more.cores, more.ram)
    changes.change(conn, server_id, now(conn), quota_cores=row["quota_cores"] + more.cores,
                   quota_ram=row["quota_ram"] + more.ram, held_version=row["news_version"] + 1)
    return more


def give_back(conn: Connection, server_id: str, held: Held) -> None:
    """The neighbour did surely not do it. Nothing to do when a document has settled it meanwhile."""
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is None or row["deleted"] or row["held_version"] <= row["news_version"]:
        return
    quotas.release(conn, row["owner_peer"], row["project_id"], 0, held.cores, held.ram)
    changes.change(conn, server_id, now(conn), quota_cores=row["quota_cores"] - held.cores,
                   quota_ram=row["quota_ram"] - held.ram)
