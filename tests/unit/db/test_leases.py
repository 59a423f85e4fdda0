"""Who owns what: one holder of a lease at a time, and an older process is fenced by a newer one."""

import time

from zones.db import leases, work
from zones.db.engine import Database


def test_one_holder_at_a_time(database: Database) -> None:
    first = database.run(leases.take_lease, "manager", "a", 60.0)
    assert first is not None
    assert database.run(leases.take_lease, "manager", "b", 60.0) is None
    assert database.run(leases.take_lease, "manager", "a", 60.0) == first, "renewed"
    assert database.run(leases.take_lease, "other", "b", 60.0) is not None, "another lease"


def test_the_next_holder_has_the_next_generation(database: Database) -> None:
    first = database.run(leases.take_lease, "manager", "a", 60.0)
    database.run(leases.give_lease_back, "manager", "b")
    assert database.run(leases.take_lease, "manager", "b", 60.0) is None, "only its holder gives it back"
    database.run(leases.give_lease_back, "manager", "a")
    second = database.run(leases.take_lease, "manager", "b", 60.0)
    assert first is not None
    assert second == first + 1
    assert database.run(leases.take_lease, "manager", "a", 60.0) is None


def test_a_lease_that_has_run_out_is_free(database: Database) -> None:
    assert database.run(leases.take_lease, "manager", "a", -1.0) is not None
    assert database.run(leases.take_lease, "manager", "b", 60.0) is not None


def test_the_one_process_of_a_zone_frees_what_a_dead_one_held(database: Database) -> None:
    first = database.run(leases.take_lease, "manager", "dead", 60.0)
    database.run(work.add, [{"kind": "place", "server_id": "s1", "due_at": 0.0, "created_at": 0.0}])
    assert len(database.run(work.take, "dead", 10, 60.0)) == 1
    assert database.run(work.take, "next", 10, 60.0) == []
    database.run(leases.free_all)
    assert len(database.run(work.take, "next", 10, 60.0)) == 1
    second = database.run(leases.take_lease, "manager", "next", 60.0)
    assert first is not None and second == first + 1


def test_a_newer_process_of_a_service_fences_the_older(database: Database) -> None:
    old = database.run(leases.register_service, "c1", "first", ["h1"], "zone")
    assert database.run(leases.renew_service, "c1", old, ["h1"])
    new = database.run(leases.register_service, "c1", "second", ["h1", "h2"], "zone")
    assert new == old + 1
    assert not database.run(leases.renew_service, "c1", old, ["h1"])
    assert database.run(leases.renew_service, "c1", new, ["h1", "h2"])
    assert database.run(leases.live_services, 60.0)["c1"]["hosts"] == ["h1", "h2"]
    assert not database.run(leases.renew_service, "nobody", 1, [])


def test_a_service_lives_by_its_heartbeat(database: Database) -> None:
    boot = database.run(leases.register_service, "c1", "me", ["h1"], "zone")
    assert set(database.run(leases.live_services, 60.0)) == {"c1"}
    assert database.run(leases.live_services, -1.0) == {}
    assert database.run(leases.service_of_host, "h1") == "c1"
    assert database.run(leases.service_of_host, "h2") is None
    database.run(leases.renew_service, "c1", boot, ["h2"])
    assert database.run(leases.service_of_host, "h2") == "c1"


def test_a_zone_keeps_its_uuid_and_may_be_renamed(database: Database) -> None:
    first = database.run(leases.ensure_zone, "one")
    assert database.run(leases.ensure_zone, "one") == first
    renamed = database.run(leases.ensure_zone, "two")
    assert (renamed["uuid"], renamed["epoch"], renamed["name"]) == (first["uuid"], first["epoch"], "two")


def test_a_summary_has_a_new_generation_only_when_it_changed(database: Database) -> None:
    database.run(leases.ensure_zone, "one")
    assert database.run(leases.read_zone)["age"] is None
    first = database.run(leases.save_summary, {"a": 1})
    assert database.run(leases.save_summary, {"a": 1}) == first
    assert database.run(leases.save_summary, {"a": 2}) == first + 1
    zone = database.run(leases.read_zone)
    assert (zone["summary"], zone["summary_generation"]) == ({"a": 2}, first + 1)
    assert 0 <= zone["age"] < 30
    assert time.time() - zone["summary_at"] < 30
