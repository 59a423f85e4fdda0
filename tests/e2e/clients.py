"""The unmodified `nova` and `openstack` commands against a zone: as processes, or in this one.

`nova` takes 0.4 s and `openstack` 0.9 s to start, so most runs call their own `main(argv)` here.
"""

import contextlib
import copy
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novaclient import shell as nova_shell
from openstackclient import shell as openstack_shell
from osc_lib.clientmanager import ClientCache, ClientManager

from tests.zonekit import Client, Zone, wait_for

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def table(self) -> list[dict[str, str]]:
        """The rows of the (last) table that it printed."""
        lines = self.out.splitlines()
        borders = [number for number, line in enumerate(lines) if line.startswith("+--")]
        if len(borders) < 3:
            return []
        head, *rows = [[cell.strip() for cell in line[1:-1].split(" | ")]
                       for line in lines[borders[-3]:borders[-1]] if line.startswith("|")]
        return [dict(zip(head, row, strict=True)) for row in rows]

    def fields(self) -> dict[str, str]:
        """A table of two columns as a dictionary."""
        return {row[0]: row[1] for row in (list(one.values()) for one in self.table())}

    def json(self) -> Any:
        """What it printed with `-f json`."""
        return json.loads(self.out)


def _forget_sessions() -> None:
    """The client keeps its logins for the whole process: each run here is to begin anew."""
    for cache in vars(ClientManager).values():
        if isinstance(cache, ClientCache):
            cache._handle = None


class Clients:
    """The commands as one user of one zone."""

    def __init__(self, zone: Zone, folder: Path) -> None:
        self.zone = zone
        self.api: Client = zone.admin()
        text = (zone.folder / "data" / "openrc").read_text()
        self.env = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.MULTILINE))
        self.env |= {"NOVACLIENT_UUID_CACHE_DIR": str(folder / "uuids"), "HOME": str(folder),
                     "COLUMNS": "300", "PYTHONWARNINGS": "ignore"}

    def user(self, name: str, project: str, *roles: str) -> "Clients":
        """The commands as another user, made here with these roles in a project of their own."""
        password = f"{name}-secret-word"
        self.openstack("project", "create", "--or-show", project)
        self.openstack("user", "create", "--password", password, "--project", project, name)
        for role in roles:
            self.openstack("role", "add", "--user", name, "--project", project, role)
        other = copy.copy(self)
        other.env = {**self.env, "OS_USERNAME": name, "OS_PASSWORD": password, "OS_PROJECT_NAME": project}
        other.api = Client(self.zone.url, name, password, project)
        return other

    # ---------------------------------------------------------------- true processes

    def process(self, *argv: str, ok: bool = True, given: str | None = None, **env: str) -> Ran:
        """A command in its own process; `ok`: whether it must end well."""
        done = subprocess.run([str(BIN / argv[0]), *argv[1:]], env={**os.environ, **self.env, **env},
                              capture_output=True, text=True, timeout=60, input=given)
        return self._checked(Ran(done.returncode, done.stdout, done.stderr), argv, ok)

    # ---------------------------------------------------------------- in this process

    def nova(self, *argv: str, ok: bool = True, version: str = "") -> Ran:
        """`nova …` at a microversion (the newest that both know, unless given)."""
        options = ["--os-compute-api-version", version] if version else []

        def run() -> int:
            try:
                nova_shell.OpenStackComputeShell().main([*options, *argv])
            except SystemExit as ended:
                return int(ended.code or 0) if not isinstance(ended.code, str) else 1
            except Exception as error:  # as its own main() does
                print(f"ERROR ({type(error).__name__}): {error}", file=sys.stderr)
                return 1
            return 0
        return self._checked(self._here(run), ("nova", *options, *argv), ok)

    def openstack(self, *argv: str, ok: bool = True, version: str = "") -> Ran:
        """`openstack …` at a compute microversion."""
        options = ["--os-compute-api-version", version] if version else []

        def run() -> int:
            _forget_sessions()
            try:
                return int(openstack_shell.main([*options, *argv]) or 0)
            except SystemExit as ended:
                return int(ended.code or 0) if not isinstance(ended.code, str) else 1
        return self._checked(self._here(run), ("openstack", *options, *argv), ok)

    def json(self, *argv: str, version: str = "") -> Any:
        """What `openstack … -f json` says."""
        return self.openstack(*argv, "-f", "json", version=version).json()

    def _here(self, run: Callable[[], int]) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with self._environment(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run()
        return Ran(code, out.getvalue(), err.getvalue())

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        before, root = dict(os.environ), logging.getLogger()
        handlers, level = list(root.handlers), root.level
        for name in [name for name in os.environ if name.startswith("OS_")]:
            del os.environ[name]
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            root.handlers[:] = handlers
            root.setLevel(level)

    @staticmethod
    def _checked(ran: Ran, argv: tuple[str, ...], ok: bool) -> Ran:
        said = f"{' '.join(argv)} → {ran.code}\n{ran.out}{ran.err}"
        assert (ran.code == 0) == ok, said
        assert "Traceback" not in ran.err, said
        assert "HTTP 5" not in ran.err or not ok, said
        return ran

    # ---------------------------------------------------------------- servers

    def boot(self, name: str, flavor: str = "42", **fields: Any) -> str:
        """An active server, booted over plain HTTP; its id."""
        server = self.api.boot(name, flavor, **fields)
        assert self.api.wait(server, "ACTIVE", "ERROR")["status"] == "ACTIVE"
        return server

    def wait(self, server: str, *statuses: str) -> dict[str, Any]:
        """The server as it is once it rests in one of these states."""
        return self.api.wait(server, *statuses)

    def guest(self, server: str) -> dict[str, Any] | None:
        """The server as its hypervisor's own file has it: host, power, flavor, definition."""
        found = [row for row in self.zone.guest_rows() if row["server"] == server]
        assert len(found) <= 1, found
        return found[0] if found else None

    def gone(self, server: str) -> None:
        """Return once neither zone nor hypervisor knows it."""
        self.api.wait_gone(server)
        wait_for(f"{server} to leave its hypervisor", lambda: self.guest(server) is None)
