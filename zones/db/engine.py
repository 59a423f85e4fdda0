"""Run whole transactions on SQLite or PostgreSQL, again when the database says «try again».

A transaction is a plain function `fn(conn, *args)`; `Database.run(fn, *args)` opens, commits and,
after a serialization failure or a lost connection, repeats it whole. A connection that is lost
*during* commit leaves it unknown whether the transaction took place, so every transaction of the
house is written to be harmless when it runs twice (ids are made before, inserts ignore what is
there, updates are conditional).
"""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from zones.db import regexp
from zones.db.group_commit import GroupCommit, Lane
from zones.errors import Invalid, Unavailable

__all__ = ["Connection", "Database", "Lane", "here", "insert_all_new", "insert_new", "now"]

T = TypeVar("T")
P = ParamSpec("P")
LOG = logging.getLogger(__name__)


def here(job: Callable[[], T], /) -> T:
    """The lane that is no lane: run the job in the calling thread."""
    return job()


class Database:
    """One engine and the rule of how transactions run on it.

    With a `lane` any number of threads may use a SQLite database, and the lane waits for the disk;
    PostgreSQL needs none, for psycopg2 is cooperative by itself. `patience` bounds, in
    seconds, how long one call repeats while the database is away; then `Unavailable`. Raises
    `Invalid` for a URL that is none of ours.
    """

    def __init__(self, url: str, *, lane: Lane | None = None, patience: float = 30.0,
                 pool_size: int = 10, timeout: float = 10.0) -> None:
        self.url = _url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.patience = patience
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _postgresql_engine(
            self.url, pool_size, timeout)
        self._group = GroupCommit(self.engine, lane) if self.is_sqlite and lane is not None else None

    def run(self, transaction: Callable[Concatenate[Connection, P], T],
            *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `transaction(conn, *args)`, committed. Raises `Unavailable` after `patience`."""
        return self._run(transaction.__name__, lambda conn: transaction(conn, *args, **kwargs), True)

    def run_lightly(self, transaction: Callable[Concatenate[Connection, P], T],
                    *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what is no loss when the power fails, such as a lease: SQLite does not wait for
        the disk. What is committed by `run` later takes it along."""
        return self._run(transaction.__name__, lambda conn: transaction(conn, *args, **kwargs), False)

    def _run(self, name: str, transaction: Callable[[Connection], T], lasting: bool) -> T:
        deadline = time.monotonic() + self.patience
        pause = 0.02
        while True:
            try:
                if self._group is not None:
                    return self._group.run(transaction, lasting=lasting)
                with self.engine.begin() as conn:
                    return transaction(conn)
            except exc.DBAPIError as error:
                if not _passing(error):
                    if _is_unusable(error):
                        LOG.error("the database can't be used: %s", _first_line(error))
                        raise Unavailable("the zone's database can't be used; the log says why",
                                          code="database_unusable") from error
                    raise
                if time.monotonic() + pause > deadline:
                    raise Unavailable("the zone's database does not answer",
                                      code="database_unavailable") from error
                LOG.warning("transaction %s is repeated: %s", name, _first_line(error))
            time.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, 1.0)

    def close(self) -> None:
        """Give back every connection."""
        if self._group is not None:
            self._group.close()
        self.engine.dispose()


def now(conn: Connection) -> float:
    """The database's clock in seconds since the epoch: the one that leases are judged by."""
    if conn.dialect.name == "sqlite":
        return time.time()  # one process, one machine: its clock is the database's
    return float(conn.execute(_PG_NOW).scalar_one())


_PG_NOW = sa.text("SELECT extract(epoch FROM clock_timestamp())::double precision")


def insert_new(conn: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows that are not there yet (by any unique key); the number inserted."""
    if not rows:
        return 0
    statement = _insert_new(conn.dialect.name, table)
    return sum(conn.execute(statement, row).rowcount for row in rows)


def _url(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError) as error:  # the text may hold a password: it is not shown
        raise Invalid("the database URL is not of the form postgresql://user:password@host/name",
                      code="bad_database_url") from error
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg2"):
        raise Invalid(f"a database URL begins with postgresql:// or sqlite:///, not {url.drivername}://",
                      code="bad_database_url")
    return url


def insert_all_new(conn: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """As `insert_new`, with one statement, which can't tell how many were new."""
    if rows:
        conn.execute(_insert_new(conn.dialect.name, table), rows)


@functools.cache
def _insert_new(dialect: str, table: sa.Table) -> Any:
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def _passing(error: exc.DBAPIError) -> bool:
    """Whether the same transaction may succeed later: connection lost, serialization, lock."""
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "pgcode", None)
    if code is not None:
        return code[:2] in ("08", "40", "53", "57") or code == "55P03"
    text = str(error.orig).lower()
    return isinstance(error, exc.OperationalError) and not _is_unusable(error) and any(
        words in text for words in (
            "locked", "connection", "server closed", "terminat", "could not receive", "ssl", "timeout",
            "starting up", "shutting down", "recovery mode", "too many clients"))


_UNUSABLE = ("CANTOPEN", "FULL", "READONLY", "IOERR", "CORRUPT", "NOTADB")
_NO_ENTRY = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")


def _is_unusable(error: exc.DBAPIError) -> bool:
    """Whether somebody must help: no such database, no right to it, a full or broken disk."""
    name = getattr(error.orig, "sqlite_errorname", "").removeprefix("SQLITE_")
    return name.startswith(_UNUSABLE) or (
        isinstance(error, exc.OperationalError) and getattr(error.orig, "pgcode", "") is None
        and any(words in str(error.orig) for words in _NO_ENTRY))


def _first_line(error: exc.DBAPIError) -> str:
    return next(iter(str(error.orig).strip().splitlines()), "")


def _sqlite_engine(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url, poolclass=sa.pool.StaticPool,
        connect_args={"check_same_thread": False, "timeout": 30, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
                       "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("regexp", 2, regexp.matches, deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: sa.URL, pool_size: int, timeout: float) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    return sa.create_engine(
        url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=timeout,
        pool_recycle=1800, connect_args={"connect_timeout": int(timeout)},
        executemany_mode="values_plus_batch")  # many rows are one round trip
