"""Every host of the zone, up or down: what its service's row, its last report and aggregates say."""

import uuid
import zlib
from dataclasses import dataclass
from typing import Any

from zones.api.wsgi import Call
from zones.db import aggregates, services
from zones.protocol import HostReport

_NAMESPACE = uuid.UUID("6f0b5dc4-6a0e-5d0f-9f0a-3d5e0d0c2a11")

INTERNAL = "internal"
"""Where Nova lists services that run no servers."""
UUID_IDS = (2, 53)
"""From here on services and hypervisors are known by UUIDs; below by numbers."""


@dataclass(frozen=True)
class KnownHost:
    """One host: `service` is its service's row; `report` is None while nothing was heard of it."""

    name: str
    service: dict[str, Any]
    zone: str
    report: HostReport | None

    @property
    def up(self) -> bool:
        """Whether its service lives and has reported it."""
        return bool(self.service["up"]) and self.report is not None

    @property
    def enabled(self) -> bool:
        """Whether new servers may be placed on it."""
        return not self.service["disabled"] and (self.report is None or self.report.enabled)

    @property
    def uuid(self) -> str:
        """Its id from 2.53 on: the same for ever, since the name is."""
        return str(uuid.uuid5(_NAMESPACE, self.name))

    @property
    def number(self) -> int:
        """Its id below 2.53, as stable."""
        return number_of(self.name)

    def id(self, version: tuple[int, int]) -> str | int:
        """Its id at a microversion."""
        return self.uuid if version >= UUID_IDS else self.number


def number_of(name: str) -> int:
    """A positive 31-bit number for a name: old microversions know things by numbers."""
    return (zlib.crc32(name.encode()) >> 1) or 1


def known_services(call: Call) -> list[dict[str, Any]]:
    """Every service's row with `up`, by name."""
    rows: list[dict[str, Any]] = call.parts.db.run(services.list_services,
                                                   call.parts.config.timing.service_down)
    return rows


def known_hosts(call: Call) -> list[KnownHost]:
    """Every host that a service owns, by name."""
    zones = call.parts.db.run(aggregates.host_zones)
    reports = {report.host: report for report in call.parts.hosts()}
    default = call.parts.config.placement.default_availability_zone
    found = []
    for service in known_services(call):
        for name in service["hosts"]:
            report = reports.get(name)
            said = report.availability_zone if report else service["zone"]
            found.append(KnownHost(name, service, zones.get(name) or said or default, report))
    return sorted(found, key=lambda host: host.name)
