"""Run real zones as a user would, talk to them, and read what their simulated hypervisors hold."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

HOME = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, check: Callable[[], T], seconds: float = 30.0, every: float = 0.05) -> T:
    """The first true value of `check()`; an assertion error naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what} (last: {value!r})"
        time.sleep(every)


class Failed(Exception):
    """An HTTP answer that is no success."""

    def __init__(self, status: int, body: Any, headers: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body, self.headers = status, body, headers


@dataclass
class Client:
    """A plain HTTP client of one user of one zone; it repeats nothing."""

    url: str
    username: str
    password: str
    project: str
    microversion: str = "2.90"
    token: str = ""

    def log_in(self) -> None:
        """Get a token."""
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": self.username, "domain": {"id": "default"}, "password": self.password}}},
            "scope": {"project": {"name": self.project, "domain": {"id": "default"}}}}}
        request = urllib.request.Request(f"{self.url}/identity/v3/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.token = answer.headers["X-Subject-Token"]

    def call(self, method: str, path: str, body: Any = None, timeout: float = 40.0) -> Any:
        """The JSON answer of `<url>/compute/v2.1<path>`; raises `Failed`, or OSError for no answer."""
        if not self.token:
            self.log_in()
        request = urllib.request.Request(
            f"{self.url}/compute/v2.1{path}" if path.startswith("/") else f"{self.url}/{path}",
            None if body is None else json.dumps(body).encode(), method=method,
            headers={"X-Auth-Token": self.token, "Content-Type": "application/json",
                     "OpenStack-API-Version": f"compute {self.microversion}"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            raw = error.read()
            try:
                parsed = json.loads(raw)
            except ValueError:
                parsed = raw
            raise Failed(error.code, parsed, error.headers) from error
        return json.loads(raw) if raw else None

    def image(self) -> str:
        """The id of some image of the zone."""
        return str(self.call("GET", "image/v2/images")["images"][0]["id"])

    def boot(self, name: str, flavor: str = "1", **fields: Any) -> str:
        """POST a server; its id."""
        hints = fields.pop("hints", None)
        server = {"name": name, "flavorRef": flavor, "imageRef": fields.pop("image", None) or self.image(),
                  "networks": "auto", **fields}
        body: dict[str, Any] = {"server": server}
        if hints:
            body["os:scheduler_hints"] = hints
        return str(self.call("POST", "/servers", body)["server"]["id"])

    def show(self, server: str) -> dict[str, Any]:
        """One server."""
        return dict(self.call("GET", f"/servers/{server}")["server"])

    def servers(self, **query: str) -> list[dict[str, Any]]:
        """All servers, page after page."""
        found: list[dict[str, Any]] = []
        marker = ""
        extra = "".join(f"&{key}={value}" for key, value in query.items())
        while True:
            page = self.call("GET", f"/servers/detail?limit=1000{marker}{extra}")["servers"]
            found += page
            if len(page) < 1000:
                return found
            marker = f"&marker={page[-1]['id']}"

    def act(self, server: str, action: str, args: Any = None) -> Any:
        """POST a server action."""
        return self.call("POST", f"/servers/{server}/action", {action: args})

    def wait(self, server: str, *statuses: str, seconds: float = 30.0) -> dict[str, Any]:
        """The server once its status is one of these and nothing is under way."""
        def reached() -> dict[str, Any] | None:
            shown = self.show(server)
            return shown if shown["status"] in statuses and not shown["OS-EXT-STS:task_state"] else None
        return wait_for(f"{server} to be {statuses}", reached, seconds)

    def wait_gone(self, server: str, seconds: float = 30.0) -> None:
        """Return once the server is a 404."""
        def gone() -> bool:
            try:
                self.show(server)
            except Failed as error:
                return error.status == 404
            return False
        wait_for(f"{server} to be gone", gone, seconds)


@dataclass
class Process:
    """One `bin/` process of a zone, or a test's own launcher of it, in its own process group."""

    argv: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        """Start it; its output goes to the log."""
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **self.env}, start_new_session=True)
        return self

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen is not None and self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(10)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and its exit code; SIGKILL and an assertion error when it does not end."""
        assert self.popen is not None
        self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.argv} did not end on SIGTERM") from None

    def tail(self, size: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-size:].decode(errors="replace") if self.log.exists() else ""


def zone_manager(argv: list[str], log: Path, env: dict[str, str]) -> Process:
    """`bin/zone-manager` with these arguments."""
    return Process([sys.executable, str(HOME / "bin" / "zone-manager"), *argv], log, env)


QUICK = {
    "timing": {"capability_interval": 1.0, "resend": 0.4, "lease": 2.0, "poll_work": 0.2,
               "service_down": 6.0, "monitor": 1.0, "shutdown": 10.0},
}
"""A zone in which everything that waits waits little, for tests that break it."""


class Zone:
    """A zone in a folder: one process with all roles, or one process per name in `processes`."""

    def __init__(self, folder: Path, *, options: dict[str, str] | None = None,
                 sections: dict[str, dict[str, Any]] | None = None, database_url: str = "",
                 amqp_url: str = "", processes: dict[str, str] | None = None,
                 make: Callable[[list[str], Path, dict[str, str]], "Process"] | None = None,
                 env: dict[str, str] | None = None, name: str = "zone") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = name
        self._make = make or zone_manager
        self._env = env or {}
        self.database_url = database_url or f"sqlite:///{folder / 'data' / 'zone.sqlite'}"
        folder.mkdir(parents=True, exist_ok=True)
        self._write_config(options or {}, sections or {}, database_url, amqp_url)
        self.processes = {key: self._process(key, roles)
                          for key, roles in (processes or {"zone": ""}).items()}

    def _write_config(self, options: dict[str, str], sections: dict[str, dict[str, Any]],
                      database_url: str, amqp_url: str) -> None:
        lines = ["[DEFAULT]", f"name = {self.name}", f"data_dir = {self.folder / 'data'}", "log_level = INFO"]
        lines += [f"database_url = {database_url}"] if database_url else []
        lines += [f"amqp_url = {amqp_url}"] if amqp_url else []
        lines += ["[api]", f"port = {self.port}"]
        lines += [f"{key} = {value}" for key, value in sections.get("api", {}).items()]
        for section, values in sections.items():
            if section not in ("api", "compute"):
                lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        lines += ["[compute]", *(f"{k} = {v}" for k, v in sections.get("compute", {}).items())]
        lines += [f"option = {key}={value}" for key, value in options.items()]
        self.config = self.folder / "zone.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def _process(self, key: str, roles: str) -> Process:
        argv = ["--config-file", str(self.config), *(["--roles", roles] if roles else [])]
        return self._make(argv, self.folder / f"{key}.log", self._env)

    def start(self, seconds: float = 30.0) -> "Zone":
        """Start what does not run, and wait until the endpoint is ready."""
        for process in self.processes.values():
            if not process.alive:
                process.start()
        self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Return once `/readyz` says 200."""
        def ready() -> bool:
            for process in self.processes.values():
                assert process.alive, f"a process of the zone has ended:\n{process.tail()}"
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False
        wait_for(f"{self.url} to be ready", ready, seconds)

    def stop(self) -> None:
        """Stop every process, gently."""
        for process in self.processes.values():
            if process.alive:
                process.stop()

    def kill(self) -> None:
        """SIGKILL every process."""
        for process in self.processes.values():
            process.kill()

    def __enter__(self) -> "Zone":
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.kill()

    def admin(self) -> Client:
        """A client of the zone's administrator, by the `openrc` that the zone wrote."""
        values = dict(line.removeprefix("export ").split("=", 1) for line in
                      (self.folder / "data" / "openrc").read_text().splitlines())
        return Client(self.url, values["OS_USERNAME"].strip("'"), values["OS_PASSWORD"].strip("'"),
                      values["OS_PROJECT_NAME"].strip("'"))

    def run_admin(self, *words: str) -> str:
        """What `zone-admin` prints for these words; an assertion error when it fails."""
        done = subprocess.run(
            [sys.executable, str(HOME / "bin" / "zone-admin"), "--config-file", str(self.config), *words],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # ------------------------------------------------------------ truth

    def hypervisors(self) -> list[Path]:
        """The files in which this zone's simulated hypervisors keep their servers."""
        return sorted((self.folder / "data").glob("**/hypervisor.sqlite"))

    def guests(self) -> Counter[str]:
        """Every server that a simulated hypervisor of this zone really runs, and how often."""
        return Counter(row[0] for row in self._hypervisor_rows("SELECT server FROM guests"))

    def guest_rows(self) -> list[dict[str, Any]]:
        """Every such server as its hypervisor's file has it: server, host, power, flavor, built, machine."""
        names = ("server", "host", "attempt", "built", "power", "flavor", "machine")
        rows = self._hypervisor_rows(f"SELECT {', '.join(names)} FROM guests")
        return [{**dict(zip(names, row, strict=True)), "machine": json.loads(row[-1])} for row in rows]

    def doubles(self) -> list[str]:
        """Servers that were created by more than one attempt without being destroyed in between."""
        return [server for server, count in self.guests().items() if count > 1]

    def _hypervisor_rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        for path in self.hypervisors():
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as conn:
                yield from conn.execute(query).fetchall()

    def ledger_claims(self) -> list[dict[str, Any]]:
        """Every claim of every ledger that still takes room."""
        found = []
        for path in sorted((self.folder / "data").glob("**/ledger.sqlite")):
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as conn:
                found += [json.loads(body) for (body,) in
                          conn.execute("SELECT body FROM claim WHERE NOT gone").fetchall()]
        return found
