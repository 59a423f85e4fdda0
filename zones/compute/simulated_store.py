"""The simulated hypervisor's own file: which guests exist, and a log of every creation.

SQLite (WAL, synchronous=NORMAL: a killed process loses nothing, a power cut may lose the last
moments), in autocommit but for the few calls that change two rows, each of which is one transaction.
So a SIGKILL at any moment leaves what a real hypervisor would: guests that exist, finished or not.
Nobody but the hypervisor keeps them, so losses and doubles show here.

A guest is known by (server, host): two hosts know nothing of each other, and the same server on both
is a double that the file shows. Several processes may open the file. A lock that another one holds is
waited for here, by `time.sleep`, and never inside SQLite, which would hold up every green thread.
Every call is short (about 0.1 ms), so no lane is needed.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zones.compute.simulated_guest import Machine
from zones.errors import Conflict, NotFound, Unavailable
from zones.states import NOSTATE, RUNNING

T = TypeVar("T")

FILE = "hypervisor.sqlite"
"""The file's name in the data folder."""

PATIENCE = 5.0
"""Seconds that a call waits for a lock of another process."""

_VERSION = 1
_KEPT_CREATIONS = 1_000_000
_PAGE = 100
_SCHEMA = """
CREATE TABLE IF NOT EXISTS created (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, server TEXT NOT NULL, attempt TEXT NOT NULL,
    host TEXT NOT NULL, service TEXT NOT NULL, others INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS guests (
    server TEXT NOT NULL, host TEXT NOT NULL, service TEXT NOT NULL, attempt TEXT NOT NULL,
    birth INTEGER NOT NULL, built INTEGER NOT NULL, power INTEGER NOT NULL, ip INTEGER UNIQUE,
    launched REAL NOT NULL, flavor TEXT NOT NULL, machine BLOB NOT NULL, PRIMARY KEY (server, host));
CREATE TABLE IF NOT EXISTS consoles (
    server TEXT NOT NULL, host TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (server, host));
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_COLUMNS = "server, host, service, attempt, birth, built, power, ip, launched, flavor"
_ONE = f"SELECT {_COLUMNS}, machine FROM guests WHERE server = ? AND host = ?"  # noqa: S608
_NAMED = f"SELECT {_COLUMNS}, machine FROM guests WHERE server >= ? AND server < ?"  # noqa: S608
_LIST = (f"SELECT {_COLUMNS} FROM guests WHERE (server, host) > (?, ?) "  # noqa: S608
         "ORDER BY server, host LIMIT ?")
_FIRST_GAP = ("SELECT ip + 1 FROM guests AS g WHERE ip >= ? AND ip < ? AND NOT EXISTS "
              "(SELECT 1 FROM guests WHERE ip = g.ip + 1) ORDER BY ip LIMIT 1")
_FINISH = "UPDATE guests SET built = 1, power = ?, launched = ? WHERE server = ? AND host = ? AND birth = ?"
_CONSOLE = "UPDATE consoles SET text = ? WHERE server = ? AND host = ?"
_CREATED = "SELECT at, server, attempt, host, service, others FROM created WHERE id > ? ORDER BY id"


@dataclass(frozen=True)
class Row:
    """One guest. `birth` is its number in the creation log, and tells it from one made again.

    `machine` is None in listings. `launched` is Unix time, 0 until it was built.
    """

    server: str
    host: str
    service: str
    attempt: str
    birth: int
    built: bool
    power: int
    ip: int | None
    launched: float
    flavor: str
    definition: Machine | None = None

    @property
    def machine(self) -> Machine:
        """The definition of a row that was read whole."""
        assert self.definition is not None
        return self.definition


@dataclass(frozen=True)
class Creation:
    """One line of the creation log. `others`: how many guests of that server existed elsewhere then."""

    at: float
    server: str
    attempt: str
    host: str
    service: str
    others: int


class Store:
    """The open file. Safe to call from many threads, native or green. Raises `Unavailable`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.touch(mode=0o600)
        try:
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        self._patiently(_open)

    def close(self) -> None:
        """Close the file; guests run on."""
        with self._lock:
            self._db.close()

    # ---- the life of a guest

    def create(self, row: Row, range_: tuple[int, int] | None) -> Row:
        """Make the guest, unfinished, with a free address of `range_` (first, last), and log it.

        A guest that is there and built is given back as it is; one that is there unfinished is
        made anew. Raises `Conflict` when no address is free.
        """
        def job(db: sqlite3.Connection) -> Row:
            found = _read(db, row.server, row.host)
            if found is not None and found.built:
                return found
            _erase(db, row.server, row.host)
            ip = None if range_ is None else _free_address(db, *range_)
            (others,) = db.execute("SELECT count(*) FROM guests WHERE server = ?", (row.server,)).fetchone()
            birth = db.execute(
                "INSERT INTO created (at, server, attempt, host, service, others) VALUES (?, ?, ?, ?, ?, ?)",
                (time.time(), row.server, row.attempt, row.host, row.service, others)).lastrowid
            made = replace(row, birth=birth or 0, built=False, power=NOSTATE, ip=ip, launched=0.0)
            db.execute("INSERT INTO guests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
                made.server, made.host, made.service, made.attempt, made.birth, 0, NOSTATE, ip, 0.0,
                made.flavor, msgspec.json.encode(made.machine)))
            db.execute("INSERT INTO consoles VALUES (?, ?, '')", (made.server, made.host))
            return made
        return self._change(job)

    def finish(self, row: Row, lines: list[str]) -> Row | None:
        """Mark this very guest built and running; None when it is gone or was made anew meanwhile.

        `lines` are what its console shows.
        """
        now = time.time()

        def job(db: sqlite3.Connection) -> Row | None:
            done = db.execute(_FINISH, (RUNNING, now, row.server, row.host, row.birth)).rowcount
            if not done:
                return None
            db.execute(_CONSOLE, ("\n".join(lines), row.server, row.host))
            return replace(row, built=True, power=RUNNING, launched=now)
        return self._change(job)

    def discard(self, row: Row) -> None:
        """Remove this very guest, and no later one of that name."""
        def job(db: sqlite3.Connection) -> None:
            found = _read(db, row.server, row.host)
            if found is not None and found.birth == row.birth:
                _erase(db, row.server, row.host)
        self._change(job)

    def erase(self, server: str, host: str) -> None:
        """Make the guest not exist."""
        self._change(lambda db: _erase(db, server, host))

    def change(self, server: str, host: str, job: Callable[[Row], Row], lines: list[str],
               keep: int) -> Row:
        """Replace a built guest's power and definition by those of `job(row)`; add console lines.

        Of the console the last `keep` lines stay. Raises `NotFound`, `Conflict` while it is built.
        """
        def change(db: sqlite3.Connection) -> Row:
            row = _read(db, server, host)
            if row is None:
                raise _missing(server, host)
            if not row.built:
                raise Conflict(f"guest {server} on {host} is still being built", code="guest_unfinished")
            new = job(row)
            new = replace(new, flavor=new.machine.flavor.id)
            db.execute("UPDATE guests SET power = ?, flavor = ?, machine = ? WHERE server = ? AND host = ?",
                       (new.power, new.flavor, msgspec.json.encode(new.machine), server, host))
            (text,) = db.execute("SELECT text FROM consoles WHERE server = ? AND host = ?",
                                 (server, host)).fetchone()
            db.execute(_CONSOLE, ("\n".join([*text.split("\n"), *lines][-keep:]), server, host))
            return new
        return self._change(change)

    # ---- reading

    def find(self, server: str, host: str) -> Row | None:
        """The guest, whole, or None when there is none."""
        return self._patiently(lambda db: _read(db, server, host))

    def get(self, server: str, host: str) -> Row:
        """The guest, whole. Raises `NotFound`."""
        row = self.find(server, host)
        if row is None:
            raise _missing(server, host)
        return row

    def rows(self) -> Iterator[Row]:
        """Every guest, without definition, in the order of (server, host).

        Read in pages, so that no call is long. A guest's key never changes, so each one that exists
        all the while is there.
        """
        after = ("", "")
        while page := self._page(after):
            yield from page
            after = (page[-1].server, page[-1].host)
            time.sleep(0)

    def _page(self, after: tuple[str, str]) -> list[Row]:
        return [_row(found) for found in
                self._patiently(lambda db: db.execute(_LIST, (*after, _PAGE)).fetchall())]

    def console(self, server: str, host: str) -> str:
        """The console as it is kept. Raises `NotFound`."""
        found = self._patiently(lambda db: db.execute(
            "SELECT text FROM consoles WHERE server = ? AND host = ?", (server, host)).fetchone())
        if found is None:
            raise _missing(server, host)
        return str(found[0])

    def creations(self) -> list[Creation]:
        """The whole creation log, oldest first."""
        return [Creation(*found) for found in
                self._patiently(lambda db: db.execute(_CREATED, (0,)).fetchall())]

    def named(self, server: str) -> list[Row]:
        """Every guest, whole, of the server whose id begins so, on whatever host."""
        return [_row(found) for found in self._patiently(
            lambda db: db.execute(_NAMED, (server, server + "\U0010ffff")).fetchall())]

    def setting(self, name: str) -> str | None:
        """What the command line set behind the driver's back, or None."""
        found = self._patiently(lambda db: db.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)).fetchone())
        return None if found is None else str(found[0])

    def set(self, name: str, value: str | None) -> None:
        """Set it, or forget it with None."""
        if value is None:
            self._patiently(lambda db: db.execute("DELETE FROM settings WHERE name = ?", (name,)))
        else:
            self._patiently(lambda db: db.execute(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value)))

    # ---- how calls run

    def _change(self, job: Callable[[sqlite3.Connection], T]) -> T:
        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = job(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result
        return self._patiently(transaction)

    def _patiently(self, job: Callable[[sqlite3.Connection], T]) -> T:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._lock:
                    return job(self._db)
            except sqlite3.Error as error:
                if not _busy(error) or time.monotonic() > deadline:
                    raise self._unavailable(error) from error
            time.sleep(0.002)

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(f"the simulated hypervisor's file {self.path.name} does not answer: {error}",
                           code="hypervisor_unavailable")


def _open(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 200")  # small ones, so that none holds a call for over 1 ms
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise Unavailable(f"the simulated hypervisor's file is of version {version}, not {_VERSION}",
                          code="hypervisor_unavailable")
    for statement in filter(str.strip, _SCHEMA.split(";")):
        db.execute(statement)
    if version == 0:
        db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("DELETE FROM created WHERE id <= (SELECT max(id) FROM created) - ?", (_KEPT_CREATIONS,))


def _busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _read(db: sqlite3.Connection, server: str, host: str) -> Row | None:
    found = db.execute(_ONE, (server, host)).fetchone()
    return None if found is None else _row(found)


def _row(found: tuple[Any, ...]) -> Row:
    server, host, service, attempt, birth, built, power, ip, launched, flavor, *rest = found
    return Row(server, host, service, attempt, birth, bool(built), power, ip, launched, flavor,
               msgspec.json.decode(rest[0], type=Machine) if rest else None)


def _erase(db: sqlite3.Connection, server: str, host: str) -> None:
    db.execute("DELETE FROM guests WHERE server = ? AND host = ?", (server, host))
    db.execute("DELETE FROM consoles WHERE server = ? AND host = ?", (server, host))


def _free_address(db: sqlite3.Connection, first: int, last: int) -> int:
    (top,) = db.execute("SELECT max(ip) FROM guests WHERE ip BETWEEN ? AND ?", (first, last)).fetchone()
    if top is None:
        return first
    if top < last:
        return int(top) + 1
    if db.execute("SELECT 1 FROM guests WHERE ip = ?", (first,)).fetchone() is None:
        return first
    gap = db.execute(_FIRST_GAP, (first, last)).fetchone()
    if gap is None:
        raise Conflict("every address of this host is in use", code="no_address")
    return int(gap[0])


def _missing(server: str, host: str) -> NotFound:
    return NotFound(f"there is no guest {server} on {host}", code="no_guest")
