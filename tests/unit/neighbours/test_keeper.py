"""Links are polled and followed by the process that leads; who hangs holds up nobody else; all ends."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.zonekit import wait_for
from zones.config import Links
from zones.db import leases, links
from zones.db.engine import Database
from zones.errors import Gone, Unavailable, ZonesError
from zones.neighbours import poll
from zones.neighbours.keeper import Keeper
from zones.neighbours.tending import House, Tended
from zones.protocol.neighbours import Changes, Info, ServerDoc
from zones.states import ACTIVE

CONFIG = Links(poll=0.1, failures_to_offline=2, feed_wait=0.1)


@dataclass
class Zone:
    """A zone to be linked: what it answers, and what it was asked."""

    uuid: str
    generation: int = 1
    fails: ZonesError | None = None
    hangs: threading.Event | None = None
    polls: int = 0
    asked: list[str] = field(default_factory=list)
    docs: list[ServerDoc] = field(default_factory=list)
    clients: int = 0
    closed: int = 0

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        self.polls += 1
        self._answer()
        tag = f'"e.{self.generation}"'
        if etag == tag:
            return None, tag
        return Info("its-name", self.uuid, "e", self.generation, {"min": 1, "max": 1},
                    {self.uuid: {"name": "its-name"}}, len(self.docs)), tag

    def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
        self.asked.append(cursor)
        self._answer()
        if cursor not in ("", *(f"e.{seq}" for seq in range(len(self.docs) + 1))):
            raise Gone("no", code="feed_gone")
        since = int(cursor.rpartition(".")[2] or 0)
        return Changes(f"e.{len(self.docs)}", self.docs[since:], generation=self.generation)

    def document(self, server_id: str) -> ServerDoc | None:
        return None

    def close(self) -> None:
        self.closed += 1

    def _answer(self) -> None:
        if self.hangs is not None:
            self.hangs.wait(30.0)
        if self.fails is not None:
            raise self.fails

    def add(self, server: str) -> None:
        self.docs.append(ServerDoc(id=server, attempt="a", seq=len(self.docs) + 1, version=1, project_id="p",
                                   user_id="u", name=server, vm_state=ACTIVE, flavor={}))


class World:
    """Links in a real database, the zones at their URLs, and all that the keeper told."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.own = db.run(leases.ensure_zone, "top")["uuid"]
        self.zones: dict[str, Zone] = {}
        self.leads = True
        self.heard: list[str] = []
        self.back: list[str] = []
        self.lost: list[tuple[str, str, bool]] = []
        self.told = 0
        self.looks = 0
        self.house = House(
            leads=self.leading, connect=self.connect, hear=self.hear, known=lambda zone: ["ghost"],
            lost=lambda *args: self.lost.append(args), links_changed=self.changed, back=self.back.append)

    def leading(self) -> bool:
        self.looks += 1
        return self.leads

    def connect(self, row: dict[str, Any]) -> Zone:
        zone = self.zones[row["api_url"]]
        zone.clients += 1
        return zone

    def hear(self, zone_uuid: str, changes: Changes) -> None:
        self.heard += [doc.id for doc in changes.servers]
        self.db.run(links.set_cursor, zone_uuid, changes.cursor)

    def changed(self) -> None:
        self.told += 1

    def add(self, name: str, *, known: bool = True, **values: Any) -> int:
        zone = self.zones[name] = Zone(f"uuid-{name}")
        return self.db.run(links.add, {
            "name": name, "api_url": name, "zone_uuid": zone.uuid if known else None, "created_at": 1.0,
            "username": "u", "password": "sealed", "relation": "child", **values})

    def row(self, link: int) -> dict[str, Any]:
        row = self.db.run(links.row, link)
        assert row is not None
        return row

    def tended(self, link: int, **given: Any) -> Tended:
        return Tended(link, "x", self.row(link)["version"], self.db, CONFIG, self.house, **given)


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


@pytest.fixture
def shared(shared_database: Database) -> World:
    return World(shared_database)


