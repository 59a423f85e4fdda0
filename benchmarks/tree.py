"""What a tree adds: boots and news over 0 to 3 hops, proxied requests, boots through a root, a hung child.

The tree is `top` over `upper` over `lower` over the leaves `east` and `west`. A boot at depth 0 is
posted at a leaf, one at depth 3 at `top`.
"""

import json
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import urllib3

from benchmarks import load
from benchmarks.figure import Benchmark, Goal
from benchmarks.forest import Member, forest, until
from benchmarks.lab import Lab

LEAVES, ABOVE = ("east", "west"), ("lower", "upper", "top")
LINKS = (("lower", "east"), ("lower", "west"), ("upper", "lower"), ("top", "upper"))
PATH = ("east", "lower", "upper", "top")
"""Where a boot of depth 0, 1, 2, 3 is posted."""
LEAST, LONGEST = 5, 12.0
"""Samples of what is measured one at a time, at least, and the seconds for more of them."""
HISTORY = "/servers/{}/os-instance-actions"

Members = Mapping[str, Member]


def measure(lab: Lab) -> dict[str, float]:
    """All of it, one after another in one tree."""
    with forest(lab.folder / "tree", LEAVES, ABOVE, LINKS) as zones:
        load.install()
        _warm(zones)
        few = lab.quick
        return {**hops(zones, 8 if few else 30), **news(zones, 15 if few else 60),
                **proxied(zones, 200 if few else 500), **hung(zones, 15 if few else 40),
                **through(zones, 2 if few else 3)}


def _samples(most: int) -> Iterator[int]:
    """So many, or fewer where this machine is too busy for them."""
    end = time.monotonic() + LONGEST
    for number in range(most):
        if number >= LEAST and time.monotonic() > end:
            return
        yield number


def _warm(zones: Members) -> None:
    """Every link has carried a boot to its end, with the image that this needs: what comes is no first."""
    deadline = time.monotonic() + 60
    for name in PATH:
        for leaf in LEAVES if name == "lower" else ("",):
            while not _runs(zones, zones[name], leaf):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"nothing can be booted at {name}")


def _runs(zones: Members, at: Member, leaf: str) -> bool:
    server = at.boot(leaf)
    at.reach(server, "active", "error")
    return at.state(server) == "active"


def _leaf(zones: Members, server: str) -> Member | None:
    """The leaf that has it ACTIVE."""
    return next((zones[name] for name in LEAVES if zones[name].state(server) == "active"), None)


def _runs_below(zones: Members, server: str) -> float:
    """When a leaf had it ACTIVE."""
    return until(lambda: _leaf(zones, server) is not None, f"{server} to be ACTIVE in a leaf")


# ------------------------------------------------------------------ one at a time

def hops(zones: Members, rounds: int) -> dict[str, float]:
    """Milliseconds from the POST at depth 0 to 3 to ACTIVE committed in the leaf; all depths in turn."""
    took: dict[int, list[float]] = {depth: [] for depth in range(len(PATH))}
    for _ in _samples(rounds):
        for depth, name in enumerate(PATH):
            began = time.perf_counter()
            server = zones[name].boot()
            took[depth].append(_runs_below(zones, server) - began)
            zones[name].reach(server, "active")
    found = {f"depth_{depth}": statistics.median(values) * 1000 for depth, values in took.items()}
    quick = {f"depth_{depth}_quartile": statistics.quantiles(values, n=4)[0] * 1000
             for depth, values in took.items()}
    far = len(PATH) - 1
    return {**found, **quick, "hop": (found[f"depth_{far}"] - found["depth_0"]) / far,
            "hop_quartile": (quick[f"depth_{far}_quartile"] - quick["depth_0_quartile"]) / far}


def news(zones: Members, rounds: int) -> dict[str, float]:
    """Milliseconds from a change that the leaf has committed until the root, three hops up, has it, too."""
    server = zones["top"].boot()
    zones["top"].reach(server, "active")
    leaf = _leaf(zones, server)
    assert leaf is not None
    took = []
    for number in _samples(rounds):
        action, wanted = (("os-stop", "stopped"), ("os-start", "active"))[number % 2]
        leaf.call("POST", f"/servers/{server}/action", {action: None})
        there = leaf.reach(server, wanted)
        took.append((zones["top"].reach(server, wanted) - there) * 1000)
    return {"news": statistics.median(took), "news_p99": _p99(took)}


def proxied(zones: Members, calls: int) -> dict[str, float]:
    """Microseconds of CPU in the parent for a request that it passes on, beside a bare client's for it."""
    parent = zones["lower"]
    server = parent.boot("east")
    parent.reach(server, "active")
    path = HISTORY.format(server)
    zones["east"].call("GET", path)
    idle = _cpu(parent, lambda: time.sleep(2.0))

    def ask() -> None:
        for _ in range(calls):
            parent.call("GET", path)
    began = time.perf_counter()
    used = _cpu(parent, ask)
    each = (used - idle / 2.0 * (time.perf_counter() - began)) / calls
    bare = _bare(zones["east"], path, calls)
    return {"proxied_us": each * 1e6, "bare_us": bare * 1e6, "proxied": each / bare}


