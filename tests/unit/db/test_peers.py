"""Peer records: whose users and projects are whose."""

import uuid

import pytest

from tests.server_rows import add_server
from zones.db import peers
from zones.db.engine import Database
from zones.errors import Conflict, Invalid


def add_peer(db: Database, name: str, identity: str = "foreign") -> peers.Row:
    values = {"id": str(uuid.uuid4()), "name": name, "identity": identity, "created_at": 1.0}
    db.run(peers.add, values)
    row = db.run(peers.row, values["id"])
    assert row is not None
    return row


def test_a_peer_is_known_by_its_users(database: Database) -> None:
    top, side = add_peer(database, "top"), add_peer(database, "side")
    database.run(peers.add_user, top["id"], "user-1")
    database.run(peers.add_user, top["id"], "user-1")
    database.run(peers.add_user, top["id"], "user-2")
    with pytest.raises(Conflict, match="stands for the peer 'top'"):
        database.run(peers.add_user, side["id"], "user-1")
    assert database.run(peers.of_user, "user-2") == top
    assert database.run(peers.of_user, "nobody") is None
    assert database.run(peers.users, top["id"]) == ["user-1", "user-2"]
    assert [row["name"] for row in database.run(peers.rows)] == ["side", "top"]


def test_a_name_is_one_peers_and_a_repeat_is_the_same(database: Database) -> None:
    top = add_peer(database, "top")
    database.run(peers.add, {key: top[key] for key in ("id", "name", "identity", "created_at")})
    with pytest.raises(Conflict, match="called 'top'"):
        add_peer(database, "top")


def test_two_peers_projects_of_one_name_are_two_projects_here(database: Database) -> None:
    top, side = add_peer(database, "top"), add_peer(database, "side")
    ours = {database.run(peers.project_of, whose, "abc") for whose in (top, top, side)}
    assert len(ours) == 2
    assert "abc" not in ours
    mine = database.run(peers.project_of, top, "abc")
    assert len(mine) == 32
    assert database.run(peers.their_project, top["id"], mine) == "abc"
    assert database.run(peers.their_project, side["id"], mine) is None


def test_a_peer_that_shares_our_identity_has_our_projects(database: Database) -> None:
    same = add_peer(database, "same", peers.SHARED)
    assert database.run(peers.project_of, same, "abc") == "abc"
    assert database.run(peers.their_project, same["id"], "abc") == "abc"


@pytest.mark.parametrize("identity", [peers.FOREIGN, peers.SHARED])
@pytest.mark.parametrize("text", ["", "a" * 65, "../x", "a b", "a\n", "ü"])
def test_what_is_no_project_is_refused(sqlite_database: Database, text: str, identity: str) -> None:
    with pytest.raises(Invalid):
        sqlite_database.run(peers.project_of, add_peer(sqlite_database, "top", identity), text)


def test_a_peer_that_is_disabled_stays_known_and_one_removed_does_not(database: Database) -> None:
    top = add_peer(database, "top")
    database.run(peers.add_user, top["id"], "user-1")
    database.run(peers.project_of, top, "abc")
    add_server(database, peer_id=top["id"])
    add_server(database, peer_id=top["id"], deleted=True)
    assert database.run(peers.count_servers, top["id"]) == 1
    database.run(peers.note_zone, top["id"], "u-top")
    database.run(peers.disable, top["id"])
    assert database.run(peers.of_user, "user-1") == {**top, "enabled": False, "zone_uuid": "u-top"}
    database.run(peers.remove, top["id"])
    assert database.run(peers.of_user, "user-1") is None
    assert database.run(peers.rows) == []
