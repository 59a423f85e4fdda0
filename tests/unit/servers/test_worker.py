"""Workers place what is due, once, and repeat what was sent until somebody answers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.lifekit import LifeZone
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.errors import NotFound
from zones.protocol import Boot, News, decode_spec, encode
from zones.servers.settle import settle


def boots_sent(zone: LifeZone, service: str = "c1") -> list[Boot]:
    return [one for one in zone.post.peek(f"host.{service}") if isinstance(one, Boot)]


def refuse(zone: LifeZone, attempt: dict[str, Any], reason: str = "build_failed") -> None:
    """Answer in place of the host, which never gets the message."""
    zone.post.take("host.c1")
    zone.hear([News(id=f"{attempt['id']}:1", service="c1", host=attempt["target"],
                    server=attempt["server_id"], attempt=attempt["id"], version=1, state="refused",
                    reason=reason, message="no", gone=True)])


def test_nothing_is_placed_before_the_view_is_warm(zone: LifeZone) -> None:
    server = zone.boot()
    zone.start()
    assert not zone.view.warm()
    zone.work()
    assert zone.attempts(server) == []
    zone.report()
    zone.work()
    assert len(zone.attempts(server)) == 1


def test_the_attempt_is_committed_before_anything_is_sent(zone: LifeZone) -> None:
    """The process ends behind its commit: nothing was sent, and the same attempt is sent later."""
    server = zone.boot()
    zone.report()
    zone.run(zone.work, fuse=4)
    (attempt,) = zone.attempts(server)
    assert boots_sent(zone) == []
    zone.report()
    zone.work()
    assert boots_sent(zone) == [], "the lease of the dead worker holds, or its patience"
    zone.clock.at += 31
    zone.report()
    zone.work()
    assert [one.attempt for one in boots_sent(zone)] == [attempt["id"]]
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None)
    assert len(zone.attempts(server)) == 1


def test_a_worker_that_ended_before_its_commit_has_done_nothing(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.run(zone.work, fuse=1)
    assert zone.attempts(server) == []
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None)


def test_a_boot_that_is_not_answered_is_sent_again_to_the_same_host(zone: LifeZone) -> None:
    server = zone.boot()
    for _ in range(4):
        zone.report()
        zone.work()
        zone.clock.at += 6
    sent = boots_sent(zone)
    assert len(sent) == 4
    assert len({(one.attempt, one.host) for one in sent}) == 1
    assert len(zone.attempts(server)) == 1


def test_a_worker_whose_lease_has_run_out_commits_nothing(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    slow = zone.new_worker()

    class Slow:
        def run(self, transaction: Any, *args: Any) -> Any:
            result = zone.db.run(transaction, *args)
            if transaction.__name__ == "_take":
                zone.clock.at += zone.timing.lease + 1
                zone.report()
                zone.work()
            return result

        run_lightly = run
    slow._core = replace(slow._core, db=Slow())  # type: ignore[arg-type]
    slow.round()
    assert len(zone.attempts(server)) == 1
    assert len(boots_sent(zone)) == 1
    assert len(zone.view.inflight) == 1


def test_what_was_deleted_while_it_was_placed_is_not_attempted(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()

    class Deletes:
        def run(self, transaction: Any, *args: Any) -> Any:
            result = zone.db.run(transaction, *args)
            if transaction.__name__ == "_take":
                zone.delete(server)
            return result

        run_lightly = run
    worker = zone.new_worker()
    worker._core = replace(worker._core, db=Deletes())  # type: ignore[arg-type]
    worker.round()
    assert (zone.attempts(server), zone.work_rows(), boots_sent(zone)) == ([], [], [])
    assert len(zone.view.inflight) == 0


def test_it_fits_nowhere_is_said_with_the_reasons(zone: LifeZone) -> None:
    server = zone.boot(availability_zone="mars")
    zone.report()
    zone.work()
    row = zone.row(server)
    assert (row["vm_state"], row["task_state"], row["fault"]["reason"]) == (
        states.ERROR, None, "no_valid_host")
    assert "availability zone" in row["fault"]["message"]
    assert zone.usage() == (1, 1, 512), "it holds its quota until it is deleted"
    zone.delete(server)
    assert zone.usage() == (0, 0, 0)


def test_a_refusing_host_is_not_asked_again_and_the_last_reason_is_told(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    for _ in range(2):
        zone.work()
        refuse(zone, zone.attempts(server)[-1])
    zone.work()
    assert {one["target"] for one in zone.attempts(server)} == {"c1-host-1", "c1-host-2"}
    row = zone.row(server)
    assert row["vm_state"] == states.ERROR
    assert "Last refusal" in row["fault"]["message"]


def test_attempts_end(make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(nodes={"c1": "12*4:8192:100"})
    server = zone.boot()
    zone.report()
    for _ in range(11):
        zone.work()
        if zone.row(server)["vm_state"] == states.ERROR:
            break
        refuse(zone, zone.attempts(server)[-1])
    assert len(zone.attempts(server)) == 10
    assert "All 10 attempts were refused" in zone.row(server)["fault"]["message"]


def test_a_full_host_is_asked_as_a_maybe_once_before_there_is_an_error(
        make_zone: Callable[..., LifeZone]) -> None:
    """What the view says of free room may be late; who is asked decides."""
    zone = make_zone(nodes={"c1": "1*4:8192:100"})
    first = zone.boot("four")
    zone.flow()
    assert zone.status(first) == (states.ACTIVE, None)
    server = zone.boot("four")
    for _ in range(4):
        zone.flow()
    (attempt,) = zone.attempts(server)
    assert (attempt["maybe"], attempt["state"], attempt["reason"]["code"]) == (True, "refused", "vcpus")
    assert zone.row(server)["fault"]["reason"] == "no_valid_host"


def test_a_maybe_that_has_room_after_all_takes_it(make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(nodes={"c1": "1*4:8192:100"})
    first = zone.boot("four")
    zone.flow()
    zone.report()
    zone.delete(first)
    zone.work()
    zone.to_hosts()
    zone.nodes["c1"].jobs()
    server = zone.boot("four")
    zone.work()
    (attempt,) = zone.attempts(server)
    assert attempt["maybe"], "the view has not heard yet that there is room"
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None)


def test_over_commit_never_with_two_workers_that_know_nothing_of_each_other(
        make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(nodes={"c1": "2*4:8192:100"}, quota=Quota(instances=50))
    servers = zone.boots(20)
    zone.report()
    zone.work()
    zone.rest()
    shown = Counter(zone.row(server)["vm_state"] for server in servers)
    assert shown == {states.ACTIVE: 8, states.ERROR: 12}
    assert Counter(row.host for row in zone.guests()) == {"c1-host-1": 4, "c1-host-2": 4}


def test_affinity_goes_where_the_first_one_went(zone: LifeZone) -> None:
    hints = {"group": zone.group("affinity")}
    servers = [zone.boot(hints=hints) for _ in range(3)]
    zone.rest()
    assert len({zone.row(server)["host"] for server in servers}) == 1
    assert all(zone.row(server)["vm_state"] == states.ACTIVE for server in servers)


def test_anti_affinity_keeps_apart_also_those_in_one_batch(zone: LifeZone) -> None:
    hints = {"group": zone.group("anti-affinity")}
    servers = zone.boots(3, hints=hints)
    zone.rest()
    hosts = [zone.row(server)["host"] for server in servers if zone.row(server)["vm_state"] == states.ACTIVE]
    assert sorted(hosts) == ["c1-host-1", "c1-host-2"]
    assert [zone.row(server)["vm_state"] for server in servers].count(states.ERROR) == 1


def test_an_affinity_group_is_not_tied_to_a_host_that_refused_its_first_member(zone: LifeZone) -> None:
    hints = {"group": zone.group("affinity")}
    first = zone.boot(hints=hints)
    zone.report()
    zone.work()
    refuse(zone, zone.attempts(first)[0])
    zone.rest()
    assert zone.status(first) == (states.ACTIVE, None), zone.row(first)["fault"]
    second = zone.boot(hints=hints)
    zone.rest()
    assert zone.row(second)["host"] == zone.row(first)["host"]


def test_a_group_whose_members_are_gone_may_begin_anew_elsewhere(zone: LifeZone) -> None:
    hints = {"group": zone.group("affinity")}
    first = zone.boot(hints=hints)
    zone.rest()
    zone.delete(first)
    zone.rest()
    assert [row["anchor"] for row in zone.rows(tables.server_group)] == [None]


def test_a_settled_server_waits_until_its_old_host_has_let_go_of_it(
        make_zone: Callable[..., LifeZone]) -> None:
    """Its one host still holds it, for the tombstone is on its way: that is no reason for an error."""
    zone = make_zone(nodes={"c1": "1*4:8192:100"})
    server = zone.boot()
    zone.flow()
    store = zone.nodes["c1"].store
    store.erase(server, "c1-host-1")
    store.close()
    zone.rest()
    assert zone.row(server)["fault"]["reason"] == "lost_by_hypervisor"
    settle(zone.db, server, "op")
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None), zone.row(server)["fault"]
    assert zone.guest(server) is not None


@pytest.mark.parametrize("kind", ["boot", "act", "remove"])
def test_a_lost_message_is_sent_again(zone: LifeZone, kind: str) -> None:
    server = zone.boot()
    if kind != "boot":
        zone.flow()
    if kind == "act":
        zone.act(server, "stop")
    if kind == "remove":
        zone.delete(server)
    zone.report()
    zone.work()
    assert zone.post.take("host.c1"), "lost"
    zone.rest()
    assert zone.row(server)["vm_state"] == {"boot": states.ACTIVE, "act": states.STOPPED,
                                            "remove": states.DELETED}[kind]


def of_a_peer(zone: LifeZone, server: str) -> str:
    """As if a peer had booted it, under this attempt of its own."""
    attempt, peer = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001"
    zone.db.run(lambda conn: conn.execute(tables.server.update().where(tables.server.c.id == server).values(
        peer_id=peer, origin_attempt=attempt)))
    zone.db.run(lambda conn: conn.execute(tables.incoming.insert().values(
        peer_id=peer, attempt_id=attempt, server_id=server, state="accepted", created_at=1.0,
        updated_at=1.0)))
    return attempt


def test_what_fits_nowhere_is_refused_to_the_peer_that_booted_it(zone: LifeZone) -> None:
    """It may be placed elsewhere: so here it holds nothing, and no user and no operator can have it."""
    server = zone.boot(availability_zone="mars")
    of_a_peer(zone, server)
    zone.report()
    zone.work()
    row = zone.row(server)
    assert (row["vm_state"], row["hidden"], row["fault"]["reason"]) == (states.ERROR, True, "no_valid_host")
    (answer,) = zone.rows(tables.incoming)
    assert (answer["state"], answer["code"]) == ("refused", "no_valid_host")
    assert (zone.usage(), zone.work_rows()) == ((0, 0, 0), [])
    with pytest.raises(NotFound):
        settle(zone.db, server, "op")


def test_a_peers_server_that_ran_already_is_not_refused_any_more(zone: LifeZone) -> None:
    server = zone.boot()
    of_a_peer(zone, server)
    zone.rest()
    assert zone.status(server) == (states.ACTIVE, None)
    spec = msgspec.structs.replace(decode_spec(zone.row(server)["spec"]), availability_zone="mars")
    zone.db.run(lambda conn: conn.execute(tables.server.update().values(
        vm_state="building", spec=encode(spec))))
    settle(zone.db, server, "op")
    zone.report()
    zone.work()
    row = zone.row(server)
    assert (row["vm_state"], row["hidden"]) == (states.ERROR, False)
    assert [one["state"] for one in zone.rows(tables.incoming)] == ["accepted"]
