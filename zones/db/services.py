"""Compute services as an operator sees them; their leases and heartbeats stand in `leases`."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.aggregates import drop_host
from zones.db.engine import now
from zones.db.tables import server, service
from zones.errors import Conflict, NotFound

Row = dict[str, Any]


def list_services(conn: Connection, down_after: float) -> list[Row]:
    """Every service by name, with `up`: heard in the last `down_after` seconds and not forced down."""
    at = now(conn)
    rows = conn.execute(sa.select(service).order_by(service.c.host)).mappings()
    return [{**row, "hosts": row["hosts"] or [],
             "up": not row["forced_down"] and (row["heartbeat_at"] or 0.0) > at - down_after}
            for row in rows]


def change_service(conn: Connection, host: str, changes: Row) -> None:
    """Set `disabled`, `disabled_reason`, `forced_down` of a service. Raises `NotFound`."""
    done = conn.execute(sa.update(service).where(service.c.host == host),
                        {**changes, "updated_at": now(conn)})
    if not done.rowcount:
        raise NotFound(f"Could not find binary nova-compute on host {host}.", code="no_service")


def delete_service(conn: Connection, host: str, down_after: float) -> None:
    """Forget a service that is gone for good, and its hosts in aggregates.

    Raises `NotFound`; `Conflict` while it is heard, or while servers live on its hosts.
    """
    row = conn.execute(sa.select(service).where(service.c.host == host).with_for_update()).first()
    if row is None:
        raise NotFound(f"Service {host} not found.", code="no_service")
    hosts = set(row.hosts or ()) | {host}
    if servers_by_host(conn, hosts):
        raise Conflict("Unable to delete compute service that is hosting instances. Migrate or delete "
                       "the instances first.", code="service_in_use")
    if (row.heartbeat_at or 0.0) > now(conn) - down_after:
        raise Conflict(f"Unable to delete compute service {host} while it is running. Stop it first.",
                       code="service_up")
    for name in hosts:
        drop_host(conn, name)
    conn.execute(sa.delete(service).where(service.c.host == host))


def servers_by_host(conn: Connection, hosts: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """(id, name) of the servers that live on each of these hosts, in order of creation."""
    found: dict[str, list[tuple[str, str]]] = {}
    rows = conn.execute(
        sa.select(server.c.host, server.c.id, server.c.name)
        .where(server.c.deleted.is_(False), server.c.host.in_(list(hosts)))
        .order_by(server.c.created_at, server.c.id))
    for host, server_id, name in rows:
        found.setdefault(host, []).append((server_id, name))
    return found


def sizes_by_project(conn: Connection, host: str) -> dict[str, tuple[int, int, int]]:
    """vCPUs, MiB of RAM and GiB of disk of the servers on a host, by project."""
    found: dict[str, tuple[int, int, int]] = {}
    rows = conn.execute(sa.select(server.c.project_id, server.c.flavor)
                        .where(server.c.deleted.is_(False), server.c.host == host))
    for project, flavor in rows:
        cpus, ram, disk = found.get(project, (0, 0, 0))
        found[project] = (cpus + flavor.get("vcpus", 0), ram + flavor.get("ram", 0),
                          disk + flavor.get("disk", 0) + flavor.get("ephemeral", 0))
    return found
