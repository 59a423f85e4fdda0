"""A tree of zones as the benchmarks of trees see it: each with its API on a kept connection, its rows as
they are committed, and its CPU time.

Zones run with the timing of an operator who configured nothing. What is waited for is looked at in the
database file, every 2 ms, which takes no lock and costs the zone nothing.
"""

import http.client
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.treekit import NO_HOSTS, Tree, tree
from tests.zonekit import Zone

PATIENCE = 60.0
LOOK = 0.002
UNLIMITED = {"api": {"max_backlog": 1_000_000}, "quota": {"instances": -1, "cores": -1, "ram": -1}}
HOSTS = {"hosts": "50", "vcpus": "64", "ram": "262144", "disk": "4000"}


class Member:
    """One zone of a tree, and its administrator."""

    def __init__(self, zone: Zone, made: Tree, name: str) -> None:
        self.name = name
        self.zone = zone
        self.port = zone.port
        admin = made.admin(name)
        admin.log_in()
        self.headers = {"X-Auth-Token": admin.token, "Content-Type": "application/json",
                        "OpenStack-API-Version": "compute 2.90"}
        self.image = admin.image()
        self._http = http.client.HTTPConnection("127.0.0.1", zone.port, timeout=PATIENCE)
        self._rows = sqlite3.connect(
            f"file:{zone.folder / 'data' / 'zone.sqlite'}?mode=ro", uri=True, check_same_thread=False)

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        """The body of an answer that is a success. Raises RuntimeError for any other."""
        self._http.request(method, f"/compute/v2.1{path}", None if body is None else json.dumps(body),
                           self.headers)
        answer = self._http.getresponse()
        raw = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} at {self.name}: {answer.status} {raw[:300]!r}")
        return raw

    def create_body(self, zone: str = "") -> dict[str, Any]:
        """The body of a boot; `zone`: the only neighbour that it may go to."""
        body: dict[str, Any] = {"server": {"name": "bench", "flavorRef": "1", "imageRef": self.image,
                                           "networks": "auto"}}
        return {**body, "os:scheduler_hints": {"zone": zone}} if zone else body

    def boot(self, zone: str = "") -> str:
        """POST a server; its id."""
        return str(json.loads(self.call("POST", "/servers", self.create_body(zone)))["server"]["id"])

    def ask(self, statement: str, *values: Any) -> tuple[Any, ...]:
        """The first row of a read beside the zone; without one, empty."""
        return tuple(self._rows.execute(statement, values).fetchone() or ())

    def state(self, server: str) -> str:
        """The `vm_state` of a server, "" while there is none."""
        return str(next(iter(self.ask("SELECT vm_state FROM server WHERE id = ?", server)), ""))

    def reach(self, server: str, *states: str) -> float:
        """When a server was first seen in one of these states, as `until` says it."""
        return until(lambda: self.state(server) in states, f"{server} to be {states} at {self.name}")

    @property
    def pid(self) -> int:
        """Its process."""
        popen = self.zone.processes["zone"].popen
        assert popen is not None
        return popen.pid

    def cpu(self) -> float:
        """Seconds of CPU that its process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Let go of it."""
        self._http.close()
        self._rows.close()


def until(check: Callable[[], bool], what: str) -> float:
    """When it came true, on the clock of `time.perf_counter`. RuntimeError after `PATIENCE`."""
    deadline = time.perf_counter() + PATIENCE
    while not check():
        if time.perf_counter() > deadline:
            raise RuntimeError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(LOOK)
    return time.perf_counter()


@contextmanager
def forest(folder: Path, leaves: Sequence[str], others: Sequence[str],
           links: Sequence[tuple[str, str]]) -> Iterator[Mapping[str, Member]]:
    """Zones by name, linked, started and ended here; only the `leaves` have hosts."""
    zones: dict[str, Mapping[str, str]] = {**dict.fromkeys(leaves, HOSTS), **{name: {} for name in others}}
    with tree(folder, zones, links, sections=UNLIMITED, roles=dict.fromkeys(others, NO_HOSTS)) as made:
        members = {name: Member(zone, made, name) for name, zone in made.zones.items()}
        try:
            yield members
        finally:
            for member in members.values():
                member.close()
