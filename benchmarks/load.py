"""The load generator: wrk, in C, which takes about 2 % of the CPU that a request costs the zone."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.servers import apt_install

SCRIPT = Path(__file__).with_name("boot.lua")
CONNECTIONS = 32


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests answered, seconds, latencies in seconds."""

    requests: int
    seconds: float
    median: float
    worst_percent: float


class Endpoint(Protocol):
    """Where servers are posted: a zone."""

    @property
    def port(self) -> int:
        """Its port."""

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""

    def create_body(self) -> dict[str, Any]:
        """What is posted."""


def install() -> None:
    """Make sure that wrk is there. Raises `tests.servers.Missing` with one line that says what to do."""
    if shutil.which("wrk") is None:
        apt_install("wrk")


def boot(zone: Endpoint, *, seconds: int) -> Load:
    """POST servers over 32 connections for `seconds`. Raises RuntimeError unless every answer is a 202."""
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s",
         "--timeout", "20s", "--script", str(SCRIPT), f"http://127.0.0.1:{zone.port}/v2.1/servers"],
        env={**os.environ, "BENCH_TOKEN": zone.headers["X-Auth-Token"],
             "BENCH_BODY": json.dumps(zone.create_body())},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise RuntimeError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    requests, duration, refused, broken, median, worst = map(int, found.groups())
    if refused or broken:
        raise RuntimeError(f"of {requests} POSTs {refused} were refused and {broken} got no answer")
    return Load(requests, duration / 1e6, median / 1e6, worst / 1e6)
