"""The feed's numbers: each change one, in an order in which a reader misses nothing."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from tests.peerkit import ChildZone, child_zone, new_id
from tests.server_rows import add_server
from zones.db import changes, feed, incoming, tables
from zones.db.engine import Database
from zones.db.image import ImageRows
from zones.db.peers import remove
from zones.image.embedded import new_row
from zones.protocol import Caller
from zones.servers import retention


@pytest.fixture
def zone(database: Database) -> ChildZone:
    return child_zone(database)


def add(zone: ChildZone, peer: Caller, **values: Any) -> str:
    return add_server(zone.db, **{"peer_id": peer.peer, "feed_seq": None, "version": 1, "hidden": False,
                                  "deleted": False, **values})


def seqs(zone: ChildZone) -> dict[str, int | None]:
    return {row["id"]: row["feed_seq"] for row in zone.rows(tables.server)}


def test_changed_rows_of_peers_get_the_next_numbers_and_others_none(zone: ChildZone) -> None:
    peer = zone.peer()
    local = add(zone, Caller(user_id="", project_id=""))
    servers = [add(zone, peer, updated_at=1e9 + number) for number in (2, 1, 3)]
    assert zone.number() == 3
    assert seqs(zone) == {local: None, servers[0]: 2, servers[1]: 1, servers[2]: 3}
    assert zone.number() is None
    zone.change(servers[1], 1e9 + 9, name="new")
    assert zone.number() == 4
    assert seqs(zone)[servers[1]] == 4


def test_many_are_numbered_in_parts(zone: ChildZone) -> None:
    peer = zone.peer()
    for _ in range(5):
        add(zone, peer)
    assert [zone.number(2) for _ in range(4)] == [2, 4, 5, None]
    assert sorted(number or 0 for number in seqs(zone).values()) == [1, 2, 3, 4, 5]


def test_images_are_numbered_with_servers(zone: ChildZone) -> None:
    peer, image = zone.peer(), new_id()
    add(zone, peer)
    zone.db.run(lambda conn: conn.execute(sa.insert(tables.image), {
        "id": image, "peer_id": peer.peer, "owner": "p", "status": "active", "visibility": "private",
        "updated_at": 1.0}))
    assert zone.number() == 2
    servers, images = zone.db.run(feed.since, peer.peer, 0, 2, 10)
    assert [row["feed_seq"] for row in (*servers, *images)] == [1, 2]


def test_a_row_that_a_transaction_holds_is_numbered_after_it(database: Database) -> None:
    if database.is_sqlite:
        return  # has one writer at a time
    zone = child_zone(database)
    peer = zone.peer()
    busy, free = add(zone, peer), add(zone, peer)
    with database.engine.begin() as conn:
        changes.change(conn, busy, 2e9, name="later")
        assert zone.number() == 1
        assert seqs(zone) == {busy: None, free: 1}
    assert zone.number() == 2
    assert zone.row(busy)["name"] == "later"


def test_several_who_number_at_once_give_no_number_twice(shared_database: Database) -> None:
    zone = child_zone(shared_database)
    peer = zone.peer()
    for _ in range(40):
        add(zone, peer)

    def work() -> None:
        for _ in range(20):
            zone.number(3)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(number or 0 for number in seqs(zone).values()) == list(range(1, 41))
    assert zone.db.run(feed.head).head == 40


def test_what_is_forgotten_raises_the_floor(zone: ChildZone) -> None:
    peer = zone.peer()
    old = add(zone, peer, deleted=True, terminated_at=1.0)
    refused = add(zone, peer, hidden=True, vm_state="error", task_state=None, terminated_at=1.0)
    lives, young = add(zone, peer), add(zone, peer, deleted=True, terminated_at=4e9)
    zone.number()
    zone.change(old, 1.0, name="last")
    assert zone.number() == 5
    retention.prune(zone.db, 3600.0)
    assert set(seqs(zone)) == {lives, young}
    assert refused not in seqs(zone)
    assert zone.db.run(feed.head).floor == 5


def test_an_unnumbered_deletion_that_is_forgotten_ends_all_cursors(zone: ChildZone) -> None:
    peer = zone.peer()
    add(zone, peer, deleted=True, terminated_at=1.0)
    retention.prune(zone.db, 3600.0)
    assert zone.db.run(feed.head)[2:4] == (1, 1)
    gone = zone.peer()
    add(zone, gone, deleted=True, terminated_at=1.0)
    zone.db.run(remove, gone.peer)
    retention.prune(zone.db, 3600.0)
    assert zone.db.run(feed.head)[2:4] == (1, 1)


def test_a_deleted_image_is_forgotten_and_raises_the_floor(zone: ChildZone) -> None:
    peer, rows = zone.peer(), ImageRows(zone.db)
    lives, old, elsewhere = new_id(), new_id(), new_id()
    for image_id, more in ((lives, {}), (old, {}), (elsewhere, {"zone_uuid": new_id()})):
        rows.add(new_row(image_id, "p", 1.0, {"peer_id": peer.peer, **more}))
    zone.number()
    for image_id in (old, elsewhere):
        rows.change(image_id, {"status": "deleted", "updated_at": 2.0}, ("queued",))
    assert zone.number() == 5
    assert retention.prune(zone.db, 3600.0)["images"] == 1
    assert {row["id"] for row in zone.rows(tables.image)} == {lives, elsewhere}
    numbers = {row["id"]: row["feed_seq"] for row in zone.rows(tables.image)}
    assert zone.db.run(feed.head).floor == next(iter({4, 5} - set(numbers.values())))
    assert retention.prune(zone.db, 3600.0)["images"] == 0


def test_attempts_and_groups_are_forgotten_after_their_servers(zone: ChildZone) -> None:
    peer, kept, lost = zone.peer(), new_id(), new_id()
    server = add(zone, peer, group_id=kept)
    for group in (kept, lost):
        zone.db.run(incoming.keep_group, {
            "id": group, "project_id": "p", "name": "g", "policy": "affinity", "rules": {}, "anchor": None,
            "created_at": 1.0})
    attempts = [new_id(), new_id()]
    zone.db.run(incoming.add, [
        {"peer_id": peer.peer, "attempt_id": attempt, "server_id": whose, "state": "accepted", "code": None,
         "message": "", "created_at": 1.0, "updated_at": 1.0}
        for attempt, whose in zip(attempts, (server, new_id()), strict=True)])
    retention.prune(zone.db, 3600.0)
    assert list(zone.db.run(incoming.read, peer.peer, attempts)) == attempts[:1]
    assert [row["id"] for row in zone.rows(tables.server_group)] == [kept]
