"""What 10,000 hosts take in the host table: by tracemalloc, and by the resident set.

    python -m benchmarks.memory trace|rss    one measurement, in a process of its own
"""

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

from benchmarks.figure import Benchmark, Goal
from benchmarks.lab import Lab
from benchmarks.reports import report
from zones.capabilities.host_table import HostTable
from zones.config import Placement
from zones.protocol import HostReport, decode, encode

HOSTS = 10_000


def memory(lab: Lab) -> dict[str, float]:
    """MB for 10,000 hosts, each reported twice over the wire."""
    return {kind: float(subprocess.run([sys.executable, "-m", "benchmarks.memory", kind],
                                       check=True, capture_output=True, text=True).stdout)
            for kind in ("trace", "rss")}


def _fill() -> HostTable:
    table = HostTable(Placement(), {})
    for seq in (1, 2):
        for number in range(HOSTS):
            message = decode(encode(report(number, seq)))
            assert isinstance(message, HostReport)
            table.apply(message, float(seq))
    return table


def _rss() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _measure(kind: str) -> float:
    decode(encode(report(0, 0)))  # what a first message loads is no host's
    gc.collect()
    if kind == "rss":
        before = _rss()
        table = _fill()
        gc.collect()
        taken = _rss() - before
    else:
        tracemalloc.start()
        table = _fill()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] / 1e6
    assert len(table) == HOSTS
    return taken


BENCHMARKS = [Benchmark("memory", [
    Goal("trace", "memory of 10,000 hosts, as allocated", "MB", 20, at_most=True),
    Goal("rss", "memory of 10,000 hosts, resident", "MB", 20, at_most=True)], memory)]

if __name__ == "__main__":
    print(_measure(sys.argv[1]))
