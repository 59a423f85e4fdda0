"""A running zone as a benchmark sees it: its processes, the CPU that they use, its API and database."""

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa

from benchmarks.ticks import Tick, since
from tests.servers import free_port
from zones.db.engine import Connection, Database
from zones.db.tables import server
from zones.service import API_WORKER

HOME = Path(__file__).resolve().parent.parent
PASSWORD = "benchmarks-only"
READY = 60.0
CONFIG = """
[api]
workers = {api_workers}
max_backlog = 1000000
[identity]
admin_password = {password}
[quota]
instances = -1
cores = -1
ram = -1
[compute]
option = hosts={hosts}
option = vcpus=64
option = ram=262144
option = disk=2000
"""
"""Hosts with room for more than any benchmark boots; all else is as an operator gets it."""


class Zone:
    """One zone: `roles` of each process. `start` returns when it is ready, `stop` ends what it started."""

    def __init__(self, folder: Path, name: str, roles: Sequence[Sequence[str]], database: str, broker: str,
                 *, hosts: int, idle: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self._roles = roles
        self._processes: list[subprocess.Popen[bytes]] = []
        self._config = folder / "zone.conf"
        self._config.write_text(CONFIG.format(
            password=PASSWORD, hosts=hosts, api_workers=sum("api" in each for each in roles)))
        self._arguments = [
            "--config-file", str(self._config), "--data-dir", str(folder / "data"), "--name", name,
            "--port", str(self.port), "--amqp-url", broker,
            *(("--database-url", database) if database else ())]
        self._url = database
        self._environment = {**os.environ, API_WORKER: "1",  # each is started here, none by another
                             **({"ZONES_BENCH_IDLE": "1"} if idle else {})}
        self._token = ""

    def start(self) -> None:
        """Start the processes, one after another: the first makes the database. Then log in."""
        deadline = time.monotonic() + READY
        for number, roles in enumerate(self._roles):
            with (self.folder / "log").open("ab") as log:
                self._processes.append(subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.launch", str(self.folder / f"ticks-{number}"),
                     *self._arguments, "--roles", ",".join(roles)],
                    cwd=HOME, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            self._wait("/healthz", deadline)
        self._wait("/readyz", deadline)
        self._token = self._log_in()
        self.image = json.loads(self.get("/image/v2/images"))["images"][0]["id"]

    def stop(self) -> None:
        """SIGTERM to each, and SIGKILL to whom that does not end."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait(self, path: str, deadline: float) -> None:
        while True:
            if any(process.poll() is not None for process in self._processes):
                break
            try:
                self.get(path)
                return
            except OSError:
                if time.monotonic() > deadline:
                    break
            time.sleep(0.05)
        raise RuntimeError(f"the zone is not ready at {path}:\n{(self.folder / 'log').read_text()[-3000:]}")

    # ------------------------------------------------------------------ API

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        return {"X-Auth-Token": self._token, "OpenStack-API-Version": "compute 2.90"}

    def _log_in(self) -> str:
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        project = {"name": "admin", "domain": {"id": "default"}}
        connection = self.connect()
        connection.request("POST", "/identity/v3/auth/tokens", json.dumps({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project}}}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 201:
            raise RuntimeError(f"log in: {answer.status} {answer.read()!r}")
        return str(answer.headers["X-Subject-Token"])

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the endpoint."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path: str, connection: http.client.HTTPConnection | None = None) -> bytes:
        """The body of a 200, over a connection that is kept if it is given. Raises OSError."""
        connection = connection or self.connect()
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"GET {path}: {answer.status} {body[:500]!r}")
        return body

    def create_body(self) -> dict[str, Any]:
        """The body of a boot of the second smallest flavor, without what few people ask for."""
        return {"server": {"name": "bench", "flavorRef": "1", "imageRef": self.image, "networks": "auto"}}

    def boot_one(self) -> None:
        """POST one server."""
        connection = self.connect()
        connection.request("POST", "/v2.1/servers", json.dumps(self.create_body()),
                           {**self.headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 202:
            raise RuntimeError(f"POST /servers: {answer.status} {answer.read()!r}")

    # ------------------------------------------------------------------ behind it

    @property
    def database(self) -> str:
        """The URL of its database."""
        return self._url or f"sqlite:///{self._file}"

    @property
    def _file(self) -> Path:
        return self.folder / "data" / "zone.sqlite"

    def ask(self, statement: str) -> tuple[Any, ...]:
        """The first row of a read beside the zone, which takes no lock that the zone could wait for."""
        link: Any = psycopg2.connect(self._url) if self._url else sqlite3.connect(
            f"file:{self._file}?mode=ro", uri=True)
        with closing(link), closing(link.cursor()) as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchone())

    def insert_servers(self, number: int) -> None:
        """Copy the one server that there is, so that there are `number` more."""
        db = Database(self.database)
        try:
            db.run(_copy, number)
        finally:
            db.close()

    def cpu(self) -> float:
        """Seconds of CPU that the zone's processes have used (not its database's and broker's)."""
        ticks = 0
        for process in self._processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """MB of memory that the zone's processes hold."""
        pages = sum(int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                    for process in self._processes)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def ticks(self, moment: float) -> list[Tick]:
        """The late ticks of all processes after a moment of the monotonic clock."""
        return [tick for path in self.folder.glob("ticks-*") for tick in since(path, moment)]


def _copy(conn: Connection, number: int) -> None:
    row = dict(conn.execute(sa.select(server)).mappings().one())
    conn.execute(sa.insert(server), [
        {**row, "id": str(uuid.uuid4()), "name": f"copy-{count}", "created_at": row["created_at"] - count}
        for count in range(1, number + 1)])
