"""What projects used in a time: hours of servers, from the servers' own rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import now
from zones.db.tables import server
from zones.errors import Invalid


@dataclass
class ProjectUsage:
    """One project's sums over a time: hours, and hours times size (MiB, GiB, VCPUs)."""

    project_id: str
    hours: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    vcpus: float = 0.0
    servers: list[dict[str, Any]] = field(default_factory=list)
    """One entry a server, in the API's own names; empty unless asked for."""


@dataclass(frozen=True)
class Usage:
    """Usage by project, how many servers it was summed over, and the last one: the next marker."""

    projects: list[ProjectUsage]
    counted: int
    last: str


_COLUMNS = (server.c.id, server.c.name, server.c.project_id, server.c.flavor, server.c.vm_state,
            server.c.launched_at, server.c.terminated_at)


def usage_between(conn: Connection, start: float, stop: float, *, project_id: str | None, detailed: bool,
                  limit: int | None, marker: str | None) -> Usage:
    """What ran between two times, over at most `limit` servers behind `marker` (a server's id).

    A server counts from its launch to its end. Raises `Invalid` for a marker that there is not.
    """
    statement = sa.select(*_COLUMNS).where(
        server.c.launched_at < stop, server.c.owner_peer == "",
        sa.or_(server.c.terminated_at.is_(None), server.c.terminated_at > start))
    if project_id is not None:
        statement = statement.where(server.c.project_id == project_id)
    if marker is not None:
        if conn.execute(sa.select(server.c.id).where(server.c.id == marker)).first() is None:
            raise Invalid(f"Marker {marker} could not be found.", code="bad_marker")
        statement = statement.where(server.c.id > marker)
    at, projects, counted, last = now(conn), dict[str, ProjectUsage](), 0, ""
    for row in conn.execute(statement.order_by(server.c.id).limit(limit)):
        counted, last = counted + 1, row.id
        project = projects.setdefault(row.project_id, ProjectUsage(row.project_id))
        ended = row.terminated_at
        hours = (min(stop, ended or stop) - max(start, row.launched_at)) / 3600
        _add(project, row.flavor, hours)
        if detailed:
            project.servers.append(_server_usage(row, hours, at))
    return Usage(list(projects.values()), counted, last)


def _disk(flavor: Mapping[str, Any]) -> int:
    return int(flavor["disk"]) + int(flavor.get("ephemeral", 0))


def _add(project: ProjectUsage, flavor: Mapping[str, Any], hours: float) -> None:
    project.hours += hours
    project.memory += flavor["ram"] * hours
    project.disk += _disk(flavor) * hours
    project.vcpus += flavor["vcpus"] * hours


def _server_usage(row: Any, hours: float, at: float) -> dict[str, Any]:
    return {
        "instance_id": row.id, "name": row.name, "tenant_id": row.project_id, "hours": hours,
        "flavor": row.flavor["name"], "vcpus": row.flavor["vcpus"], "memory_mb": row.flavor["ram"],
        "local_gb": _disk(row.flavor), "started_at": row.launched_at, "ended_at": row.terminated_at,
        "state": "terminated" if row.terminated_at else row.vm_state,
        "uptime": int((row.terminated_at or at) - row.launched_at)}
