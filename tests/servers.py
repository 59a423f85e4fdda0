"""Private RabbitMQ and PostgreSQL servers: own ports, own folders, nothing of them outlives us.

For tests, the demo and the benchmarks; several can run at once. The Debian packages are installed
when they are missing and we are root. Each server runs under `guard.py`, which stops it when this
process dies. A server keeps its port and its data from `stop()` to the next `start()`.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2
import sqlalchemy as sa

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
POSTGRESQL = Path("/usr/lib/postgresql")
GUARD = Path(__file__).with_name("guard.py")


class Missing(RuntimeError):
    """A real server can't be had here; the message is one line that says what to do."""


class PrivateServer:
    """One server of our own: `begin` launches it, `wait` returns when it answers, `close` ends it."""

    name: str
    package: str
    start_seconds = 60.0

    def __init__(self) -> None:
        self.install()
        self.folder = Path(tempfile.mkdtemp(prefix=f"zones-{self.name}-"))
        self.port = free_port()
        self._guards: list[subprocess.Popen[bytes]] = []
        self.prepare()

    @property
    def url(self) -> str:
        """Where it listens, for a client."""
        raise AttributeError(f"{self.name} has no URL")

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log"

    def install(self) -> None:
        """Install the package if it is missing. Raises `Missing`."""
        if not self.installed():
            apt_install(self.package)

    @classmethod
    def installed(cls) -> bool:
        """Whether the programs are there."""
        return False

    def prepare(self) -> None:
        """Make configuration and data, once."""

    def launch(self) -> None:
        """Start the processes; don't wait."""

    def answers(self) -> bool:
        """Whether a client would be served now."""
        return False

    def begin(self) -> Self:
        """Launch without waiting, so that several servers start at the same time."""
        if not self._guards:
            self.launch()
        return self

    def wait(self) -> Self:
        """Return when the server answers. Raises RuntimeError with its log when it does not."""
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if time.monotonic() > deadline or any(guard.poll() is not None for guard in self._guards):
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    def start(self) -> Self:
        """Launch (if it does not run) and wait until it answers."""
        return self.begin().wait()

    def stop(self, *, kill: bool = False) -> None:
        """Stop in good order, or with SIGKILL; data and port stay. Quiet when it does not run."""
        for guard in reversed(self._guards):
            assert guard.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                guard.stdin.write(b"kill" if kill else b"stop")
                guard.stdin.close()
            guard.wait()
        self._guards.clear()

    def restart(self, *, kill: bool = False) -> None:
        """Stop and start again, at the same port with the same data."""
        self.stop(kill=kill)
        self.start()

    def close(self) -> None:
        """Stop and remove everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _run(self, command: list[str], env: dict[str, str], stop: str, user: str = "") -> None:
        with self.log.open("ab") as log:
            self._guards.append(subprocess.Popen(
                [sys.executable, "-S", "-E", str(GUARD), str(self.folder), stop, "20", user, *command],
                env=env, cwd=self.folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True))


class PrivateRabbit(PrivateServer):
    """A RabbitMQ node with its own epmd, cookie and data, on loopback only, without plugins."""

    name = "rabbitmq"
    package = "rabbitmq-server"

    @property
    def url(self) -> str:
        """`amqp://…`, as kombu takes it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @classmethod
    def installed(cls) -> bool:
        """Whether RabbitMQ is there."""
        return RABBITMQ.exists()

    def prepare(self) -> None:
        """Write the node's configuration."""
        self._epmd_port, self._dist_port = free_port(), free_port()
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.file = false\nlog.console = true\nlog.console.level = warning\n")
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "env.conf").write_text("")

    def launch(self) -> None:
        """Start epmd and the node."""
        here = str(self.folder)
        env = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": here, "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"zones{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": f"{here}/env.conf",
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{here}/config",
            "RABBITMQ_MNESIA_BASE": f"{here}/data", "RABBITMQ_LOG_BASE": here, "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{here}/pid",
            # no busy waiting: the machine is shared with what is tested
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._run(["epmd"], env, "SIGTERM")
        wait_for(lambda: _listens(self._epmd_port), "epmd listens")
        self._run([str(RABBITMQ)], env, "SIGTERM")

    def answers(self) -> bool:
        """Whether the listener opens an AMQP connection."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
                link.sendall(b"AMQP\x00\x00\x09\x01")
                return link.recv(1) == b"\x01"  # a method frame: connection.start
        except OSError:
            return False


class PrivatePostgres(PrivateServer):
    """A PostgreSQL cluster of our own with fsync on; as user `postgres` when we are root."""

    name = "postgresql"
    package = "postgresql"

    @property
    def url(self) -> str:
        """The maintenance database, as SQLAlchemy takes it; see `new_database`."""
        return f"postgresql://zones@127.0.0.1:{self.port}/postgres"

    @classmethod
    def installed(cls) -> bool:
        """Whether PostgreSQL's server programs are there."""
        return bool(list(POSTGRESQL.glob("*/bin/postgres")))

    @property
    def _user(self) -> str:
        return "postgres" if os.geteuid() == 0 else ""

    def prepare(self) -> None:
        """Make the cluster. Its folder is one that the user `postgres` can reach."""
        newest = max(POSTGRESQL.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
        self._programs = newest.parent
        self.folder.chmod(0o755)
        data = self.folder / "data"
        data.mkdir()
        if self._user:
            for path in (self.folder, data):
                shutil.chown(path, self._user, self._user)
        done = subprocess.run(
            [str(self._programs / "initdb"), "-D", str(data), "-U", "zones", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            user=self._user or None, group=self._user or None,
            extra_groups=[] if self._user else None, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nmax_connections = 200\n"
                       f"unix_socket_directories = '{self.folder}'\nfsync = on\n")

    def launch(self) -> None:
        """Start the postmaster; SIGINT is its fast shutdown."""
        env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}
        self._run([str(self._programs / "postgres"), "-D", str(self.folder / "data")], env, "SIGINT",
                  self._user)

    def answers(self) -> bool:
        """Whether a connection is accepted."""
        try:
            psycopg2.connect(host="127.0.0.1", port=self.port, user="zones", dbname="postgres",
                             connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def new_database(self, template: str | None = None) -> str:
        """The URL of a fresh database, a copy of the one that `template` (a URL) names."""
        return new_database(self.url, template)


# ------------------------------------------------------------------ databases on any PostgreSQL

def new_database(url: str, template: str | None = None) -> str:
    """Make a database on the server that `url` reaches; its URL. `template`: copy that one."""
    name = f"zones_{uuid.uuid4().hex[:12]}"
    like = f" TEMPLATE {_name_of(template)}" if template else ""
    _maintain(url, f"CREATE DATABASE {name}{like}")
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str, database: str) -> None:
    """Drop what `new_database(url)` made, with whoever is connected to it."""
    _maintain(url, f"DROP DATABASE IF EXISTS {_name_of(database)} WITH (FORCE)")


def _name_of(url: str) -> str:
    name = sa.make_url(url).database
    assert name is not None and name.isidentifier()
    return name


def _maintain(url: str, statement: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"),
                              isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as conn:
        conn.exec_driver_sql(statement)


# ------------------------------------------------------------------ the machine

def free_port() -> int:
    """A free loopback port below the range of outgoing connections, so that it stays ours."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """The condition's first true value. Raises AssertionError when there was none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


def apt_install(*packages: str) -> None:
    """Install Debian packages without starting their services. Raises `Missing` where we may not."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"{' and '.join(packages)}: run `apt-get install {' '.join(packages)}` as root")
    print(f"installing {' '.join(packages)} …", file=sys.stderr, flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services(*packages):
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *command],
                                  env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode and command != ["update"]:  # stale lists may do
                last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                raise Missing(f"{' and '.join(packages)}, which apt-get could not install: {' '.join(last)}")


@contextlib.contextmanager
def _no_services(*packages: str) -> Iterator[None]:
    """While packages are installed, their own system services may not start, nor be enabled."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()
    if Path("/run/systemd/system").exists():  # a service is named like its package; some have none
        subprocess.run(["systemctl", "disable", "--quiet", *packages], check=False, capture_output=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
