"""A deleted server is gone for good, whatever was under way; its quota comes back when its host says so."""

import pytest

from tests.lifekit import ANN, BOSS, LifeZone
from zones import states
from zones.errors import Conflict, NotFound, Unavailable
from zones.protocol import Boot
from zones.servers import edit


def started(zone: LifeZone) -> str:
    server = zone.boot()
    zone.flow()
    assert zone.status(server) == (states.ACTIVE, None)
    return server


def test_before_any_attempt_it_is_gone_at_once(zone: LifeZone) -> None:
    server = zone.boot()
    zone.delete(server)
    assert zone.row(server)["deleted"]
    assert (zone.usage(), zone.work_rows(), zone.post.queues.get("host.c1")) == ((0, 0, 0), [], None)


def test_while_it_is_built_nothing_of_it_stays(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.work()
    zone.to_hosts()
    zone.delete(server)
    assert zone.usage() == (1, 1, 512)
    zone.flow()
    assert zone.row(server)["deleted"]
    assert (zone.guest(server), zone.nodes["c1"].claims(), zone.usage()) == (None, [], (0, 0, 0))


def test_a_boot_that_arrives_after_its_tombstone_is_refused(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.work()
    late = zone.post.take("host.c1")
    assert any(isinstance(message, Boot) for message in late)
    zone.delete(server)
    zone.flow()
    assert zone.row(server)["deleted"]
    zone.nodes["c1"].take(late)
    zone.rest()
    assert (zone.guests(), zone.usage(), zone.work_rows()) == ([], (0, 0, 0), [])


def test_where_the_host_is_down_it_vanishes_and_its_quota_is_held(zone: LifeZone) -> None:
    server = started(zone)
    zone.nodes["c1"].crash()
    for _ in range(5):
        zone.clock.at += 9
        zone.report()
    zone.delete(server)
    row = zone.row(server)
    assert (row["deleted"], row["hidden"], zone.usage()) == (False, True, (1, 1, 512))
    with pytest.raises(NotFound):
        zone.delete(server)
    zone.rest()
    row = zone.row(server)
    assert (row["deleted"], row["hidden"], zone.usage(), zone.guests()) == (True, False, (0, 0, 0), [])


def test_twice_is_once(zone: LifeZone) -> None:
    server = started(zone)
    zone.delete(server)
    before = zone.row(server)
    zone.delete(server)
    assert zone.row(server) == before
    zone.flow()
    with pytest.raises(NotFound):
        zone.delete(server)
    assert zone.usage() == (0, 0, 0)


def test_an_action_under_way_does_not_hold_it_up(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "stop")
    zone.delete(server)
    zone.flow()
    assert zone.row(server)["deleted"]


def test_a_locked_one_is_kept_but_for_an_administrator(zone: LifeZone) -> None:
    server = started(zone)
    edit.lock(zone.core, ANN, server, None)
    with pytest.raises(Conflict) as refused:
        zone.delete(server)
    assert refused.value.code == "locked"
    zone.delete(server, BOSS)
    zone.flow()
    assert zone.row(server)["deleted"]


def test_a_shelved_one_takes_its_snapshot_along(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "shelve")
    zone.rest()
    assert zone.status(server) == (states.SHELVED_OFFLOADED, None)
    assert zone.row(server)["shelved_image_id"] in zone.images.held
    zone.delete(server)
    assert zone.row(server)["deleted"]
    assert zone.images.held == {}


@pytest.mark.parametrize("action", ["shelve", "create_image"])
def test_a_snapshot_that_was_never_made_is_not_left_behind(zone: LifeZone, action: str) -> None:
    server = started(zone)
    zone.act(server, action, name="snap")
    assert list(zone.images.held.values()) == [None]
    zone.delete(server)
    assert zone.images.held == {}
    zone.rest()
    assert zone.images.held == {}


def test_a_snapshot_that_was_made_stays(zone: LifeZone) -> None:
    server = started(zone)
    image = zone.act(server, "create_image", name="snap")["image_id"]
    zone.work()
    zone.to_hosts()
    zone.nodes["c1"].jobs()
    zone.delete(server)
    zone.rest()
    assert zone.images.held[image]


def test_an_image_service_that_is_away_does_not_hold_it_up(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "shelve")
    zone.rest()

    def away(image_id: str) -> None:
        raise Unavailable("no image service")
    zone.images.discard = away  # type: ignore[method-assign]
    zone.delete(server)
    assert zone.row(server)["deleted"]


def test_a_stranger_meets_no_such_server(zone: LifeZone) -> None:
    server = started(zone)
    stranger = type(ANN)(user_id="bob", project_id="p2")
    with pytest.raises(NotFound):
        zone.delete(server, stranger)