def _cpu(zone: Member, work: Callable[[], object]) -> float:
    before = zone.cpu()
    work()
    return zone.cpu() - before


def _bare(child: Member, path: str, calls: int) -> float:
    """Seconds of CPU of one request with urllib3, as the parent would send it if it did nothing else."""
    url = f"http://127.0.0.1:{child.port}/compute/v2.1{path}"
    with urllib3.PoolManager() as pool:
        before = time.process_time()
        for _ in range(calls):
            json.loads(pool.request("GET", url, headers=child.headers).data)
        return (time.process_time() - before) / calls


# ------------------------------------------------------------------ a hung child

def hung(zones: Members, rounds: int) -> dict[str, float]:
    """Milliseconds of a list and of a boot for `east` while `west` answers, and while it hangs with boots
    on their way to it."""
    lower = zones["lower"]
    well = _beside(zones, rounds)
    with _stopped(zones["west"]):
        for _ in range(20):
            lower.boot("west")
        ill = _beside(zones, rounds)
    found: dict[str, float] = {}
    for what, before, after in zip(("list", "boot"), well, ill, strict=True):
        found |= {f"{what}_well": statistics.median(before), f"{what}_well_p99": _p99(before),
                  f"{what}_hung": statistics.median(after), f"{what}_hung_p99": _p99(after),
                  f"{what}_costs": statistics.median(after) / statistics.median(before)}
    return found


def _beside(zones: Members, rounds: int) -> tuple[list[float], list[float]]:
    lower, lists, boots = zones["lower"], [], []
    for _ in _samples(rounds):
        began = time.perf_counter()
        lower.call("GET", "/servers/detail?limit=20")
        lists.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        server = lower.boot("east")
        boots.append((zones["east"].reach(server, "active") - began) * 1000)
    return lists, boots


@contextmanager
def _stopped(zone: Member) -> Iterator[None]:
    """It takes connections, for the kernel does that, and never answers."""
    os.kill(zone.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(zone.pid, signal.SIGCONT)


# ------------------------------------------------------------------ as many as possible

def through(zones: Members, seconds: int) -> dict[str, float]:
    """Boots per second at `lower`, posted as fast as it takes them: accepted there, ACTIVE in the leaves."""
    lower = zones["lower"]
    first = _all_run(zones)
    start = time.time()
    seen = load.boot(lower, seconds=seconds)
    boots = _all_run(zones) - first
    last = max(float(zones[leaf].ask("SELECT max(launched_at) FROM server")[0]) for leaf in LEAVES)
    return {"through_accepted": seen.requests / seen.seconds, "through_active": boots / (last - start)}


def _all_run(zones: Members) -> int:
    """Wait until no server of the root builds any more; how many are ACTIVE."""
    count = "SELECT count(*) FROM server WHERE vm_state = ?"
    until(lambda: zones["lower"].ask(count, "building")[0] == 0, "every server to have an end")
    return int(zones["lower"].ask(count, "active")[0])


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


BENCHMARKS = [Benchmark("tree", [
    *(Goal(f"depth_{depth}", f"POST at depth {depth} to ACTIVE in the leaf", "ms") for depth in range(4)),
    Goal("hop", "  added by each hop", "ms", 15, at_most=True),
    Goal("hop_quartile", "  the same of the best quartiles", "ms"),
    Goal("news", "a change in a leaf seen three hops up", "ms"),
    Goal("news_p99", "  p99", "ms", 250, at_most=True),
    Goal("proxied_us", "CPU of the parent for a proxied request", "µs"),
    Goal("bare_us", "  of a bare urllib3 call", "µs"),
    Goal("proxied", "  that many times as much", "×", 4, at_most=True),
    Goal("list_well", "list of 20 at a root, both children well", "ms"),
    Goal("list_well_p99", "  p99", "ms"),
    Goal("list_hung_p99", "  p99, one of them hung", "ms"),
    Goal("list_costs", "  one of them hung", "×", 1.25, at_most=True),
    Goal("boot_well", "boot in a child, the other one well", "ms"),
    Goal("boot_well_p99", "  p99", "ms"),
    Goal("boot_hung_p99", "  p99, the other one hung", "ms"),
    Goal("boot_costs", "  the other one hung", "×", 1.25, at_most=True),
    Goal("through_accepted", "POSTs accepted by a root over two leaves", "/s"),
    Goal("through_active", "  ACTIVE in the leaves", "/s")], measure, once=True)]
