"""POSTs accepted per second, and boots per second from the first POST to the last ACTIVE."""

import time

from benchmarks import load
from benchmarks.figure import Benchmark, Goal
from benchmarks.lab import Lab
from benchmarks.zone import Zone

PATIENCE = 120.0
_COUNT = "SELECT count(*), coalesce(sum(CASE WHEN vm_state = 'active' THEN 1 ELSE 0 END), 0) FROM server"
_LAST = "SELECT max(updated_at) FROM server"


def accepted(lab: Lab, *, apart: bool) -> dict[str, float]:
    """POSTs per second at a zone that only accepts: its workers are idle, so nothing is placed."""
    with lab.zone(apart=apart, idle=True) as zone:
        load.boot(zone, seconds=1)
        before, began = zone.cpu(), time.monotonic()
        seen = load.boot(zone, seconds=3 if lab.quick else 8)
        cpu = zone.cpu() - before
        assert zone.ask(_COUNT)[0] >= seen.requests, "a 202 without a row"
        return {"rate": seen.requests / seen.seconds, "cpu_ms": cpu / seen.requests * 1000,
                "latency_median_ms": seen.median * 1000, "latency_p99_ms": seen.worst_percent * 1000,
                **_held(zone, began)}


def active(lab: Lab, *, apart: bool) -> dict[str, float]:
    """Boots per second from the first POST to the last ACTIVE, posted as fast as the zone takes them."""
    with lab.zone(apart=apart) as zone:
        load.boot(zone, seconds=1)
        first = _all_active(zone)
        before, began, start = zone.cpu(), time.monotonic(), time.time()
        seen = load.boot(zone, seconds=3 if lab.quick else 6)
        boots = _all_active(zone) - first
        seconds = float(zone.ask(_LAST)[0]) - start
        return {"rate": boots / seconds, "cpu_ms": (zone.cpu() - before) / boots * 1000,
                "accepted_meanwhile": seen.requests / seen.seconds, "rss_mb": zone.rss(),
                **_held(zone, began)}


def _held(zone: Zone, began: float) -> dict[str, float]:
    ticks = zone.ticks(began)
    return {"hub_held_ms": max((tick.late for tick in ticks), default=0.0) * 1000}


def _all_active(zone: Zone) -> int:
    """Wait until every server is ACTIVE; how many there are."""
    deadline = time.monotonic() + PATIENCE
    while True:
        total, running = map(int, zone.ask(_COUNT))
        if total == running:
            return total
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {PATIENCE:g} s only {running} of {total} servers are ACTIVE")
        time.sleep(0.2)


def _pair(where: str, apart: bool, accepts: float, builds: float) -> list[Benchmark]:
    name = "apart" if apart else "alone"
    return [
        Benchmark(f"accepted-{name}", [
            Goal("rate", f"POSTs accepted, {where}", "/s", accepts),
            Goal("cpu_ms", "  CPU of the zone for each", "ms")],
            lambda lab: accepted(lab, apart=apart)),
        Benchmark(f"active-{name}", [
            Goal("rate", f"boots to ACTIVE, {where}", "/s", builds),
            Goal("cpu_ms", "  CPU of the zone for each", "ms"),
            Goal("accepted_meanwhile", "  POSTs accepted meanwhile", "/s"),
            Goal("hub_held_ms", "  hub held meanwhile", "ms")],
            lambda lab: active(lab, apart=apart))]


BENCHMARKS = [*_pair("SQLite", False, 800, 300),
              *_pair("PostgreSQL + RabbitMQ", True, 500, 200)]
