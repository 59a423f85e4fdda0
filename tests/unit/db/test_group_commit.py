"""Many threads on one SQLite connection: alone in what they see and lose, together on the disk."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.servers import wait_for
from zones.db import group_commit
from zones.db.engine import Connection, Database, here, insert_new
from zones.db.tables import lease
from zones.errors import Invalid, Unavailable


class Disk:
    """A lane that counts commits, can be held up, and can fail."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.begins = threading.Event()
        self.begins.set()
        self.calls: list[str] = []
        self.broken = False

    def __call__(self, job: Callable[[], Any]) -> Any:
        self.calls.append(job.__name__)
        if job.__name__ == "begin":
            assert self.begins.wait(10)
        if job.__name__ == "commit":
            assert self.free.wait(10)
            if self.broken:
                raise sa.exc.OperationalError("COMMIT", None, Exception("disk I/O error"))
        return here(job)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def database(tmp_path: Path, disk: Disk) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'some.sqlite'}", lane=disk)
    made.run(lease.create)
    disk.calls.clear()
    yield made
    disk.free.set()
    made.close()


def add(conn: Connection, name: str) -> str:
    insert_new(conn, lease, [{"name": name, "holder": None, "generation": 0, "expires_at": 0.0}])
    if name.startswith("bad"):
        raise Invalid(name)
    return name


def names(conn: Connection) -> set[str]:
    return set(conn.execute(sa.select(lease.c.name)).scalars())


def together(database: Database, wanted: list[str]) -> dict[str, Any]:
    """What became of an `add` of each name, asked for at the same time."""
    found: dict[str, Any] = {}

    def one(name: str) -> None:
        try:
            found[name] = database.run(add, name)
        except Exception as error:
            found[name] = error

    threads = [threading.Thread(target=one, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return found


def test_each_is_answered_for_itself_and_the_failed_leave_nothing(database: Database) -> None:
    wanted = [f"{kind}-{number}" for number in range(20) for kind in ("good", "bad")]
    found = together(database, wanted)
    assert {name for name, result in found.items() if result == name} == {
        name for name in wanted if name.startswith("good")}
    assert all(isinstance(found[name], Invalid) for name in wanted if name.startswith("bad"))
    assert database.run(names) == {name for name in wanted if name.startswith("good")}


def test_what_comes_while_the_disk_is_busy_is_one_group(
        database: Database, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GATHER", 10.0)  # however slow this machine is
    disk.free.clear()
    threads = [threading.Thread(target=database.run, args=(add, f"t{number}")) for number in range(10)]
    threads[0].start()
    wait_for(lambda: "commit" in disk.calls, "the first is on its way to the disk")
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: len(database._group._calls) == 9, "the others wait")  # type: ignore[union-attr]
    disk.free.set()
    for thread in threads:
        thread.join(10)
    assert disk.calls.count("commit") == 2
    assert len(database.run(names)) == 10


def test_nobody_is_answered_before_the_disk_has_it(database: Database, disk: Disk) -> None:
    disk.free.clear()
    thread = threading.Thread(target=database.run, args=(add, "slow"))
    thread.start()
    wait_for(lambda: "commit" in disk.calls, "the first is on its way to the disk")
    assert thread.is_alive()
    disk.free.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_commit_that_fails_fails_the_group_and_leaves_nothing(database: Database, disk: Disk) -> None:
    disk.broken = True
    found = together(database, ["a", "b", "c"])
    assert all(isinstance(result, sa.exc.OperationalError) for result in found.values())
    disk.broken = False
    assert database.run(names) == set()


def test_who_writes_nothing_waits_for_no_disk(database: Database, disk: Disk) -> None:
    disk.free.clear()
    assert database.run(names) == set()
    assert disk.calls == []


def test_what_need_not_last_is_written_without_the_disk_and_alone(tmp_path: Path) -> None:
    """Nobody is told that his transaction is on the disk by a commit that did not wait for it."""
    levels: list[int] = []

    def level(conn: Connection) -> None:
        levels.append(conn.exec_driver_sql("PRAGMA synchronous").scalar_one())

    database = Database(f"sqlite:///{tmp_path / 'some.sqlite'}", lane=here)
    for number in range(50):
        run = (database.run, database.run_lightly)[number % 2]
        run(level)
    database.close()
    assert levels == [2, 1] * 25


def test_a_lasting_transaction_is_in_no_light_group(database: Database, disk: Disk) -> None:
    disk.free.clear()
    threads = [threading.Thread(target=run, args=(add, name)) for name, run in (
        ("first", database.run), ("light", database.run_lightly), ("lasting", database.run))]
    threads[0].start()
    wait_for(lambda: "commit" in disk.calls, "the first is on its way to the disk")
    waiting = database._group._calls  # type: ignore[union-attr]
    threads[1].start()
    wait_for(lambda: len(waiting) == 1, "the light one waits")
    threads[2].start()
    wait_for(lambda: len(waiting) == 2, "the lasting one waits")
    disk.free.set()
    for thread in threads:
        thread.join(10)
    assert disk.calls.count("commit") == 3
    assert database.run(names) == {"first", "light", "lasting"}


def test_while_another_process_writes_only_the_lane_waits(
        database: Database, disk: Disk, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "some.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    disk.begins.clear()  # this lane has no native thread of its own: it waits here instead of in SQLite
    thread = threading.Thread(target=database.run, args=(add, "patient"))
    thread.start()
    wait_for(lambda: "begin" in disk.calls, "the lane waits")
    assert thread.is_alive()
    other.execute("COMMIT")
    disk.begins.set()
    thread.join(10)
    disk.calls.clear()
    assert database.run(names) == {"patient"}
    assert disk.calls == [], "nobody else writes now"
    other.close()


def test_a_closed_database_says_so(database: Database) -> None:
    database.close()
    with pytest.raises(Unavailable):
        database.run(names)
