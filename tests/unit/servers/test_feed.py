"""What a peer reads of its servers: the last state of each, whatever happened, and nobody else's."""

import threading
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from tests.peerkit import ChildZone, boot_of, child_zone, new_id
from zones.db import tables
from zones.db.engine import Database
from zones.errors import Gone, Invalid, NotFound
from zones.protocol import Caller
from zones.protocol.neighbours import ServerDoc
from zones.servers import feed, handover, retention

STEPS = st.one_of(
    st.tuples(st.just("boot"), st.integers(0, 1)), st.tuples(st.just("change"), st.integers(0, 7)),
    st.tuples(st.just("recall"), st.integers(0, 7)), st.tuples(st.just("refuse"), st.integers(0, 7)),
    st.tuples(st.just("number"), st.integers(1, 3)), st.tuples(st.just("read"), st.integers(1, 3)),
    st.tuples(st.just("prune"), st.just(0)))


class Reader:
    """Follows a feed as a parent does: what it can't go on from it begins anew."""

    def __init__(self, zone: ChildZone, peer: Caller) -> None:
        self.zone, self.peer, self.cursor = zone, peer, ""
        self.known: dict[str, ServerDoc] = {}
        self.seen: set[str] | None = set()

    def read(self, limit: int) -> bool:
        """One page; whether there is more."""
        try:
            page = feed.changes(self.zone.core, self.peer, self.cursor, limit)
        except Gone:
            self.cursor, self.seen = "", set()
            return True
        assert len(page.servers) <= limit
        assert [doc.seq for doc in page.servers] == sorted(doc.seq for doc in page.servers)
        for doc in page.servers:
            self.known[doc.id] = doc
            if self.seen is not None:
                self.seen.add(doc.id)
        if self.seen is not None and not page.more:
            for server in set(self.known) - self.seen:
                del self.known[server]
            self.seen = None
        self.cursor = page.cursor
        return page.more


@pytest.fixture
def zone(database: Database) -> ChildZone:
    return child_zone(database)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=4, max_size=40))
def test_a_reader_sees_the_last_state_of_all_its_own_and_nothing_else(
        zone: ChildZone, steps: list[tuple[str, int]]) -> None:
    peers = [zone.peer(), zone.peer()]
    reader, whose = Reader(zone, peers[0]), dict[str, Caller]()
    boots: list[tuple[Caller, str, str]] = []
    for step, number in steps:
        if step == "boot":
            boot = boot_of()
            handover.accept(zone.core, peers[number], [boot])
            boots.append((peers[number], boot.spec.id, boot.attempt))
            whose[boot.spec.id] = peers[number]
        elif step == "number":
            zone.number(number)
        elif step == "read":
            reader.read(number)
        elif step == "prune":
            retention.prune(zone.db, -3e9)  # all that is over is over for long enough
        elif boots:
            peer, server, attempt = boots[number % len(boots)]
            _touch(zone, step, peer, server, attempt)
    while zone.number() is not None:
        pass
    for _ in range(500):
        if not reader.read(2):
            break
    assert {doc.id for doc in reader.known.values()} <= {
        server for server, peer in whose.items() if peer is peers[0]}
    rows = {row["id"]: row for row in zone.rows(tables.server) if row["peer_id"] == peers[0].peer}
    alive = {server: doc for server, doc in reader.known.items() if not doc.deleted and not doc.refused}
    assert alive.keys() == {server for server, row in rows.items()
                            if not row["deleted"] and not handover.is_refused(row)}
    for server, row in rows.items():
        doc = reader.known[server]
        assert (doc.version, doc.name, doc.deleted, doc.attempt) == (
            row["version"], row["name"], row["deleted"], row["origin_attempt"])
        assert (doc.refused, doc.project_id) == (handover.is_refused(row), "theirs")


def _touch(zone: ChildZone, step: str, peer: Caller, server: str, attempt: str) -> None:
    row = next((row for row in zone.rows(tables.server) if row["id"] == server), None)
    if step == "recall":
        handover.recall(zone.core, peer, server, [attempt])
    elif row is None or row["deleted"] or handover.is_refused(row):
        return
    elif step == "refuse":
        zone.refuse(server)
    else:
        zone.change(server, row["updated_at"] + 1, name=f"name-{row['version']}")


def test_a_reader_misses_nothing_while_others_write_and_number(shared_database: Database) -> None:
    zone = child_zone(shared_database)
    peer = zone.peer()
    boots = [boot_of() for _ in range(6)]
    handover.accept(zone.core, peer, boots)
    done, reader = threading.Event(), Reader(zone, peer)

    def write(server: str) -> None:
        for number in range(25):
            zone.change(server, 2e9 + number, name=f"n-{number}")

    def number() -> None:
        while not done.is_set():
            zone.number(2)
    writers = [threading.Thread(target=write, args=(boot.spec.id,)) for boot in boots]
    numberers = [threading.Thread(target=number) for _ in range(2)]
    for thread in (*writers, *numberers):
        thread.start()
    while any(thread.is_alive() for thread in writers):
        reader.read(4)
    done.set()
    for thread in (*writers, *numberers):
        thread.join(60)
    while zone.number() is not None:
        pass
    while reader.read(4):
        pass
    assert {doc.name for doc in reader.known.values()} == {"n-24"}
    assert len(reader.known) == 6


