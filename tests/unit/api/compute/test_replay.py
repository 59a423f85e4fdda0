"""A change that a peer asks for happens once, whoever repeats it and when."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compute_api import Answer
from tests.far_zone import Near, Response, near_zone, refusal
from tests.server_rows import server_row
from zones.api.compute import replay
from zones.db import operations, tables
from zones.db.engine import Database
from zones.errors import Unavailable
from zones.protocol.neighbours import REPLAYED

PEERS = {"peer_id": "peer-1", "owner_peer": "peer-1", "project_id": "f1"}


@pytest.fixture
def near(sqlite_database: Database) -> Near:
    return near_zone(sqlite_database)


class Repeat:
    """One of those who ask for the same change: each step of its life is one transaction."""

    def __init__(self, db: Database, key: str, ran: list["Repeat"], dies: bool) -> None:
        self.db, self.key, self.ran, self.dies = db, key, ran, dies
        self.claim, self.answer = str(uuid.uuid4()), b""

    def steps(self) -> Iterator[None]:
        while True:
            kept = self.db.run(operations.begin, self.key, self.claim, "p", "s")
            yield
            if kept.mine:
                break
            if kept.status != operations.UNDER_WAY:
                self.answer = kept.body or b""
                return
        self.ran.append(self)
        yield
        if not self.dies:
            self.answer = self.claim.encode()
            self.db.run(operations.finish, self.key, self.claim, 202, {}, self.answer)


@settings(max_examples=60, deadline=None)
@given(order=st.lists(st.integers(0, 4), max_size=60), dies=st.booleans())
def test_of_any_interleaving_one_runs(order: list[int], dies: bool) -> None:
    db = Database("sqlite://")
    db.run(tables.operation.create)
    try:
        ran: list[Repeat] = []
        repeats = [Repeat(db, "key", ran, dies) for _ in range(5)]
        lives = [repeat.steps() for repeat in repeats]
        for one in order:
            next(lives[one], None)
        assert len(ran) <= 1
        assert {repeat.answer for repeat in repeats} <= {b"", *(one.claim.encode() for one in ran)}
    finally:
        db.close()


def test_a_transaction_that_runs_twice_keeps_its_claim(near: Near) -> None:
    db = near.api.db
    assert all(db.run(operations.begin, "k", "mine", "p", "s").mine for _ in range(2))
    assert not db.run(operations.begin, "k", "another", "p", "s").mine


def test_who_died_is_followed_and_what_is_old_is_forgotten(database: Database, monkeypatch: Any) -> None:
    db, at = database, [1000.0]
    monkeypatch.setattr(operations, "now", lambda conn: at[0])
    assert db.run(operations.begin, "k", "first", "p", "s").mine
    at[0] += operations.ABANDONED
    assert db.run(operations.begin, "k", "second", "p", "s") == operations.Kept()
    at[0] += 1
    assert db.run(operations.begin, "k", "second", "p", "s").mine
    db.run(operations.finish, "k", "first", 202, {}, b"late")
    assert not db.run(operations.begin, "k", "third", "p", "s").mine
    db.run(operations.finish, "k", "second", 202, {"A": "b"}, b"done")
    at[0] += REPLAYED
    told = db.run(operations.begin, "k", "third", "p", "s")
    assert told == operations.Kept(False, 202, {"A": "b"}, b"done")
    at[0] += 1
    assert db.run(operations.begin, "k", "third", "p", "s").mine
    assert db.run(operations.prune, at[0]) == 0 and db.run(operations.prune, at[0] + 1) == 1


def pause(near: Near, server_id: str, operation: str, who: str = "peer") -> Answer:
    return near.api("POST", f"/servers/{server_id}/action", {"pause": None}, who=who,
                    headers={"X-Zone-Operation": operation})


def test_many_at_once_are_one(shared_database: Database) -> None:
    near = near_zone(shared_database)
    server_id, operation = near.server(**PEERS), str(uuid.uuid4())
    near.far.otherwise = Response(202, b'{"some": "answer"}')
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(pause(near, server_id, operation)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [(one.status, one.body) for one in answers] == [(202, {"some": "answer"})] * 8
    assert len(near.far.asked) == 1


def test_who_has_waited_long_enough_is_told_so(near: Near, monkeypatch: Any) -> None:
    monkeypatch.setattr(replay, "PATIENCE", 0.0)
    server_id, operation = near.server(**PEERS), str(uuid.uuid4())
    within: list[Answer] = []
    near.far.before = lambda: within.append(pause(near, server_id, operation)) if not within else None
    assert pause(near, server_id, operation).status == 202
    (answer,) = within
    assert (answer.status, answer.headers["X-Zone-Error"], answer.headers["Retry-After"]) == (
        409, "operation_under_way", "1")


def test_refusals_are_kept_and_failures_are_not(near: Near) -> None:
    server_id = near.server(**PEERS)
    for said, again in ((refusal(409, "locked"), False), (Unavailable("down", code="zone_down"), True)):
        operation = str(uuid.uuid4())
        near.far.answers = [said, Response(202)]
        first, second = pause(near, server_id, operation), pause(near, server_id, operation)
        assert (second.status == 202) is again
        if not again:
            assert (second.status, second.body, second.headers["X-Zone-Error"]) == (
                first.status, first.body, first.headers["X-Zone-Error"])


def test_a_refusal_of_this_zone_is_told_again_as_it_was(near: Near) -> None:
    server_id, operation = near.server(**PEERS, locked=True, zone_uuid=None, host="host-1"), str(uuid.uuid4())
    first, second = pause(near, server_id, operation), pause(near, server_id, operation)
    assert first.status == 409 and second.body == first.body
    assert second.headers["X-Zone-Error"] == first.headers["X-Zone-Error"] == "locked"


def test_an_operation_is_one_of_one_peer_and_one_server(near: Near) -> None:
    operation = str(uuid.uuid4())
    for server_id, who in ((near.server(**PEERS), "peer"), (near.server(**PEERS), "peer"),
                           (near.server(peer_id="peer-2", owner_peer="peer-2"), "other peer")):
        assert pause(near, server_id, operation, who).status == 202
    assert len(near.far.asked) == 3
    assert pause(near, near.server(**PEERS), "x" * 5000).status == 400


def test_a_local_change_is_replayed_with_its_headers(near: Near) -> None:
    server_id, operation = near.server(**PEERS, zone_uuid=None, host="host-1"), str(uuid.uuid4())
    answers = [near.api("PUT", f"/servers/{server_id}/tags/a", who="peer",
                        headers={"X-Zone-Operation": operation}) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert server_row(near.api.db, server_id)["version"] == 2


def test_a_password_is_not_stored_in_clear(near: Near) -> None:
    server_id, operation = near.server(**PEERS, zone_uuid=None, host="host-1"), str(uuid.uuid4())
    first, second = (near.api("POST", f"/servers/{server_id}/action", {"rescue": {"adminPass": "secret"}},
                              who="peer", headers={"X-Zone-Operation": operation}) for _ in range(2))
    assert first.body == second.body == {"adminPass": "secret"}
    (stored,) = near.api.db.run(lambda conn: conn.execute(sa.select(tables.operation.c.body)).scalars().all())
    assert stored.startswith(b"sealed:")
