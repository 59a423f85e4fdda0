"""One process at a time does what only one may do; what ended long ago is forgotten."""

import threading
from collections.abc import Callable

import sqlalchemy as sa

from tests.lifekit import LifeZone
from tests.zonekit import wait_for
from zones import states
from zones.db import tables
from zones.db.engine import Database
from zones.errors import ZonesError
from zones.servers import retention
from zones.servers.leader import Duty, Leader


def leader(db: Database, do: Callable[[], object]) -> Leader:
    return Leader(db, "manager", 60.0, [Duty("count", 0.01, do)])


def test_the_next_one_leads_when_the_first_one_stops(sqlite_database: Database) -> None:
    done = {"first": threading.Event(), "second": threading.Event()}
    first = leader(sqlite_database, done["first"].set)
    second = leader(sqlite_database, done["second"].set)
    first.start()
    wait_for("the first to lead", done["first"].is_set)
    second.start()
    done["first"].clear()
    wait_for("the first to do its duty again", done["first"].is_set)
    assert (first.leads, second.leads, done["second"].is_set()) == (True, False, False)
    first.stop(5.0)
    wait_for("the second to lead", done["second"].is_set)
    second.stop(5.0)


def test_a_duty_that_fails_is_done_again(sqlite_database: Database) -> None:
    errors: list[Exception] = [ZonesError("no"), KeyError("what")]
    well = threading.Event()

    def do() -> None:
        if errors:
            raise errors.pop()
        well.set()
    one = leader(sqlite_database, do)
    one.start()
    wait_for("the duty to be done", well.is_set)
    one.stop(5.0)


def test_only_what_was_deleted_long_ago_is_forgotten(zone: LifeZone) -> None:
    kept, gone = zone.boot(), zone.boot()
    zone.rest()
    zone.delete(gone)
    zone.rest()
    assert set(retention.prune(zone.db, 3600.0).values()) == {0}
    zone.clock.at += 7200
    counts = retention.prune(zone.db, 3600.0)
    assert (counts["servers"], counts["attempts"]) == (1, 1)
    assert [row["id"] for row in zone.rows(tables.server)] == [kept]
    assert {row["server_id"] for row in zone.rows(tables.attempt)} == {kept}
    assert zone.row(kept)["vm_state"] == states.ACTIVE
    assert zone.db.run(lambda conn: conn.execute(sa.select(sa.func.count()).select_from(
        tables.instance_action)).scalar_one()) == 1
