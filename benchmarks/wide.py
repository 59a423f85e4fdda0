"""A root over many children: 10,000 servers of ten of them listed, and what it costs to poll a hundred.

The children are doubles in one process (`benchmarks.children`): the root logs in to each, polls it and
follows its feed, which is how the 10,000 servers come.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import PASSWORD
from benchmarks.figure import Benchmark, Goal
from benchmarks.forest import Member, forest, until
from benchmarks.lab import Lab

FULL, SERVERS, CHILDREN = 10, 1000, 100
PAGE = "/servers/detail?limit=1000"
HOME = Path(__file__).resolve().parent.parent


def measure(lab: Lab) -> dict[str, float]:
    """Add the children one after another; then list, and look on."""
    with forest(lab.folder / "wide", [], ["root"], []) as zones:
        root = zones["root"]
        alone = _idle(root, 2.0 if lab.quick else 4.0)
        with _children(str(root.ask("SELECT id FROM project WHERE name = 'admin'")[0])) as port:
            began = time.perf_counter()
            for number in range(FULL):
                _link(root, port, number)
            count = "SELECT count(*) FROM server"
            until(lambda: root.ask(count)[0] == FULL * SERVERS, "the root to know all servers")
            filled = time.perf_counter() - began
            until(lambda: _idle(root, 0.5) < 150, "the root to be done with its new servers")
            found = _listed(root, 10 if lab.quick else 40)
            for number in range(FULL, CHILDREN):
                _link(root, port, number)
            active = "SELECT count(*) FROM link WHERE is_active"
            until(lambda: root.ask(active)[0] == CHILDREN, "every link to be active")
            until(lambda: _idle(root, 0.5) < 400, "the root to be done with its new links")
            busy = _idle(root, 10.0)
    return {**found, "polling": busy, "polling_alone": alone, "mirrored": FULL * SERVERS / filled}


def _link(root: Member, port: int, number: int) -> None:
    url = f"http://127.0.0.1:{port}/child-{number}"
    root.call("POST", "/os-zones", {"zone": {
        "api_url": f"{url}/v2.1", "auth_url": f"{url}/identity/v3", "username": "root",
        "password": PASSWORD, "name": f"child-{number}"}})


def _listed(root: Member, times: int) -> dict[str, float]:
    """Milliseconds, median and worst, from the request to the last byte on a kept connection."""
    page = json.loads(root.call("GET", PAGE))["servers"]
    assert len(page) == 1000 and all(each["status"] == "ACTIVE" for each in page)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        root.call("GET", PAGE)
        took.append((time.perf_counter() - began) * 1000)
    return {"list": statistics.median(took), "list_best_quartile": statistics.quantiles(took, n=4)[0],
            "list_worst": max(took)}


def _idle(root: Member, seconds: float) -> float:
    """Milliseconds of CPU a second while nobody asks."""
    before, began = root.cpu(), time.perf_counter()
    time.sleep(seconds)
    return (root.cpu() - before) / (time.perf_counter() - began) * 1000


@contextmanager
def _children(project: str) -> Iterator[int]:
    """The port of the doubles, whose servers belong to that project of the root."""
    with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.children", str(CHILDREN), str(FULL), str(SERVERS), project],
            cwd=HOME, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


BENCHMARKS = [Benchmark("wide", [
    Goal("list", "1,000 of 10,000 servers of 10 children listed", "ms", 30, at_most=True),
    Goal("mirrored", "  servers of feeds taken in that were not known", "/s"),
    Goal("polling", "CPU of a root that polls and follows 100 children", "ms/s"),
    Goal("polling_alone", "  of the same without children", "ms/s")], measure, once=True)]
