"""What a peer boots lives once, under one attempt; what was recalled or refused never comes to life."""

import threading
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from tests.peerkit import IMAGE, LOCAL_IMAGE, ChildZone, boot_of, child_zone, new_id
from tests.server_rows import FLAVOR, add_server
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.db.engine import Database
from zones.errors import Conflict, Forbidden, NotFound, Unavailable
from zones.protocol import GroupValue, decode_spec
from zones.servers import handover, settle

LIVE = [*((step, number) for step in ("accept", "recall") for number in range(3)), ("refuse", 0)]


@pytest.fixture
def zone(sqlite_database: Database) -> ChildZone:
    return child_zone(sqlite_database)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(LIVE), min_size=1, max_size=14))
def test_no_order_of_boots_recalls_and_refusals_brings_a_dead_attempt_to_life(
        zone: ChildZone, steps: list[tuple[str, int]]) -> None:
    peer, server, attempts = zone.peer(), new_id(), [new_id() for _ in range(3)]
    tombstones, refused, first, version = set[str](), set[str](), dict[str, str](), 0
    for step, number in steps:
        attempt = attempts[number]
        alive = _alive(zone, server)
        if step == "accept":
            answer = zone.boot(peer, id=server, attempt=attempt)
            if attempt in tombstones:
                assert answer.state == states.CANCELLED
            elif attempt in first and attempt not in refused:
                assert answer.state == first[attempt]  # the same attempt, the same answer
            else:
                assert answer.state == ("refused" if attempt in refused or alive else "accepted")
            first.setdefault(attempt, answer.state)
        elif step == "recall":
            (answer,) = handover.recall(zone.core, peer, server, [attempt])
            assert (answer.state, answer.gone) == (states.CANCELLED, True)
            tombstones.add(attempt)
        elif alive is not None:
            zone.refuse(server)
            zone.refuse(server)
            refused.add(alive)
        alive = _alive(zone, server)
        assert alive not in tombstones | refused
        boots = [row for row in zone.rows(tables.work) if row["server_id"] == server]
        assert len(boots) == (alive is not None)
        assert zone.usage(peer) == ((1, 1, 512) if alive else (0, 0, 0))
        rows = [row for row in zone.rows(tables.server) if row["id"] == server]
        assert all(row["version"] >= version for row in rows)
        version = max([version, *(row["version"] for row in rows)])


def _alive(zone: ChildZone, server: str) -> str | None:
    """The attempt under which the server lives."""
    for row in zone.rows(tables.server):
        if row["id"] == server and not row["deleted"] and not handover.is_refused(row):
            return str(row["origin_attempt"])
    return None


def test_boots_and_recalls_at_the_same_moment_leave_one_server_or_none(shared_database: Database) -> None:
    zone = child_zone(shared_database)
    peer = zone.peer()
    for _ in range(8):
        server, attempts = new_id(), [new_id() for _ in range(3)]
        said: list[Any] = []
        gate = threading.Barrier(6)

        def do(call: Any, *args: Any, gate: threading.Barrier = gate, said: list[Any] = said) -> None:
            gate.wait()
            said.append(call(*args))
        threads = [threading.Thread(target=do, args=(
            handover.accept, zone.core, peer, [boot_of(attempt, id=server)]))
            for attempt in attempts + attempts[:2]]
        threads.append(threading.Thread(target=do, args=(
            handover.recall, zone.core, peer, server, attempts[:1])))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(said) == 6
        alive = _alive(zone, server)
        assert alive != attempts[0]
        boots = [row for row in zone.rows(tables.work) if row["server_id"] == server]
        assert len(boots) == (alive is not None)
        for attempt in attempts:
            handover.recall(zone.core, peer, server, [attempt])
        assert zone.usage(peer) == (0, 0, 0)


def test_an_accepted_boot_is_stored_whole(zone: ChildZone) -> None:
    peer = zone.peer()
    boot = boot_of(request_id="req-1", admin_pass="pa55", force_host="their-host", metadata={"a": "b"},
                   tags=["t"], user_data="aGk=", access_ip_v4="10.9.8.7", hops_left=3, attempts_left=4)
    (answer,) = handover.accept(zone.core, peer, [boot])
    assert (answer.attempt, answer.state) == (boot.attempt, "accepted")
    row = zone.row(boot.spec.id)
    assert (row["peer_id"], row["owner_peer"], row["origin_attempt"]) == (peer.peer, peer.peer, boot.attempt)
    assert row["project_id"] not in ("", "theirs")
    assert (row["vm_state"], row["task_state"], row["access_ip_v4"]) == ("building", "scheduling", "10.9.8.7")
    assert row["image_id"] == IMAGE.id
    spec = decode_spec(row["spec"])
    assert spec.image is not None
    assert (spec.image.id, spec.image.local_id) == (IMAGE.id, LOCAL_IMAGE)
    assert (spec.admin_pass, spec.force_host, spec.project_id) == ("sealed:pa55", None, row["project_id"])
    assert (spec.path, spec.hops_left, spec.attempts_left) == (boot.spec.path, 3, 4)
    (action,) = zone.rows(tables.instance_action)
    assert (action["action"], action["request_id"], action["user_id"]) == ("create", "req-1", "uma")