def test_a_document_says_where_a_server_is_in_the_peers_own_words(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of(metadata={"a": "b"}, tags=["t"], description="d")
    handover.accept(zone.core, peer, [boot])
    doc = feed.document(zone.core, peer, boot.spec.id)
    assert (doc.attempt, doc.project_id) == (boot.attempt, "theirs")
    assert (doc.placed, doc.host_path) == (False, ["west"])
    assert (doc.metadata, doc.tags, doc.description, doc.flavor["vcpus"]) == ({"a": "b"}, ["t"], "d", 1)
    zone.change(boot.spec.id, 2e9, zone_uuid=new_id(), host_path=["leaf"],
                availability_zone="leaf/nova", fault={"code": 500, "message": "m", "explanation": {"h": 1}})
    doc = feed.document(zone.core, peer, boot.spec.id)
    assert (doc.placed, doc.host_path, doc.availability_zone) == (True, ["west", "leaf"], "leaf/nova")
    assert doc.fault == {"code": 500, "message": "m"}
    with pytest.raises(NotFound):
        feed.document(zone.core, zone.peer(), boot.spec.id)


def test_a_refusal_comes_up_with_its_reason(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    zone.refuse(boot.spec.id, "no_valid_host")
    doc = feed.document(zone.core, peer, boot.spec.id)
    assert (doc.refused, doc.placed, doc.deleted) == (True, True, False)
    assert doc.fault is not None
    assert (doc.fault["reason"], doc.fault["message"]) == ("no_valid_host", "it fits nowhere")


def test_cursors_of_another_life_are_gone(zone: ChildZone) -> None:
    peer = zone.peer()
    handover.accept(zone.core, peer, [boot_of() for _ in range(3)])
    zone.number()
    cursor = feed.changes(zone.core, peer, "", 10).cursor
    assert feed.seq_of(cursor) == 3
    assert not feed.changes(zone.core, peer, cursor, 10).servers
    zone.db.run(lambda conn: conn.execute(sa.update(tables.zone).values(feed_head=2)))
    with pytest.raises(Gone):
        feed.changes(zone.core, peer, cursor, 10)
    zone.db.run(lambda conn: conn.execute(sa.update(tables.zone).values(feed_head=9, epoch="other")))
    with pytest.raises(Gone):
        feed.changes(zone.core, peer, cursor, 10)
    for bad in ("x", "a.b", "a.-1", f"e.{10**30}", "."):
        with pytest.raises(Invalid):
            feed.changes(zone.core, peer, bad, 10)


def test_reading_from_the_beginning_gets_past_the_floor(zone: ChildZone) -> None:
    peer = zone.peer()
    boots = [boot_of() for _ in range(5)]
    handover.accept(zone.core, peer, boots)
    gone = boot_of()
    handover.accept(zone.core, peer, [gone])
    handover.recall(zone.core, peer, gone.spec.id, [gone.attempt])
    zone.number()
    follower = feed.changes(zone.core, peer, "", 100).cursor
    first = feed.changes(zone.core, peer, "", 2)
    retention.prune(zone.db, -3e9)
    with pytest.raises(Gone):
        feed.changes(zone.core, peer, first.cursor, 2)
    assert not feed.changes(zone.core, peer, follower, 2).servers
    reader = Reader(zone, peer)
    while reader.read(2):
        pass
    assert reader.known.keys() == {boot.spec.id for boot in boots}


def test_a_numberer_numbers_only_while_it_leads_and_wakes_who_waits(shared_database: Database) -> None:
    zone = child_zone(shared_database)
    peer, leads, moved = zone.peer(), threading.Event(), feed.Moved()
    numberer = feed.Numberer(zone.db, leads.is_set, 0.01, moved.moved)
    numberer.start()
    try:
        boot = boot_of()
        handover.accept(zone.core, peer, [boot])
        assert not moved.wait(0, 0.1)
        leads.set()
        assert moved.wait(0, 20.0)
        assert zone.row(boot.spec.id)["feed_seq"] == 1
        assert moved.wait(0, 0.0)
        assert not moved.wait(1, 0.01)
    finally:
        numberer.stop(10)


def test_images_come_with_servers(zone: ChildZone) -> None:
    peer, boot, image = zone.peer(), boot_of(), new_id()
    handover.accept(zone.core, peer, [boot])
    row: dict[str, Any] = {
        "id": image, "peer_id": peer.peer, "owner": zone.row(boot.spec.id)["project_id"], "status": "active",
        "visibility": "private", "size": 5, "min_disk": 0, "min_ram": 0, "version": 3, "updated_at": 4e9}
    zone.db.run(lambda conn: conn.execute(sa.insert(tables.image), row))
    zone.number()
    first = feed.changes(zone.core, peer, "", 1)
    second = feed.changes(zone.core, peer, first.cursor, 1)
    assert ([doc.id for doc in first.servers], first.images, first.more) == ([boot.spec.id], [], True)
    assert [(doc.id, doc.project_id, doc.status, doc.version) for doc in second.images] == [
        (image, "theirs", "active", 3)]
