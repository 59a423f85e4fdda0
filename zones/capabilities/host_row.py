"""What the host table keeps of one host beside the columns, and one host as a value for views."""

from typing import NamedTuple

from zones.capabilities.room import Capacity
from zones.errors import Invalid
from zones.protocol import HostReport

Version = tuple[int, int]
"""(boot, seq) of a report."""
Values = tuple[str, ...]

LONGEST_INTERVAL = 3600.0
LARGEST = 2**40
"""No host is larger, in any unit; a report that says so is a mistake."""
NOTHING = Capacity(0, 0, 0)


class HostClass(NamedTuple):
    """What hosts of one class have in common: AZ, static capabilities, sorted, and shared limits."""

    availability_zone: str
    capabilities: tuple[tuple[str, Values], ...]
    shares: str = ""


class HostState(NamedTuple):
    """One host as it was last heard. `free` is `capacity` − `used` − what is in flight to it."""

    host: str
    service: str
    version: Version
    availability_zone: str
    hypervisor: str
    size: Capacity
    capacity: Capacity
    used: Capacity
    free: Capacity
    servers: int
    building: int
    failed_builds: int
    enabled: bool
    up: bool
    heard_at: float
    capabilities: dict[str, Values]
    live: dict[str, float]
    unsupported: Values


class Row:
    """One host's row, without what can be shared between hosts: 10,000 of these must stay small."""

    __slots__ = ("building", "capacity", "failed_builds", "held", "held_servers", "hypervisor", "name",
                 "servers", "service", "size", "unsupported", "used", "version")

    def __init__(self, report: HostReport) -> None:
        self.name = report.host
        self.service = report.service
        self.hypervisor = report.hypervisor
        self.unsupported: Values = ()
        self.version: Version = (-1, -1)
        self.size = NOTHING
        self.capacity = NOTHING
        self.used = NOTHING
        self.held = NOTHING
        self.servers = self.held_servers = self.building = self.failed_builds = 0


def check(report: HostReport) -> None:
    """Raises `Invalid` for a report whose numbers no host has."""
    if not (0 <= report.vcpus <= LARGEST and 0 <= report.ram <= LARGEST and 0 <= report.disk <= LARGEST
            and 0 <= report.vcpus_used <= LARGEST and 0 <= report.ram_used <= LARGEST
            and 0 <= report.disk_used <= LARGEST and 0 <= report.servers <= LARGEST
            and 0 <= report.building <= LARGEST and 0 <= report.failed_builds <= LARGEST
            and 0 < report.interval <= LONGEST_INTERVAL and report.boot >= 0 and report.seq >= 0):
        raise Invalid(f"host {report.host} reports numbers that no host has", code="bad_report",
                      service=report.service, host=report.host)
