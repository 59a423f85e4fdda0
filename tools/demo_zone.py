"""The demo's processes: zones started from bin/, and an EC2 for one of them; each is ended by its own pid."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

HOME = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds within which anything that the demo waits for must have happened."""
T = TypeVar("T")


class Failed(Exception):
    """Something was not as the demo told it to be."""


class Waits:
    """Waiting that ends early when the demo does: `stopped` is set by Ctrl-C."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def until(self, what: str, look: Callable[[], T], seconds: float = PATIENCE) -> T:
        """The first true value of `look()`. Raises `Failed` after `seconds`, or when all is to end."""
        deadline = time.monotonic() + seconds
        while not (value := look()):
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds:g} s: {what}")
            if self.stopped.wait(0.2):
                raise Failed("stopped")
        return value


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a port that is free now."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("there is no free port on 127.0.0.1")


def answers(url: str) -> bool:
    """Whether a GET of this URL is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True)
class Output:
    """What a command printed, and how it ended."""

    status: int
    text: str
    errors: str

    def rows(self) -> list[list[str]]:
        """The cells of the tables that `nova` prints, row by row, headings left out."""
        cells = [[cell.strip() for cell in line.strip("|").split("|")]
                 for line in self.text.splitlines() if line.startswith("|")]
        return cells[1:]

    def fields(self) -> dict[str, str]:
        """A table of properties and values as a mapping."""
        return {row[0]: row[1] for row in self.rows() if len(row) == 2}


class Service:
    """One process of the demo: `start`, `kill`, `stop`. What a former run left of it is ended first."""

    def __init__(self, name: str, folder: Path, port: int, waits: Waits,
                 environment: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.waits = waits
        self.port = port
        self.environment = environment
        self._pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def end_former(self) -> None:
        """End what a former run left."""
        end_former(self._pid_file)

    def run(self, command: Sequence[str], ready: str, **more: str) -> None:
        """Start it; return when the path `ready` answers. Raises `Failed` with the end of its log."""
        if self.waits.stopped.is_set():
            raise Failed("stopped")
        with self.log.open("ab") as log:
            # in a session of its own, so that Ctrl-C reaches the demo alone, which then stops it
            self._process = subprocess.Popen(
                [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**self.environment, **more})
        self._pid_file.write_text(f"{self._process.pid} {_born(self._process.pid)}\n")

        def look() -> bool:
            if not self.alive:
                raise Failed(f"{self.name} ended by itself; its log says:\n{self.log_end()}")
            return answers(f"{self.url}{ready}")
        self.waits.until(f"{self.name} is ready", look)

    def log_end(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL, as a machine fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Ask it to end; `stop` waits for it."""
        if self.alive and self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End it in good order; SIGKILL when it takes too long. Quiet when it does not run."""
        self.terminate()
        if self._process is not None:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        self._pid_file.unlink(missing_ok=True)


class Zone(Service):
    """One zone: also `nova` and `admin`. State of a former run is thrown away by `start`."""

    def __init__(self, name: str, folder: Path, port: int, waits: Waits,
                 environment: Mapping[str, str]) -> None:
        super().__init__(name, folder, port, waits, environment)
        self.data = folder / name
        self.options: Sequence[str] = ()
        self.openrc = folder / f"{name}.openrc"
        self._login: dict[str, str] = {}

    def start(self, options: Sequence[str]) -> None:
        """A fresh zone, ready."""
        self.options = options
        shutil.rmtree(self.data, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.start_again()
        self._write_logins()

    def start_again(self) -> None:
        """The zone as it was when it was stopped or killed, ready."""
        self.run([str(HOME / "bin" / "zone-manager"), "--name", self.name, "--data-dir", str(self.data),
                  "--port", str(self.port), *self.options], "/readyz")

    def _write_logins(self) -> None:
        """NAME.openrc, with our `nova` on the PATH; the environment of `nova`."""
        script = (self.data / "openrc").read_text()
        self._login = {
            **{name: value for name, value in self.environment.items() if not name.startswith("OS_")},
            **dict(_assignment(line) for line in script.splitlines()),
            "PATH": f"{PROGRAMS}{os.pathsep}{self.environment.get('PATH', os.defpath)}",
            "NOVACLIENT_UUID_CACHE_DIR": str(self.folder / "novaclient")}
        self.openrc.touch(mode=0o600)
        self.openrc.write_text(f"{script}export PATH='{PROGRAMS}':\"$PATH\"\n")

    def nova(self, *words: str) -> Output:
        """Run `nova WORDS…` as this zone's administrator; never raises for a refusal."""
        return self._run([str(PROGRAMS / "nova"), *words])

    def admin(self, *words: str) -> Output:
        """Run `bin/zone-admin WORDS…` on this zone."""
        return self._run([sys.executable, str(HOME / "bin" / "zone-admin"), "--data-dir", str(self.data),
                          *words])

    def _run(self, command: list[str]) -> Output:
        if self.waits.stopped.is_set():
            raise Failed("stopped")
        try:
            done = subprocess.run(command, env=self._login, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=PATIENCE * 2)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{' '.join(command)} does not end") from error
        errors = "\n".join(line for line in done.stderr.splitlines() if "CLI is deprecated" not in line)
        return Output(done.returncode, done.stdout, errors)


def end_former(pid_file: Path) -> None:
    """Stop the process that a former run left behind, if it is still the very one it started."""
    words = pid_file.read_text().split() if pid_file.exists() else []
    if len(words) != 2 or not words[0].isdigit() or _born(int(words[0])) != words[1]:
        return
    pid = int(words[0])
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if _born(pid) != words[1]:
                return
            time.sleep(0.05)
    raise Failed(f"process {pid} of a former demo does not end")


def _born(pid: int) -> str:
    """When a process began, in ticks since the machine did; "" when it has ended. Pids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.removeprefix("export ").partition("=")
    return name, value.strip("'").replace("'\\''", "'")
