"""News is told until the zone has heard its latest version."""

import pytest

from tests.hostkit import HOST, boot, built, heard, told
from tests.lifekit import LifeZone, Node
from zones.protocol import Act, Done, News


def test_news_is_told_until_it_was_heard_in_its_latest_version(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1")])
    (first,) = told(zone)
    assert told(zone) == [], "not at once"
    zone.clock.at += 3
    (again,) = told(zone)
    assert (again.id, again.report.seq > first.report.seq) == (first.id, True)
    node.jobs()
    heard(node, [first])
    (last,) = told(zone)
    assert last.version == 2
    heard(node, [last])
    zone.clock.at += 3
    assert told(zone) == []


def test_a_change_between_two_sends_is_one_message(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1")])
    node.jobs()
    assert [(one.version, one.state) for one in told(zone)] == [(2, "running")]


def test_the_end_of_an_action_is_told_until_it_was_heard(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.take([Act("o1", "s1", "a1", HOST, "pause")])
    node.jobs()
    first = told(zone)
    assert {type(one) for one in first} == {Done, News}
    zone.clock.at += 3
    assert {type(one) for one in told(zone)} == {Done, News}
    heard(node, first)
    zone.clock.at += 3
    assert told(zone) == []


def test_a_send_that_fails_is_made_up_for(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1")])
    node.service.herald._send = lambda _message: (_ for _ in ()).throw(OSError("no broker"))
    with pytest.raises(OSError):
        node.service.herald.round()
    node.service.herald._send = lambda message: zone.post.put("news", message)
    zone.clock.at += 3
    assert [one.attempt for one in told(zone)] == ["a1"]
