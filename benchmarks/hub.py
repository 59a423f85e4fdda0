"""How long the hub is held: a 5 ms ticker in the zone's process, at 10,000 hosts.

A ticker is also late when the machine gives its process no CPU. So one ticks in an idle process,
too, and the CPU that the hub used is shown: a stretch that is long with little CPU was not the hub's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Benchmark, Goal
from benchmarks.lab import Lab
from benchmarks.listing import PATH, fill
from benchmarks.ticks import since
from benchmarks.zone import Zone

HOSTS = 10_000


def held(lab: Lab) -> dict[str, float]:
    """The longest stretches in ms: while 10,000 hosts report, and while 1,000 servers are listed as well.

    One process is all of the zone: it makes the reports, sends, hears and keeps them, and writes
    the summary.
    """
    with lab.zone(hosts=HOSTS) as zone, _idle_ticker(lab.folder / "idle-ticks") as idle:
        fill(zone)
        _wait_for_hosts(zone)
        quiet = _watch(zone, idle, 7.0 if lab.quick else 21.0)
        listing = _watch(zone, idle, 5.0 if lab.quick else 12.0, PATH)
        return {**quiet, **{f"listing_{key}": value for key, value in listing.items()}}


def _wait_for_hosts(zone: Zone) -> None:
    """The zone is ready when all have reported; a little later all is calm."""
    assert len(json.loads(zone.get("/v2.1/os-hypervisors?limit=1000"))["hypervisors"]) == 1000
    time.sleep(3.0)


@contextmanager
def _idle_ticker(path: Path) -> Iterator[Path]:
    """A process that does nothing but tick."""
    path.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.ticks", str(path)])
    try:
        yield path
    finally:
        process.kill()
        process.wait()


def _watch(zone: Zone, idle: Path, seconds: float, path: str = "") -> dict[str, float]:
    connection, requests = zone.connect(), 0
    time.sleep(1.0)
    began, cpu = time.monotonic(), zone.cpu()
    while time.monotonic() < began + seconds:
        if path:
            zone.get(path, connection)
            requests += 1
        time.sleep(0.05)
    ticks = zone.ticks(began)
    beside = since(idle, began)
    return {"ms": max((tick.late for tick in ticks), default=0.0) * 1000,
            "idle_ms": max((tick.late for tick in beside), default=0.0) * 1000,
            "cpu_ms": max((tick.cpu for tick in ticks), default=0.0) * 1000,
            "over_10_ms": sum(tick.late > 0.010 for tick in ticks), "requests": requests,
            "busy": (zone.cpu() - cpu) / (time.monotonic() - began)}


BENCHMARKS = [Benchmark("hub", [
    Goal("ms", "hub held at most, 10,000 hosts report", "ms", 20, at_most=True),
    Goal("cpu_ms", "  CPU in such a stretch, and its 5 ms", "ms"),
    Goal("idle_ms", "  an idle process beside it is late by", "ms"),
    Goal("listing_ms", "hub held at most, and 1,000 servers are listed", "ms", 20, at_most=True),
    Goal("listing_cpu_ms", "  CPU in such a stretch, and its 5 ms", "ms"),
    Goal("listing_idle_ms", "  an idle process beside it is late by", "ms")], held)]
