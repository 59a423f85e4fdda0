"""Hosts and requests made in one line, for the tests of the pure rooms."""

from typing import Any

from zones.capabilities.host_table import HostTable
from zones.config import Placement
from zones.protocol import FlavorValue, HostReport, ServerSpec
from zones.scheduler.request import PlacementRequest


def report(host: str = "h1", seq: int = 1, boot: int = 1, **given: Any) -> HostReport:
    """A report of an empty host of 8 vCPUs, 8192 MiB, 100 GiB, unless told otherwise."""
    values: dict[str, Any] = {
        "service": "compute-1", "availability_zone": "nova", "vcpus": 8, "ram": 8192, "disk": 100,
        "vcpus_used": 0, "ram_used": 0, "disk_used": 0, "servers": 0}
    return HostReport(host=host, seq=seq, boot=boot, **(values | given))


def table_of(*reports: HostReport, placement: Placement | None = None, **given: Any) -> HostTable:
    """A table that has heard these reports at time 0."""
    table = HostTable(placement or Placement(cpu_allocation_ratio=1.0), **given)
    for one in reports:
        assert table.apply(one, 0.0)
    return table


def flavor(vcpus: int = 1, ram: int = 1024, disk: int = 10, **given: Any) -> FlavorValue:
    """A flavor of this shape."""
    return FlavorValue(id="f", name="f", vcpus=vcpus, ram=ram, disk=disk, **given)


def spec(server: str = "s1", like: FlavorValue | None = None, **given: Any) -> ServerSpec:
    """A spec of a server."""
    return ServerSpec(id=server, name=server, project_id="p", user_id="u", flavor=like or flavor(), **given)


def request(server: str = "s1", like: FlavorValue | None = None, **given: Any) -> PlacementRequest:
    """A request; what is no field of `PlacementRequest` goes into its spec."""
    own = {key: given.pop(key) for key in list(given) if key in PlacementRequest.__dataclass_fields__}
    return PlacementRequest(spec(server, like, **given), **own)
