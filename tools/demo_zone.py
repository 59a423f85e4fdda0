"""Zones for the demo: started from bin/zone-manager, talked to with the unmodified `nova`, stopped by pid."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

HOME = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
PATIENCE = 30.0
"""Seconds within which anything that the demo waits for must have happened."""
T = TypeVar("T")


class Failed(Exception):
    """Something was not as the demo told it to be."""


def wait_for(what: str, look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true value of `look()`. Raises `Failed` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
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


class DemoZone:
    """One zone below a folder: `start`, `nova`, `admin`, `stop`. State of a former run is thrown away."""

    def __init__(self, name: str, folder: Path, options: Sequence[str], port: int = 8774) -> None:
        self.name = name
        self.folder = folder
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self._options = options
        self._wanted_port = port
        self._pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}

    def start(self) -> None:
        """A fresh zone, ready. Raises `Failed` with the end of its log when it does not become so."""
        end_former(self._pid_file)
        shutil.rmtree(self.data, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self.port = free_port(self._wanted_port)
        self.url = f"http://127.0.0.1:{self.port}"
        with self.log.open("wb") as log:
            # in a session of its own, so that Ctrl-C reaches the demo alone, which then stops it
            self._process = subprocess.Popen(
                [sys.executable, str(HOME / "bin" / "zone-manager"), "--name", self.name, "--data-dir",
                 str(self.data), "--port", str(self.port), *self._options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._pid_file.write_text(f"{self._process.pid} {_started(self._process.pid)}\n")
        wait_for(f"zone {self.name} is ready", self._ready)
        self._write_logins()

    def _ready(self) -> bool:
        if not self.alive:
            raise Failed(f"zone {self.name} ended by itself; its log says:\n{self.log_end()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _write_logins(self) -> None:
        """openrc, with our `nova` on the PATH, and clouds.yaml beside the data; the environment of `nova`."""
        script = (self.data / "openrc").read_text()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
            **dict(_assignment(line) for line in script.splitlines()),
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NOVACLIENT_UUID_CACHE_DIR": str(self.folder / "novaclient")}
        script += f"export PATH='{PROGRAMS}':\"$PATH\"\n"
        for name, text in (("openrc", script), ("clouds.yaml", (self.data / "clouds.yaml").read_text())):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)

    @property
    def alive(self) -> bool:
        """Whether the zone's process runs."""
        return self._process is not None and self._process.poll() is None

    def log_end(self, lines: int = 15) -> str:
        """The last lines of the zone's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def nova(self, *words: str) -> Output:
        """Run `nova WORDS…` as this zone's administrator; never raises for a refusal."""
        return self._run([str(PROGRAMS / "nova"), *words])

    def admin(self, *words: str) -> Output:
        """Run `bin/zone-admin WORDS…` on this zone."""
        return self._run([sys.executable, str(HOME / "bin" / "zone-admin"), "--data-dir", str(self.data),
                          *words])

    def _run(self, command: list[str]) -> Output:
        try:
            done = subprocess.run(command, env=self._environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=PATIENCE * 2)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{' '.join(command)} does not end") from error
        errors = "\n".join(line for line in done.stderr.splitlines() if "CLI is deprecated" not in line)
        return Output(done.returncode, done.stdout, errors)

    def stop(self) -> None:
        """End the zone in good order; SIGKILL when it takes too long. Quiet when it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._pid_file.unlink(missing_ok=True)


def end_former(pid_file: Path) -> None:
    """Stop the process that a former run left behind, if it is still the very one it started."""
    words = pid_file.read_text().split() if pid_file.exists() else []
    if len(words) != 2 or not words[0].isdigit() or _started(int(words[0])) != words[1]:
        return
    pid = int(words[0])
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if _started(pid) != words[1]:
                return
            time.sleep(0.05)
    raise Failed(f"process {pid} of a former demo does not end")


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did; "" when it has ended. Pids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.removeprefix("export ").partition("=")
    return name, value.strip("'").replace("'\\''", "'")
