"""GET /servers/detail?limit=1000 of 10,000 servers, on both databases."""

import json
import statistics
import time

from benchmarks.figure import Benchmark, Goal
from benchmarks.lab import Lab
from benchmarks.zone import Zone

PATH = "/v2.1/servers/detail?limit=1000"


def fill(zone: Zone, number: int = 10_000) -> None:
    """One server booted, and the rest copied from its row."""
    zone.boot_one()
    while zone.ask("SELECT vm_state FROM server")[0] != "active":
        time.sleep(0.05)
    zone.insert_servers(number - 1)


def listing(lab: Lab, *, apart: bool) -> dict[str, float]:
    """Milliseconds, median and worst, from the request to the last byte on a kept connection."""
    with lab.zone(apart=apart) as zone:
        fill(zone)
        connection = zone.connect()
        assert len(json.loads(zone.get(PATH, connection))["servers"]) == 1000
        took, before = [], zone.cpu()
        for _ in range(10 if lab.quick else 40):
            began = time.perf_counter()
            body = zone.get(PATH, connection)
            took.append((time.perf_counter() - began) * 1000)
        return {"ms": statistics.median(took), "worst_ms": max(took), "bytes": len(body),
                "cpu_ms": (zone.cpu() - before) / len(took) * 1000}


BENCHMARKS = [
    Benchmark(f"list-{name}", [
        Goal("ms", f"1,000 of 10,000 servers listed, {where}", "ms", 30, at_most=True)],
        lambda lab, apart=apart: listing(lab, apart=apart))  # type: ignore[misc]
    for name, where, apart in (("alone", "SQLite", False), ("apart", "PostgreSQL", True))]
