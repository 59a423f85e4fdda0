"""The commands of the documents, run as they stand: two zones, linked in five lines."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.zonekit import HOME, free_port, wait_for

PAGE = HOME / "docs" / "federation.md"
BIN = Path(sys.executable).parent


def _blocks(heading: str) -> list[list[str]]:
    """The lines of each block of shell below a heading of the page."""
    part = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", part, re.DOTALL)]


class _Shell:
    """A folder in which lines are run; what they start in the background is killed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").symlink_to(HOME / "bin")
        self.env = {**{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
                    "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "300"}
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, line: str, log: Path) -> None:
        """Run a line that ends in `&`."""
        with log.open("wb") as out:
            self._started.append(subprocess.Popen(
                ["bash", "-c", f"exec {line.removesuffix('&')}"], cwd=self.folder, env=self.env,
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True))

    def run(self, lines: list[str]) -> str:
        """Run lines in one shell, which ends at the first that fails; what they print."""
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", "\n".join(lines)], cwd=self.folder,
                              env=self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def end(self) -> None:
        """Kill what was started."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[_Shell]:
    made = _Shell(tmp_path)
    yield made
    made.end()


def test_two_zones_in_five_lines(shell: _Shell, tmp_path: Path) -> None:
    zones, link = _blocks("Two zones in five lines")
    assert len(link) == 5
    ports = {"8774": str(free_port()), "8775": str(free_port())}
    for number, line in enumerate(zones):
        shell.start(re.sub(r"877\d", lambda port: ports[port[0]], line), tmp_path / f"{number}.log")
    wait_for("both zones to serve", lambda: all(
        " serves http" in (tmp_path / f"{number}.log").read_text() for number in range(len(zones))), 60)
    said = shell.run(link)
    assert re.search(r"\| 1 +\| west +\|", said), said
    assert "Server building... 100% complete" in said
    assert "west" in shell.run([link[0], "nova show first | grep OS-EXT-AZ:availability_zone"])
