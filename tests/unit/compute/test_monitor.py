"""What was changed behind the service's back is noticed, and one missing answer is no answer."""

from dataclasses import replace
from typing import Any

import pytest

from tests.hostkit import HOST, boot, built, heard, told
from tests.lifekit import LifeZone, Node
from zones import states
from zones.errors import ZonesError


def change(node: Node, power: int | None) -> None:
    store = node.store
    if power is None:
        store.erase("s1", HOST)
    else:
        store.change("s1", HOST, lambda row: replace(row, power=power), [], 9)
    store.close()


def test_a_power_state_that_changed_by_itself_is_told_once(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    change(node, states.SHUTDOWN)
    for _ in range(3):
        node.service.monitor.compare()
    (news,) = told(zone)
    assert (news.state, news.power_state, news.version, news.reason) == ("running", states.SHUTDOWN, 3, None)


def test_a_server_is_lost_after_two_listings_without_it_and_a_look(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    change(node, None)
    node.service.monitor.compare()
    assert told(zone) == [], "one missing answer is no answer"
    node.service.monitor.compare()
    (news,) = told(zone)
    assert (news.reason, news.power_state, news.gone) == ("lost_by_hypervisor", states.NOSTATE, False)
    node.service.monitor.compare()
    heard(node, [news])
    assert told(zone) == []
    assert node.service.book.room.used(HOST).servers == 1, "its room is held until it is deleted"


def test_what_a_look_finds_is_not_lost(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.driver.list = list  # type: ignore[method-assign]
    for _ in range(3):
        node.service.monitor.compare()
    assert told(zone) == []


def test_a_listing_that_fails_is_no_listing(zone: LifeZone, node: Node) -> None:
    built(zone, node)

    def broken() -> Any:
        raise ZonesError("away")
    change(node, None)
    node.service.monitor.compare()
    listing = node.driver.list
    node.driver.list = broken  # type: ignore[method-assign]
    with pytest.raises(ZonesError):
        node.service.monitor.compare()
    assert told(zone) == []
    node.driver.list = listing  # type: ignore[method-assign]
    node.service.monitor.compare()
    assert [one.reason for one in told(zone)] == ["lost_by_hypervisor"]


def test_what_is_being_changed_is_not_looked_at(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    change(node, states.PAUSED)
    with node.service.book.server("s1"):
        node.service.monitor.compare()
    assert told(zone) == []
    node.service.monitor.compare()
    assert [one.power_state for one in told(zone)] == [states.PAUSED]


def test_a_stranger_is_left_alone(zone: LifeZone, node: Node) -> None:
    node.driver.spawn(HOST, boot("x", "stranger").spec, "x", lambda _kind, _name: None)
    for _ in range(3):
        node.service.monitor.compare()
    assert [row.server for row in node.guests()] == ["stranger"]
    assert told(zone) == []
