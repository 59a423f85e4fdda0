"""An operator may place a server again that is in doubt, and no other."""

import pytest

from tests.lifekit import IMAGE, LifeZone
from zones import states
from zones.db import tables
from zones.errors import Conflict, NotFound
from zones.servers.settle import settle


def test_what_its_host_does_not_answer_for_is_placed_again_and_never_twice(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.work()
    zone.to_hosts()
    zone.nodes["c1"].jobs()
    (first,) = zone.attempts(server)
    assert settle(zone.db, server, "op") == {"server": server, "tombstoned_at": [first["target"]]}
    zone.rest()
    assert [one["state"] for one in zone.attempts(server)][-1] == "running"
    assert zone.attempts(server)[0]["state"] == "cancelled"
    guest = zone.guest(server)
    assert guest is not None
    assert guest.attempt == zone.row(server)["attempt_id"] != first["id"]


def test_one_that_its_hypervisor_lost_is_built_anew_even_where_there_is_one_host(make_zone) -> None:  # type: ignore[no-untyped-def]
    zone: LifeZone = make_zone(nodes={"c1": "1*4:8192:100"})
    server = zone.boot()
    zone.flow()
    store = zone.nodes["c1"].store
    store.erase(server, zone.row(server)["host"])
    store.close()
    zone.rest()
    assert zone.row(server)["fault"]["reason"] == "lost_by_hypervisor"
    settle(zone.db, server, "op")
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None), zone.row(server)["fault"]
    assert zone.guest(server) is not None


def test_one_that_was_settled_and_then_deleted_vanishes_though_its_old_host_is_down(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.work()
    zone.nodes["c1"].crash()
    settle(zone.db, server, "op")
    for _ in range(5):
        zone.clock.at += 9
        zone.report()
    zone.delete(server)
    assert zone.row(server)["hidden"] or zone.row(server)["deleted"]


def lose(zone: LifeZone, server: str) -> None:
    """Its hypervisor no longer has it, and the zone knows."""
    store = zone.nodes["c1"].store
    store.erase(server, str(zone.row(server)["host"]))
    store.close()
    zone.rest()
    assert zone.row(server)["fault"]["reason"] == "lost_by_hypervisor"


def test_one_that_was_resized_comes_back_in_its_size_and_its_quota_adds_up(zone: LifeZone) -> None:
    done, half = zone.boot(), zone.boot()
    zone.flow()
    for server in (done, half):
        zone.act(server, "resize", flavor_id="two")
    zone.flow()
    zone.act(done, "confirm_resize")
    zone.flow()
    for server in (done, half):
        lose(zone, server)
        settle(zone.db, server, "op")
    zone.rest()
    for server in (done, half):
        guest = zone.guest(server)
        assert guest is not None
        row = zone.row(server)
        assert (guest.flavor, row["flavor_id"], row["old_flavor"]) == ("two", "two", None)
    assert zone.usage() == (2, 4, 2048)


def test_one_that_was_unshelved_comes_back_of_its_own_image(zone: LifeZone) -> None:
    server = zone.boot()
    zone.flow()
    for action in ("shelve", "unshelve"):
        zone.act(server, action)
        zone.rest()
    assert zone.images.held == {}
    lose(zone, server)
    settle(zone.db, server, "op")
    zone.rest()
    store = zone.nodes["c1"].store
    (row,) = store.named(server)
    store.close()
    assert row.machine.image is not None
    assert row.machine.image.id == IMAGE.id


def test_an_action_that_is_under_way_is_over_with_it(zone: LifeZone) -> None:
    server = zone.boot()
    zone.flow()
    lose(zone, server)
    zone.act(server, "stop")
    settle(zone.db, server, "op")
    zone.rest()
    logged = {one["action"]: one for one in zone.rows(tables.instance_action)}
    assert (logged["stop"]["result"], "settled" in logged["stop"]["message"]) == ("Error", True)
    assert all(one["finish_time"] for one in logged.values())
    assert zone.status(server) == (states.ACTIVE, None)


def test_one_that_is_well_is_left_alone(zone: LifeZone) -> None:
    server = zone.boot()
    zone.flow()
    with pytest.raises(Conflict) as refused:
        settle(zone.db, server, "op")
    assert refused.value.code == "not_in_doubt"
    assert len(zone.attempts(server)) == 1


def test_one_that_is_not_there(zone: LifeZone) -> None:
    server = zone.boot()
    zone.delete(server)
    for name in (server, "nothing"):
        with pytest.raises(NotFound):
            settle(zone.db, name, "op")