@pytest.fixture
def keeper(shared: World) -> Iterator[Keeper]:
    before = set(threading.enumerate())
    one = Keeper(shared.db, CONFIG, shared.house, apart=0.0)
    yield one
    one.stop(10.0)
    wait_for("all threads to end", lambda: not [
        thread for thread in threading.enumerate()
        if thread not in before and thread.name.startswith(("poll-", "feed-", "keeper"))])


# ------------------------------------------------------------------ one poll after another

def test_health_is_kept_and_told_only_when_it_changes(world: World) -> None:
    link = world.add("west")
    one, zone = world.tended(link), world.zones["west"]
    assert one.poll_once() == 0
    row = world.row(link)
    assert (row["is_active"], row["reason"], row["generation"], row["etag"]) == (True, None, 1, '"e.1"')
    assert world.db.run(links.summaries, [link])[link][0]["uuid-west"]["name"] == "its-name"
    assert (world.told, world.back) == (1, ["uuid-west"])
    one.poll_once()
    assert (world.told, world.back, zone.clients) == (1, ["uuid-west"], 1)
    zone.fails = Unavailable("no route")
    assert (one.poll_once(), world.row(link)["is_active"], world.told) == (1, True, 1)
    assert (one.poll_once(), world.row(link)["is_active"], world.told) == (2, False, 2)
    assert (world.row(link)["reason"], world.row(link)["message"]) == ("unreachable", "no route")
    assert zone.closed == 2, "nothing of a client that failed is kept"
    zone.fails = None
    assert (one.poll_once(), world.row(link)["is_active"], world.told) == (0, True, 3)
    assert world.back == ["uuid-west"] * 2


def test_an_old_answer_is_not_renewed_by_not_modified(world: World) -> None:
    link = world.add("west")
    one = world.tended(link)
    one.poll_once()
    world.db.run(links.note_poll, "uuid-west", summary_at=world.row(link)["summary_at"] - 2 * poll.FRESH)
    old = world.row(link)["summary_at"]
    one.poll_once()
    assert world.row(link)["summary_at"] > old + poll.FRESH


def test_another_zone_at_the_url_gets_nothing_but_polls(world: World) -> None:
    link = world.add("west")
    one = world.tended(link)
    one.poll_once()
    world.zones["west"].uuid = "uuid-other"
    world.zones["west"].generation += 1
    one.poll_once()
    row = world.row(link)
    assert (row["is_active"], row["reason"], row["zone_uuid"]) == (False, "other_zone", "uuid-west")
    assert one.follow_once() > 0
    assert world.zones["west"].asked == []


@pytest.mark.parametrize("who", ["itself", "linked already", "somebody new"])
def test_a_link_that_was_not_checked_learns_its_zone_when_it_answers(world: World, who: str) -> None:
    link = world.add("west", known=False)
    world.add("east")
    world.zones["west"].uuid = {"itself": world.own, "linked already": "uuid-east"}.get(who, "uuid-new")
    one = world.tended(link)
    assert one.follow_once() > 0
    one.poll_once()
    row = world.row(link)
    if who == "somebody new":
        assert (row["zone_uuid"], row["is_active"], world.back) == ("uuid-new", True, ["uuid-new"])
    else:
        assert (row["zone_uuid"], row["is_active"], row["reason"]) == (None, False, "taken")
    one.poll_once()
    assert world.row(link)["is_active"] is (who == "somebody new")


def test_what_was_found_of_a_link_that_has_changed_meanwhile_is_dropped(world: World) -> None:
    link = world.add("west")
    zone = world.zones["west"]

    class Late(Zone):
        def info(self, etag: str | None) -> tuple[Info | None, str]:
            world.db.run(links.change, link, 2.0, weight_offset=1.0)
            return zone.info(etag)
    world.zones["west"] = Late(zone.uuid)
    one = world.tended(link)
    one.poll_once()
    assert (world.row(link)["is_active"], world.told) == (False, 0)
    world.zones["west"] = zone
    one.poll_once()
    assert world.row(link)["is_active"] is True


