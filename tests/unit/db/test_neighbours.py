"""What servers in neighbours ask of the database; on SQLite and on PostgreSQL."""

import uuid
from typing import Any

import sqlalchemy as sa

from tests.server_rows import add_action, add_server
from zones.config import Quota
from zones.db import action_log, changes, leases, quotas, tables, work
from zones.db.engine import Database
from zones.servers import retention

EAST, WEST = str(uuid.uuid4()), str(uuid.uuid4())


def add(database: Database, table: sa.Table, **values: Any) -> None:
    database.run(lambda conn: conn.execute(sa.insert(table), [values]))


def add_attempt(database: Database, server: str, zone: str, state: str) -> None:
    add(database, tables.attempt, id=str(uuid.uuid4()), server_id=server, n=1, kind="link", target=zone,
        state=state, created_at=1.0, updated_at=1.0)


def test_the_servers_of_a_zone_are_those_that_are_to_stay(database: Database) -> None:
    here = [add_server(database, zone_uuid=EAST, host=None, task_state=task) for task in (None, "rebooting")]
    add_server(database, zone_uuid=EAST, host=None, task_state="deleting")
    add_server(database, zone_uuid=EAST, host=None, deleted=True)
    add_server(database, zone_uuid=WEST, host=None)
    add_server(database)
    assert database.run(changes.at_zone, EAST) == sorted(here)


def test_a_zone_counts_as_the_host_of_its_servers(database: Database) -> None:
    group = str(uuid.uuid4())
    add(database, tables.server_group, id=group, project_id="p1", user_id="ann", name="g",
        policy="anti-affinity", rules={}, created_at=1.0)
    there = add_server(database, zone_uuid=EAST, host=None, group_id=group)
    here = add_server(database, host="host-7", group_id=group)
    nowhere = add_server(database, host=None, group_id=group)
    assert sorted(database.run(changes.group_hosts, group)) == sorted([EAST, "host-7"])
    assert database.run(changes.hosts_of, [there, here, nowhere]) == {there: EAST, here: "host-7"}


def test_whose_a_project_is(database: Database) -> None:
    add(database, tables.project, id="ours", name="ours", enabled=True, created_at=1.0)
    database.run(quotas.reserve, "", "used", Quota(), 1, 1, 1)
    add(database, tables.peer_project, project_id="theirs", peer_id=EAST, their_id="x", created_at=1.0)
    assert [database.run(changes.owner_of_project, one) for one in ("ours", "used", "theirs", "nobodys")] == [
        "", "", EAST, None]


def test_what_is_there_is_counted_whatever_the_limits_say(database: Database) -> None:
    database.run(quotas.count, "", "p1", 1, 10 ** 6, 512)
    assert database.run(quotas.usage, "", "p1") == {"instances": 1, "cores": 10 ** 6, "ram": 512}
    database.run(quotas.count, "", "p1", 0, -10 ** 6 + 1, 512)
    assert database.run(quotas.usage, "", "p1") == {"instances": 1, "cores": 1, "ram": 1024}


def test_a_zone_that_is_back_gets_what_waits_removals_first(database: Database) -> None:
    booting, accepted, refused, elsewhere = (str(uuid.uuid4()) for _ in range(4))
    for server, zone, state in ((booting, EAST, "open"), (accepted, EAST, "accepted"),
                                (refused, EAST, "refused"), (elsewhere, WEST, "open")):
        add_attempt(database, server, zone, state)
        database.run(work.add, [{"kind": "boot", "server_id": server, "due_at": 9e9, "created_at": 1.0}])
    database.run(work.add, [
        {"kind": kind, "server_id": "s", "zone_uuid": zone, "due_at": 9e9, "created_at": 1.0,
         "args": {"attempts": []}} for kind in ("push", "remove") for zone in (EAST, WEST)])
    database.run(work.hurry_zone, EAST, 100.0)
    taken = database.run(work.take, "me", 10, 30.0)
    assert taken[0]["kind"] == "remove"
    assert {(row["kind"], row["server_id"], row["zone_uuid"]) for row in taken} == {
        ("remove", "s", EAST), ("push", "s", EAST), ("boot", booting, None), ("boot", accepted, None)}


def test_the_request_that_made_a_server(database: Database) -> None:
    made, acted = add_server(database), add_server(database)
    add_action(database, made, request_id="req-1")
    add_action(database, made, request_id="req-2", action="stop")
    add_action(database, acted, request_id="req-3", action="stop")
    assert database.run(action_log.request_ids, [made, acted]) == {made: "req-1"}


def test_what_is_over_is_forgotten_with_what_was_told_to_peers(database: Database) -> None:
    peer = str(uuid.uuid4())
    kept = add_server(database, peer_id=peer, origin_attempt=str(uuid.uuid4()))
    gone = add_server(database, peer_id=peer, deleted=True, vm_state="deleted", terminated_at=5.0,
                      feed_seq=9, updated_at=5.0)
    add(database, tables.peer, id=peer, name="top", created_at=1.0)
    database.run(leases.ensure_zone, "z")
    database.run(lambda conn: conn.execute(sa.update(tables.zone).values(feed_head=12)))
    for server in (kept, gone):
        add(database, tables.incoming, peer_id=peer, attempt_id=str(uuid.uuid4()), server_id=server,
            state="accepted", created_at=5.0, updated_at=5.0)
    add(database, tables.operation, id="old", peer_id=peer, status=202, created_at=5.0)
    assert retention.prune(database, 3600.0) == {
        "attempts": 0, "actions": 0, "servers": 1, "incoming": 1, "operations": 1,
        "images": 0}
    assert [row["id"] for row in database.run(
        lambda conn: conn.execute(sa.select(tables.server)).mappings().all())] == [kept]
    assert database.run(lambda conn: conn.execute(sa.select(tables.zone.c.feed_floor)).scalar()) == 9
