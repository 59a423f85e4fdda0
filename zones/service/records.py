"""Small adapters: the zone's database, as the parts that may not know it need it."""

import uuid
from collections.abc import Collection
from typing import Any

from zones.db import aggregates, attempts, leases, links
from zones.db.engine import Connection, Database, now


class Records:
    """What a `ZoneManager` reads of the zone's database. `hosts_here`: this process runs hosts itself."""

    def __init__(self, db: Database, service_down: float, *, hosts_here: bool = True) -> None:
        self._db = db
        self._service_down = service_down
        self._hosts_here = hosts_here

    def live_services(self) -> dict[str, dict[str, Any]]:
        """Compute services with a recent heartbeat."""
        return self._db.run(leases.live_services, self._service_down)

    def attempts_since(self, seconds: float) -> list[dict[str, Any]]:
        """Attempts that are open or changed lately."""
        return self._db.run(attempts.since, seconds)

    def service_of_host(self, host: str) -> str | None:
        """The service that last said it owns the host."""
        return self._db.run(leases.service_of_host, host)

    def host_zones(self) -> dict[str, str]:
        """The availability zones that aggregates give to hosts."""
        return self._db.run(aggregates.host_zones)

    def may_have_hosts(self) -> bool:
        """Whether a compute service belongs to the zone, or is about to."""
        return self._hosts_here or self._db.run(leases.has_services)

    def links(self) -> list[dict[str, Any]]:
        """Every link's row, and the `age` of its summary."""
        return self._db.run(_links)

    def link_summaries(self, ids: Collection[int]) -> dict[int, tuple[Any, float | None]]:
        """The summaries of these links, and when each came."""
        return self._db.run(links.summaries, ids)


def _links(conn: Connection) -> list[dict[str, Any]]:
    at = now(conn)
    return [{**row, "age": None if row["summary_at"] is None else at - row["summary_at"]}
            for row in links.rows(conn)]


class Lease:
    """A compute service's lease on its own name, in the zone's database."""

    def __init__(self, db: Database, service: str, zone: str) -> None:
        self._db, self._service, self._zone = db, service, zone
        self._holder = str(uuid.uuid4())
        self._boot = 0

    def acquire(self, hosts: list[str]) -> int:
        """Become the owner; the boot number."""
        self._boot = self._db.run(leases.register_service, self._service, self._holder, hosts, self._zone)
        return self._boot

    def renew(self, hosts: list[str]) -> bool:
        """A heartbeat; False when somebody newer owns the service."""
        return self._db.run(leases.renew_service, self._service, self._boot, hosts)
