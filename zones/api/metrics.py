"""What a process tells Prometheus about itself and its zone, read when it is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from zones.errors import ZonesError
from zones.protocol import HostReport

COUNTED = 100_000
"""Work is counted up to this many rows."""


@dataclass(frozen=True)
class Sources:
    """Where the numbers come from."""

    bus: Callable[[], dict[str, int]]
    """Counters of the bus since the start, by name."""
    backlog: Callable[[int], int]
    """How many pieces of work wait, counted up to a bound."""
    hosts: Callable[[], list[HostReport]]


class ZoneCollector:
    """Implements prometheus-client's Collector; an unreachable database leaves its number out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        for name, value in self._sources.bus().items():
            yield CounterMetricFamily(f"zones_bus_{name}", f"bus: {name} since the start", value=value)
        try:
            yield GaugeMetricFamily("zones_work_waiting", "pieces of durable work that wait",
                                    value=self._sources.backlog(COUNTED))
        except ZonesError:
            yield GaugeMetricFamily("zones_database_up", "whether the database answers", value=0)
        else:
            yield GaugeMetricFamily("zones_database_up", "whether the database answers", value=1)
        hosts = self._sources.hosts()
        yield GaugeMetricFamily("zones_hosts_up", "hosts that were heard lately", value=len(hosts))
        for name in ("vcpus", "vcpus_used", "ram", "ram_used", "disk", "disk_used", "servers"):
            yield GaugeMetricFamily(f"zones_{name}", f"{name} of all hosts that are up",
                                    value=sum(getattr(host, name) for host in hosts))


def registry(sources: Sources) -> CollectorRegistry:
    """A registry of this process's own: the zone's numbers, and CPU, memory and files of the process."""
    made = CollectorRegistry()
    made.register(ZoneCollector(sources))
    ProcessCollector(registry=made)
    return made