def test_peers_with_a_project_of_one_name_have_one_each_and_a_shared_one_ours(zone: ChildZone) -> None:
    peers = [zone.peer(), zone.peer(), zone.peer("shared")]
    servers = [new_id() for _ in peers]
    for peer, server in zip(peers, servers, strict=True):
        assert zone.boot(peer, id=server).state == "accepted"
    projects = [zone.row(server)["project_id"] for server in servers]
    assert len(set(projects)) == 3
    assert projects[2] == "theirs"


def test_a_loop_is_refused_even_where_the_attempt_is_known(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    round_trip = msgspec.structs.replace(boot, spec=msgspec.structs.replace(
        boot.spec, path=[zone.core.zone_uuid, new_id()]))
    assert handover.accept(zone.core, peer, [round_trip])[0].code == "loop"
    assert handover.accept(zone.core, peer, [boot])[0].state == "accepted"
    assert zone.boot(peer, hops_left=0).code == "too_many_hops"


def test_an_id_that_is_here_is_held_whoever_has_it(zone: ChildZone) -> None:
    peer, other = zone.peer(), zone.peer()
    local = add_server(zone.db)
    foreign = boot_of()
    handover.accept(zone.core, other, [foreign])
    for server, attempt in ((local, new_id()), (foreign.spec.id, foreign.attempt)):
        answer = zone.boot(peer, id=server)
        assert (answer.state, answer.code) == ("refused", "held")
        assert handover.recall(zone.core, peer, server, [new_id(), attempt])[0].gone
    assert not zone.row(local)["deleted"]
    assert not zone.row(foreign.spec.id)["deleted"]


def test_an_attempt_is_of_one_server(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    assert zone.boot(peer, attempt=boot.attempt).code == "attempt_used"
    with pytest.raises(Conflict, match="another server"):
        handover.recall(zone.core, peer, new_id(), [boot.attempt])
    assert not zone.row(boot.spec.id)["deleted"]


def test_a_recall_touches_only_the_attempts_that_it_names(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    assert handover.recall(zone.core, peer, boot.spec.id, [new_id()])[0].gone
    assert not zone.row(boot.spec.id)["deleted"]


def test_a_recalled_server_that_runs_is_gone_when_its_host_has_confirmed(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    zone.db.run(lambda conn: conn.execute(sa.insert(tables.attempt), {
        "id": new_id(), "server_id": boot.spec.id, "n": 1, "kind": "host", "target": "host-1",
        "state": "running"}))
    for _ in range(2):
        (answer,) = handover.recall(zone.core, peer, boot.spec.id, [boot.attempt])
        assert (answer.state, answer.gone) == ("cancelled", False)
    assert zone.row(boot.spec.id)["task_state"] == "deleting"
    assert [(row["kind"], row["host"]) for row in zone.rows(tables.work)] == [("remove", "host-1")]


def test_a_missing_image_is_wanted_and_nothing_is_stored(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    there = dict(zone.ends.matching)
    zone.ends.matching.clear()
    (answer,) = handover.accept(zone.core, peer, [boot])
    assert (answer.state, answer.code) == ("wanted", "image_wanted")
    assert (zone.rows(tables.server), zone.rows(tables.incoming), zone.usage(peer)) == ([], [], (0, 0, 0))
    zone.ends.matching.update(there)
    assert handover.accept(zone.core, peer, [boot])[0].state == "accepted"


@pytest.mark.parametrize(("fields", "code"), [
    ({"image": None}, "no_volumes"),
    ({"image": msgspec.structs.replace(IMAGE, os_hash_value=None)}, "image_has_no_hash"),
    ({"image": msgspec.structs.replace(IMAGE, size=None)}, "image_has_no_hash"),
    ({"image": msgspec.structs.replace(IMAGE, min_ram=1024)}, "flavor_too_small"),
    ({"networks": [{"uuid": "x"}]}, "networks_are_zone_local"),
    ({"networks": [{"port": "x"}]}, "networks_are_zone_local"), ({"networks": "some"}, "bad_spec"),
    ({"project_id": "../x"}, "bad_project"), ({"user_id": "a b"}, "bad_spec"), ({"name": ""}, "bad_spec"),
    ({"name": "x" * 256}, "bad_spec"), ({"metadata": {"a": "\0"}}, "bad_spec"),
    ({"files": [{"path": "\0", "contents": ""}]}, "bad_spec"),
    ({"flavor": msgspec.structs.replace(FLAVOR, vcpus=-4)}, "bad_spec"),
    ({"flavor": msgspec.structs.replace(FLAVOR, ram=2**40)}, "bad_spec"),
    ({"launch_index": 2**70}, "bad_spec"), ({"group": GroupValue("g", "whatever")}, "bad_spec")])
def test_what_can_not_be_is_refused_and_breaks_nobody_else(
        database: Database, fields: dict[str, Any], code: str) -> None:
    zone = child_zone(database)
    peer, good = zone.peer(), boot_of()
    bad = boot_of(**{"networks": "auto", **fields})
    answers = handover.accept(zone.core, peer, [bad, good])
    assert [(answer.attempt, answer.state) for answer in answers] == [
        (bad.attempt, "refused"), (good.attempt, "accepted")]
    assert answers[0].code == code
    assert handover.accept(zone.core, peer, [bad])[0] == answers[0]


def test_quota_and_backlog_are_asked(sqlite_database: Database) -> None:
    zone = child_zone(sqlite_database, Quota(instances=2))
    peer = zone.peer()
    answers = handover.accept(zone.core, peer, [boot_of() for _ in range(3)])
    assert [answer.code for answer in answers] == [None, None, "over_quota"]
    assert zone.boot(peer, project_id="else").state == "accepted"
    full = replace(zone.core, max_backlog=2)
    with pytest.raises(Unavailable):
        handover.accept(full, peer, [boot_of()])
    with pytest.raises(Forbidden):
        handover.accept(zone.core, msgspec.structs.replace(peer, peer=new_id()), [boot_of()])


def test_the_servers_of_a_group_share_it_here_under_another_id(zone: ChildZone) -> None:
    peer, other, group = zone.peer(), zone.peer(), GroupValue("g-1", "anti-affinity", members=["their-host"])
    servers = [new_id(), new_id(), new_id()]
    for server, who in zip(servers, (peer, peer, other), strict=True):
        assert zone.boot(who, id=server, group=group, hints={"group": "g-1"}).state == "accepted"
    ids = [zone.row(server)["group_id"] for server in servers]
    assert ids[0] == ids[1] != ids[2]
    assert {row["id"] for row in zone.rows(tables.server_group)} == set(ids)
    found = decode_spec(zone.row(servers[0])["spec"]).group
    assert found is not None
    assert (found.id, found.policy, found.members) == (ids[0], "anti-affinity", [])


def test_what_was_refused_to_one_parent_another_may_boot(zone: ChildZone) -> None:
    """A diamond: by the second way the room may be free again. Each attempt keeps its answer."""
    red, blue, server = zone.peer(), zone.peer(), new_id()
    first, second = new_id(), new_id()
    assert zone.boot(red, id=server, attempt=first).state == "accepted"
    zone.refuse(server)
    assert zone.boot(blue, id=server, attempt=second).state == "accepted"
    row = zone.row(server)
    assert (row["peer_id"], row["origin_attempt"], row["hidden"]) == (blue.peer, second, False)
    again = zone.boot(red, id=server, attempt=first)
    assert (again.state, again.code) == ("refused", "no_valid_host")
    assert zone.boot(red, id=server, attempt=new_id()).code == "held"
    (answer,) = handover.recall(zone.core, red, server, [first])
    assert answer.gone and zone.row(server)["task_state"] != "deleting"
    assert (zone.usage(red), zone.usage(blue)) == ((0, 0, 0), (1, 1, 512))


def test_a_refused_server_is_nobodys_and_may_be_booted_anew(zone: ChildZone) -> None:
    peer, boot = zone.peer(), boot_of()
    handover.accept(zone.core, peer, [boot])
    zone.boot(peer)
    before = zone.row(boot.spec.id)["version"]
    for _ in range(2):
        zone.refuse(boot.spec.id)
    assert zone.usage(peer) == (1, 1, 512)  # given back once
    assert handover.accept(zone.core, peer, [boot])[0].code == "no_valid_host"
    assert zone.row(boot.spec.id)["hidden"]
    with pytest.raises(NotFound):
        settle.settle(zone.db, boot.spec.id, "boss")
    again = msgspec.structs.replace(boot, attempt=new_id())
    assert handover.accept(zone.core, peer, [again])[0].state == "accepted"
    row = zone.row(boot.spec.id)
    assert (row["vm_state"], row["hidden"], row["fault"]) == ("building", False, None)
    assert row["version"] > before + 1
