"""bin/zone-manager with one green thread more: a ticker, which notices when the hub is held.

    python -m benchmarks.launch TICKS …     the file for the ticks, then zone-manager's arguments

It sleeps 5 ms again and again. How much later it wakes is how long others held the hub, or how long
the machine gave this process no CPU: so the CPU time of the same stretch is noted as well.

    ZONES_BENCH_IDLE     in the environment: workers do nothing, so that boots are accepted only
    ZONES_BENCH_PROFILE  a file: the main thread's profile (cProfile) from SIGUSR1 on until the end
"""

# ruff: noqa: E402 - the patch comes first
from zones import green

green.patch()

import cProfile
import os
import signal
import sys
from pathlib import Path

from benchmarks.ticks import tick
from zones.servers.worker import Worker
from zones.service import zone_manager_main


def _idle(worker: Worker) -> None:
    worker._stopping.wait()


def main(ticks: str, *arguments: str) -> int:
    """Run the zone; its exit status."""
    green.spawn(tick, Path(ticks))
    if os.environ.get("ZONES_BENCH_IDLE"):
        Worker._run = _idle  # type: ignore[method-assign]
    profile, into = cProfile.Profile(), os.environ.get("ZONES_BENCH_PROFILE")
    if into:
        signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    status = zone_manager_main(arguments)
    if into:
        profile.disable()
        profile.dump_stats(into)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
