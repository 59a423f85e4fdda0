"""What a zone says of itself and all below it: nothing younger than it is, nothing counted too early."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from zones.capabilities import summary
from zones.capabilities.room import Capacity
from zones.db import leases, links, tables
from zones.db.engine import Database
from zones.neighbours.summary import Writer


@dataclass
class View:
    """Knows what a test lets it know, and in which order it was asked."""

    db: Database
    is_warm: bool = True
    servers: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def warm(self) -> bool:
        return self.is_warm

    def tick(self) -> None:
        self.seen.append("attempts")
        set_zone(self.db, feed_head=leases_head(self.db) + 1)  # numbered while this looks

    def entry(self, name: str, shapes: Iterable[Capacity]) -> summary.Entry:
        self.seen.append("entry")
        assert list(shapes)
        return summary.Entry(name, load=summary.Load(servers=self.servers))

    def deducted(self, zone_uuid: str, entries: dict[str, summary.Entry]) -> dict[str, summary.Entry]:
        return summary.less(entries, lambda need: self.in_flight.get(zone_uuid, 0))

    def view_2011(self) -> dict[str, str]:
        return {"hypervisor": "kvm"}


def set_zone(db: Database, **values: Any) -> None:
    db.run(lambda conn: conn.execute(sa.update(tables.zone).values(**values)))


def leases_head(db: Database) -> int:
    return db.run(leases.feed_head)


class World:
    def __init__(self, db: Database) -> None:
        self.db = db
        self.own = db.run(leases.ensure_zone, "top")["uuid"]
        db.run(lambda conn: conn.execute(sa.insert(tables.flavor), {
            "id": "1", "name": "tiny", "vcpus": 1, "ram": 64, "disk": 0, "extra_specs": {}}))
        self.view = View(db)
        self.writer = Writer(db, self.view, "top", self.own)

    def write(self, later: float = 0.0) -> dict[str, Any]:
        """The summary in force once it was written, `later` seconds after the last time."""
        if later:
            row = self.db.run(leases.read_zone)
            set_zone(self.db, summary_at=row["summary_at"] - later)
            self.db.run(lambda conn: conn.execute(sa.update(tables.link).values(
                summary_at=tables.link.c.summary_at - later)))
        self.writer.write()
        return {**self.zone["summary"], "generation": self.zone["summary_generation"]}

    @property
    def zone(self) -> dict[str, Any]:
        return self.db.run(leases.read_zone)

    def link(self, name: str, zones: dict[str, Any], **values: Any) -> int:
        at = self.db.run(leases.read_zone)["created_at"]
        return self.db.run(links.add, {
            "name": name, "zone_uuid": f"uuid-{name}", "is_active": True, "created_at": at, "summary": zones,
            "summary_at": at, "state": "enabled", **values})


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


def test_nothing_is_said_before_the_hosts_have_reported(world: World) -> None:
    world.view.is_warm = False
    world.writer.write()
    assert world.zone["summary"] is None


def test_the_feed_is_counted_only_as_far_as_it_was_before_the_look_at_attempts(world: World) -> None:
    set_zone(world.db, feed_head=7)
    written = world.write()
    assert (written["feed_head"], leases_head(world.db)) == (7, 8)
    assert world.view.seen == ["attempts", "entry"]
    assert written["capabilities"] == {"hypervisor": "kvm"}


def test_what_links_said_is_told_with_the_way_to_it(world: World) -> None:
    world.link("west", {"uuid-west": {"name": "west"}, "uuid-gpu": {
        "name": "gpu", "path": ["gpu"], "age": 5.0}})
    for closed in ({"is_active": False}, {"state": "cordoned"}, {"summary_at": None}, {"zone_uuid": None}):
        world.link(f"closed-{closed}"[:40], {"uuid-x": {"name": "x"}}, **closed)
    zones = world.write()["zones"]
    assert {uuid: (zone["name"], zone["via"], zone["path"]) for uuid, zone in zones.items()} == {
        world.own: ("top", "", []), "uuid-west": ("west", "uuid-west", ["west"]),
        "uuid-gpu": ("gpu", "uuid-west", ["west", "gpu"])}
    assert 5.0 <= zones["uuid-gpu"]["age"] < 60.0


def test_what_is_in_flight_to_a_link_is_not_promised_on(world: World) -> None:
    slots = [{"vcpus": 1, "ram": 64, "disk": 0, "count": 5}]
    for name in ("west", "east"):
        world.link(name, {f"uuid-{name}": {"name": name, "classes": [
            {"availability_zone": "az", "hosts": 1, "slots": slots}]}})
    world.view.in_flight["uuid-west"] = 2
    zones = world.write()["zones"]
    assert [zones[f"uuid-{name}"]["classes"][0]["slots"][0]["count"] for name in ("west", "east")] == [3, 5]


def test_a_newer_answer_of_a_link_is_read_and_an_old_one_only_once(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = world.link("west", {"uuid-west": {"name": "old"}})
    read: list[Any] = []
    decode = summary.from_plain
    monkeypatch.setattr(summary, "from_plain", lambda plain: read.append(plain) or decode(plain))
    world.write()
    world.write()
    assert len(read) == 1
    world.db.run(links.note_poll, link, summary={"uuid-west": {"name": "new"}},
                 summary_at=world.zone["summary_at"])
    assert world.write()["zones"]["uuid-west"]["name"] == "new"
    world.db.run(links.remove, link)
    assert set(world.write()["zones"]) == {world.own}


def test_time_alone_makes_no_generation_and_what_is_too_old_is_dropped(world: World) -> None:
    link = world.link("west", {"uuid-west": {"name": "west"}})
    first = world.write()
    later = world.write(later=40.0)
    assert later["zones"]["uuid-west"]["age"] >= 40.0
    assert later["generation"] == first["generation"] + 1, "the feed has moved, and that is told"
    set_zone(world.db, feed_head=later["feed_head"])
    assert world.write(later=0.5)["generation"] == later["generation"]
    world.db.run(links.note_poll, link, summary_at=world.zone["summary_at"])
    renewed = world.write()
    assert (renewed["generation"], renewed["zones"]["uuid-west"]["age"] < 40.0) == (
        later["generation"] + 1, True)
    assert set(world.write(later=100.0)["zones"]) == {world.own}


def test_a_feed_that_moves_makes_a_generation_a_second_at_most(world: World) -> None:
    first = world.write()
    again = [world.write() for _ in range(5)]  # `tick` moves it each time
    assert {(one["generation"], one["feed_head"]) for one in again} == {
        (first["generation"], first["feed_head"])}
    world.view.servers = 1
    changed = world.write()
    assert (changed["generation"], changed["feed_head"]) == (first["generation"] + 1, first["feed_head"] + 6)
    assert world.write(later=1.0)["generation"] == first["generation"] + 2


# ------------------------------------------------------------------ what is kept of ages

AGES = st.floats(0.0, 90.0)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), AGES, st.integers(0, 1)), min_size=1, max_size=20))
def test_a_zone_below_is_never_told_as_younger_than_it_is_nor_much_older(
        writes: list[tuple[float, float, int]]) -> None:
    kept: dict[str, Any] | None = None
    believed = 0.0
    for passed, age, servers in writes:
        new = {"zones": {"own": {"age": 0.0}, "below": {"age": age, "servers": servers}}, "feed_head": 1}
        before = kept
        kept, changed = leases.settled(kept, new, passed, "own")
        believed = kept["zones"]["below"]["age"] if changed else max(believed + passed, age)
        told = kept["zones"]["below"]
        assert age <= told["age"] <= age + leases.RENEWED + 1e-6
        assert told["age"] == pytest.approx(believed)
        assert told["servers"] == servers
        assert kept["zones"]["own"] == {"age": 0.0}
        assert changed or before is not None
        assert changed or before["zones"]["below"]["servers"] == servers