def test_nothing_is_written_once_the_lead_is_lost(world: World) -> None:
    link = world.add("west")
    one = world.tended(link)
    world.leads = False
    one.poll_once()
    assert (world.row(link)["polled_at"], world.told) == (None, 0)
    world.leads = True
    one.poll_once()
    world.leads = False
    world.zones["west"].add("s1")
    one.follow_once()
    assert (world.heard, world.row(link)["cursor"]) == ([], None)


# ------------------------------------------------------------------ threads

def test_links_are_tended_as_they_come_and_go(shared: World, keeper: Keeper) -> None:
    shared.add("west", relation="parent")
    keeper.start()
    west = shared.zones["west"]
    west.add("s1")
    wait_for("the feed to be heard", lambda: "s1" in shared.heard)
    wait_for("what is missing to be lost", lambda: shared.lost)
    assert shared.lost[0][:2] == ("uuid-west", "ghost")
    link = shared.add("east")
    keeper.changed()
    east = shared.zones["east"]
    wait_for("the new link to be active", lambda: shared.row(link)["is_active"])
    shared.db.run(links.remove, link)
    keeper.changed()
    wait_for("its threads to end", lambda: not any(
        thread.name.endswith("-east") for thread in threading.enumerate()))
    polls = east.polls
    wait_for("more polls of the other", lambda at=west.polls: west.polls > at + 3)
    assert east.polls == polls


def test_a_new_generation_in_the_feed_is_polled_at_once(shared: World, keeper: Keeper) -> None:
    keeper._config = Links(poll=600.0, feed_wait=0.1)
    link = shared.add("west")
    keeper.start()
    wait_for("the link to be active", lambda: shared.row(link)["is_active"])
    shared.zones["west"].generation = 5
    wait_for("the new generation", lambda: shared.row(link)["generation"] == 5)


def test_a_neighbour_that_hangs_costs_its_own_threads_only(shared: World, keeper: Keeper) -> None:
    hung, well = shared.add("hung"), shared.add("well")
    shared.zones["hung"].hangs = threading.Event()
    keeper.start()
    wait_for("the other to be active", lambda: shared.row(well)["is_active"])
    began = time.monotonic()
    keeper.stop(0.2)
    assert time.monotonic() - began < 5.0
    shared.zones["hung"].hangs.set()
    assert (shared.row(hung)["polled_at"], shared.zones["hung"].polls) == (None, 1)


def test_no_poll_of_a_link_overlaps_with_an_older_one(shared: World, keeper: Keeper) -> None:
    link = shared.add("west")
    zone = shared.zones["west"]
    zone.hangs = threading.Event()
    keeper.start()
    wait_for("a poll to hang", lambda: zone.polls)
    shared.leads = False
    keeper.changed()
    wait_for("the link to be let go", lambda: not keeper._tended)
    shared.leads = True
    looks = shared.looks
    wait_for("more looks", lambda: keeper.changed() or shared.looks > looks + 2)
    assert zone.polls == 1
    zone.hangs.set()
    wait_for("the link to be active", lambda: shared.row(link)["is_active"])


def test_who_does_not_lead_sends_nothing(shared: World, keeper: Keeper) -> None:
    link = shared.add("west")
    shared.leads = False
    keeper.start()
    wait_for("some looks", lambda: keeper.changed() or shared.looks > 3)
    assert shared.zones["west"].polls == 0
    shared.leads = True
    wait_for("the link to be active", lambda: shared.row(link)["is_active"])
    shared.leads = False
    wait_for("it to be let go", lambda: keeper.changed() or not any(
        thread.name.endswith("-west") for thread in threading.enumerate()))


def test_a_fault_of_ours_stops_no_thread(shared: World, keeper: Keeper) -> None:
    link = shared.add("west")
    zone = shared.zones["west"]
    zone.fails = KeyError("a fault of the house")  # type: ignore[assignment]
    keeper.start()
    wait_for("some polls", lambda: zone.polls > 2)
    zone.fails = None
    wait_for("the link to be active", lambda: shared.row(link)["is_active"])
