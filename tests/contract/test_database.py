"""One contract for both databases: what `Database.run` and the queue of work promise on either."""

import threading
import uuid
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.conftest import Postgres
from tests.zonekit import free_port
from zones.db import leases, work
from zones.db.engine import Connection, Database, here, insert_new, now
from zones.db.tables import lease
from zones.errors import Invalid, Unavailable


def row(name: str) -> dict[str, object]:
    return {"name": name, "holder": None, "generation": 0, "expires_at": 0.0}


def names(conn: Connection) -> set[str]:
    return {found.name for found in conn.execute(sa.select(lease.c.name))}


def test_what_returns_is_committed_and_what_raises_leaves_nothing(database: Database) -> None:
    def half(conn: Connection) -> None:
        insert_new(conn, lease, [row("half")])
        raise Invalid("changed my mind")

    assert database.run(insert_new, lease, [row("whole")]) == 1
    with pytest.raises(Invalid):
        database.run(half)
    assert database.run(names) == {"whole"}


def test_inserting_what_is_there_changes_nothing(database: Database) -> None:
    database.run(insert_new, lease, [row("a")])
    assert database.run(insert_new, lease, [{**row("a"), "generation": 9}, row("b")]) == 1
    assert database.run(lambda conn: conn.execute(
        sa.select(lease.c.generation).where(lease.c.name == "a")).scalar_one()) == 0


def test_a_transaction_that_lost_its_connection_runs_again_whole(
        database_url: str, postgres: Postgres) -> None:
    database, executioner = Database(database_url, patience=10), Database(postgres.url)
    database.run(lease.create)
    tries = []

    def unlucky(conn: Connection) -> int:
        insert_new(conn, lease, [row(f"try-{len(tries)}")])
        tries.append(conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        if len(tries) == 1:
            executioner.run(lambda other: other.execute(
                sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": tries[0]}).scalar_one())
        return len(names(conn))

    assert database.run(unlucky) == 1
    assert len(tries) == 2
    assert database.run(names) == {"try-1"}
    database.close()
    executioner.close()


def test_a_database_that_is_away_is_unavailable_after_the_patience() -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none", patience=0.3, timeout=1)
    with pytest.raises(Unavailable) as raised:
        database.run(now)
    assert raised.value.code == "database_unavailable"


def test_an_error_of_the_statement_itself_is_not_repeated(database: Database) -> None:
    tries = []

    def wrong(conn: Connection) -> None:
        tries.append(1)
        conn.execute(sa.text("SELECT no_such_column FROM lease"))

    with pytest.raises(sa.exc.DBAPIError):
        database.run(wrong)
    assert len(tries) == 1


def test_every_piece_of_work_is_taken_by_one_worker_at_a_time(shared_database: Database) -> None:
    shared_database.run(work.add, [{"kind": "boot", "server_id": str(uuid.uuid4()), "due_at": 1.0,
                           "created_at": 1.0} for _ in range(100)])
    taken: Counter[int] = Counter()

    def worker(number: int) -> None:
        while rows := shared_database.run(work.take, f"worker-{number}", 7, 60.0):
            taken.update(item["id"] for item in rows)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == 100
    assert set(taken.values()) == {1}


def test_work_whose_worker_died_is_taken_again_when_its_lease_is_over(database: Database) -> None:
    database.run(work.add, [{"kind": "boot", "server_id": "s", "due_at": 1.0, "created_at": 1.0}])
    [item] = database.run(work.take, "dead", 10, -1.0)
    assert [again["id"] for again in database.run(work.take, "alive", 10, 60.0)] == [item["id"]]
    assert database.run(work.keep, "dead", [item["id"]]) == set()
    assert database.run(work.keep, "alive", [item["id"]]) == {item["id"]}


def test_work_that_was_hurried_is_no_longer_held(database: Database) -> None:
    database.run(work.add, [{"kind": "boot", "server_id": "s", "due_at": 1.0, "created_at": 1.0}])
    [item] = database.run(work.take, "slow", 10, 60.0)
    database.run(work.hurry, ["s"], "boot", 1.0)
    assert database.run(work.keep, "slow", [item["id"]]) == set()
    assert len(database.run(work.take, "next", 10, 60.0)) == 1


def test_one_of_many_holds_a_lease_and_the_next_one_gets_a_greater_generation(
        shared_database: Database) -> None:
    got: dict[str, int | None] = {}

    def candidate(name: str) -> None:
        got[name] = shared_database.run(leases.take_lease, "leader", name, 60.0)

    threads = [threading.Thread(target=candidate, args=(f"c{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    [(holder, generation)] = [(name, number) for name, number in got.items() if number is not None]
    assert shared_database.run(leases.take_lease, "leader", holder, 60.0) == generation
    shared_database.run(leases.give_lease_back, "leader", holder)
    assert generation is not None
    assert shared_database.run(leases.take_lease, "leader", "next", 60.0) == generation + 1


def test_an_older_boot_of_a_service_is_fenced(database: Database) -> None:
    first = database.run(leases.register_service, "c1", "one", ["h1"], "zone")
    second = database.run(leases.register_service, "c1", "two", ["h1", "h2"], "zone")
    assert second > first
    assert not database.run(leases.renew_service, "c1", first, ["h1"])
    assert database.run(leases.renew_service, "c1", second, ["h1", "h2"])
    assert database.run(leases.service_of_host, "h2") == "c1"
    assert set(database.run(leases.live_services, 60.0)) == {"c1"}


def test_a_lane_runs_the_job_and_raises_what_it_raises() -> None:
    assert here(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        here(lambda: 1 // 0)
