"""What every test may ask for: a real broker, real databases, and servers of its own to break.

RabbitMQ and PostgreSQL are those that `ZONES_TEST_AMQP_URL` and `ZONES_TEST_DATABASE_URL` name, or
private ones (`tests/servers.py`). They start, both at once, only when a chosen test needs them.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import servers
from zones.db import migrate
from zones.db.engine import Database, here

AMQP_URL = os.environ.get("ZONES_TEST_AMQP_URL", "")
DATABASE_URL = os.environ.get("ZONES_TEST_DATABASE_URL", "")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the chosen tests need before the first one runs, or end with one line."""
    if session.config.option.collectonly:
        return
    packages = [kind.package for kind in _wanted(session, own=True) if not kind.installed()]
    if packages:
        try:
            servers.apt_install(*packages)
        except servers.Missing as missing:
            given = {kind.package for kind in _wanted(session, own=True)} - {
                kind.package for kind in _wanted(session, own=False)}
            advice = "" if given & set(packages) else (
                ", or set ZONES_TEST_AMQP_URL and ZONES_TEST_DATABASE_URL to servers that you have")
            pytest.exit(f"the tests need {missing}{advice}", returncode=1)


def _wanted(session: pytest.Session, *, own: bool) -> list[type[servers.PrivateServer]]:
    """The kinds of private servers that the chosen tests need; `own`: count those that they start."""
    names: set[str] = set()
    for item in session.items:
        names.update(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "postgresql" in callspec.params.values():
            names.add("postgres")
        if callspec is not None and "amqp" in callspec.params.values():
            names.add("amqp_url")
    rabbit = (not AMQP_URL and "amqp_url" in names) or (own and "own_rabbit" in names)
    postgres = (not DATABASE_URL and "postgres" in names) or (own and "own_postgres" in names)
    return [kind for kind, wanted in ((servers.PrivateRabbit, rabbit), (servers.PrivatePostgres, postgres))
            if wanted]


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> Iterator[dict[type, servers.PrivateServer]]:
    """The private servers that all tests share, launched together and not waited for."""
    with ExitStack() as closing:
        begun: dict[type, servers.PrivateServer] = {}
        for kind in _wanted(request.session, own=False):
            begun[kind] = kind().begin()
            closing.callback(begun[kind].close)
        yield begun


@pytest.fixture(scope="session")
def amqp_url(shared_servers: dict[type, servers.PrivateServer]) -> str:
    """A RabbitMQ that all tests share: keep apart by names of zones, queues and exchanges."""
    return AMQP_URL or shared_servers[servers.PrivateRabbit].wait().url


class Postgres:
    """A PostgreSQL server that all tests share; each takes databases of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[str] = []
        self._template: str | None = None

    def new_database(self, *, schema: bool = False) -> str:
        """The URL of a fresh database; `schema`: with all tables."""
        if schema and self._template is None:
            self._template = self.new_database()
            database = Database(self._template)
            migrate.upgrade(database)
            database.close()
        url = servers.new_database(self.url, self._template if schema else None)
        self._made.append(url)
        return url

    def drop_database(self, url: str) -> None:
        """Drop one that `new_database` made."""
        servers.drop_database(self.url, url)
        self._made.remove(url)

    def close(self) -> None:
        """Drop what is left."""
        for url in list(self._made):
            self.drop_database(url)


@pytest.fixture(scope="session")
def postgres(shared_servers: dict[type, servers.PrivateServer]) -> Iterator[Postgres]:
    """The shared PostgreSQL server."""
    shared = Postgres(DATABASE_URL or shared_servers[servers.PrivatePostgres].wait().url)
    yield shared
    shared.close()


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh, empty PostgreSQL database of this test's own."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "zone.sqlite"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A SQLite database with all tables, of this test's own."""
    path = tmp_path / "zone.sqlite"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table, on SQLite and on PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
    database = Database(url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with all tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_database")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.new_database(schema=True)
    database = Database(url)
    yield database
    database.close()
    postgres.drop_database(url)


@pytest.fixture
def shared_database(database: Database) -> Iterator[Database]:
    """A database with all tables, on SQLite and on PostgreSQL, that any number of threads may use."""
    if not database.is_sqlite:
        yield database
        return
    many = Database(database.url.render_as_string(hide_password=False), lane=here)
    yield many
    many.close()


@pytest.fixture
def own_rabbit() -> Iterator[servers.PrivateRabbit]:
    """A RabbitMQ of this test's own, to stop, kill and start."""
    with servers.PrivateRabbit() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[servers.PrivatePostgres]:
    """A PostgreSQL of this test's own, to stop, kill and start."""
    with servers.PrivatePostgres() as server:
        yield server
