"""Every change of a host is a report soon, several at once are one."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.hostkit import HOST, boot
from tests.lifekit import LifeZone, Node
from zones.compute.driver import Shared
from zones.protocol import Solicit


def test_who_starts_and_asks_hears_of_every_host(zone: LifeZone, node: Node) -> None:
    node.service.reporter.changed()
    zone.post.take("fanout")
    node.service.heard_fanout([Solicit("somebody")])
    node.service.reporter.changed()
    reports = zone.post.take("fanout")
    assert sorted(one.host for one in reports) == ["c1-host-1", "c1-host-2"]  # type: ignore[union-attr]


def test_changes_of_a_host_are_one_report_and_sequence_numbers_grow(zone: LifeZone, node: Node) -> None:
    node.service.reporter.changed()
    zone.post.take("fanout")
    node.take([boot("a1"), boot("a2", "s2")])
    node.service.reporter.changed()
    (report,) = zone.post.take("fanout")
    assert (report.host, report.vcpus_used, report.servers) == (HOST, 2, 2)  # type: ignore[union-attr]
    node.jobs()
    node.service.reporter.changed()
    (later,) = zone.post.take("fanout")
    assert later.seq > report.seq  # type: ignore[union-attr]
    assert node.service.reporter.report("mars") is None


def test_who_shares_limits_says_so(zone: LifeZone, node: Node) -> None:
    room = node.service.reporter._book.room
    room.set_hosts([replace(host, shared=Shared("account", 9, 9, 9, 9)) if host.name == HOST else host
                    for host in room.hosts()])
    reports = [node.service.reporter.report(host.name) for host in room.hosts()]
    assert {one.host: one.shares for one in reports if one} == {"c1-host-1": "account", "c1-host-2": ""}


def test_every_host_has_its_turn_once_an_interval(zone: LifeZone, node: Node) -> None:
    reporter = node.service.reporter
    reporter.changed()
    zone.post.take("fanout")
    ticks, turns = 20, 10
    reported: list[tuple[int, str]] = []
    for tick in range(ticks * turns):
        reporter.passed(reporter.interval() / ticks)
        reported += [(tick, one.host) for one in zone.post.take("fanout")]  # type: ignore[union-attr]
    for host in {host for _, host in reported}:
        at = [tick for tick, name in reported if name == host]
        assert len(at) in (turns - 1, turns, turns + 1)
        assert max(later - sooner for sooner, later in pairwise(at)) <= ticks + 1
    assert {host for _, host in reported} == {"c1-host-1", "c1-host-2"}
    reporter.passed(1000 * reporter.interval())
    assert len(zone.post.take("fanout")) == 2


def test_what_the_driver_cannot_do_is_in_every_report(zone: LifeZone, node: Node) -> None:
    node.crash()
    actions = type(node.driver).actions
    try:
        type(node.driver).actions = frozenset({"stop", "start"})
        node.start()
        report = node.service.reporter.report(HOST)
    finally:
        type(node.driver).actions = actions
    assert report is not None
    assert "suspend" in report.unsupported
    assert not {"stop", "create_image", "shelve"} & set(report.unsupported)


def test_a_driver_without_snapshots_offers_nothing_that_is_made_of_them(
        zone: LifeZone, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.crash()
    monkeypatch.setattr(type(node.driver), "snapshots", False)
    node.start()
    report = node.service.reporter.report(HOST)
    assert report is not None
    assert report.unsupported == ["create_image", "shelve", "unshelve"]
