"""Many transactions on SQLite's one connection: in turn, and written to the disk together.

A commit waits for the disk (fsync), up to milliseconds, and SQLite has one writer. So what is asked
for while one group is written is the next group: each transaction in a savepoint of its own, one
commit for all, and nobody is answered before that. docs/decisions/0002 has the figures.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from zones.errors import Unavailable

T = TypeVar("T")

BUSY = 30
"""Seconds to wait for another process that writes."""

GATHER = 0.01
"""Seconds after which a group takes no more in, however many wait."""


class Lane(Protocol):
    """Where blocking C code runs: `green.Lane` in a service, the caller's thread in tests."""

    def __call__(self, job: Callable[[], T], /) -> T:
        """Run `job` and return what it returns, or raise what it raises."""


class _Call(Generic[T]):
    """One transaction on its way; `ended` is held until its group is on the disk."""

    __slots__ = ("ended", "error", "job", "lasting", "result")

    def __init__(self, job: Callable[[Connection], T], lasting: bool) -> None:
        self.job = job
        self.lasting = lasting
        self.result: T | None = None
        self.error: BaseException | None = None
        self.ended = threading.Lock()
        self.ended.acquire()

    def run(self, conn: Connection, raw: Any) -> None:
        """In a savepoint, by the driver's own connection: SQLAlchemy's are as dear as a statement."""
        raw.execute("SAVEPOINT one")
        try:
            self.result = self.job(conn)
        except BaseException as error:  # the caller's, and raised there
            self.error = error
            raw.execute("ROLLBACK TO one")
        raw.execute("RELEASE one")


class GroupCommit:
    """One thread that runs what any number of others ask for, and the lane in which it waits.

    Statements run in that thread, not in the lane: a native thread would queue for the interpreter
    lock behind a busy hub at each of them. A caller that is killed leaves its transaction to run.
    """

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self._engine = engine
        self._lane = lane
        self._calls: deque[_Call[Any]] = deque()
        self._bell = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[Connection], T], *, lasting: bool = True) -> T:
        """What `job(conn)` returns, committed; or raise what it, or the commit, raised.

        One that is not `lasting` is safe from a crash of this process, not from one of the machine: for
        such a group nobody waits for the disk.
        """
        if self._closed:
            raise Unavailable("the database is closed", code="database_closed")
        call = _Call(job, lasting)
        self._calls.append(call)
        self._bell.set()
        call.ended.acquire()
        if call.error is not None:
            try:
                raise call.error
            finally:
                del call  # the traceback holds this frame
        return cast(T, call.result)

    def close(self) -> None:
        """Let what was asked for end, then the thread."""
        self._closed = True
        self._bell.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._bell.wait()
            self._bell.clear()
            while self._calls:
                self._write([self._calls.popleft()])

    def _write(self, group: list[_Call[Any]]) -> None:
        """Run the group's first transaction, and those that come meanwhile; commit, and answer."""
        lasting = group[0].lasting
        try:
            with self._engine.connect() as conn:
                raw, until = _begin(conn, self._lane, lasting), time.monotonic() + GATHER
                before = raw.total_changes
                group[0].run(conn, raw)
                time.sleep(0)  # let others run, and ask
                while self._calls and time.monotonic() < until and lasting >= self._calls[0].lasting:
                    group.append(self._calls.popleft())
                    group[-1].run(conn, raw)
                    time.sleep(0)
                if raw.total_changes == before:
                    conn.commit()  # nothing was written: no disk to wait for
                else:
                    self._lane(conn.commit)
        except Exception as error:  # the disk's or the lock's: nothing of the group was written
            for call in group:
                call.error = error
        for call in group:
            call.ended.release()


def _begin(conn: Connection, lane: Lane, lasting: bool) -> Any:
    """Begin at once, or, where another process is writing just now, when it has ended: in the lane. The
    driver's connection."""
    raw: Any = conn.connection.driver_connection
    raw.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
    raw.execute("PRAGMA busy_timeout=0")
    try:
        conn.begin()
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raw.execute(f"PRAGMA busy_timeout={BUSY * 1000}")
        lane(conn.begin)
    return raw
