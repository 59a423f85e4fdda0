"""What a neighbour's feed says becomes our rows, in any order; what was deleted stays deleted."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.lifekit import LifeZone
from tests.neighbourkit import Child, Parent
from zones import states
from zones.db import links, tables
from zones.errors import Unavailable
from zones.protocol.neighbours import Changes, ImageDoc, ServerDoc
from zones.servers import mirror

MakeParent = Callable[..., Parent]


@pytest.fixture
def make(make_zone: Callable[..., LifeZone]) -> MakeParent:
    def parent(*children: Child) -> Parent:
        return Parent(make_zone(), *children)
    return parent


@pytest.fixture
def east() -> Child:
    return Child("east")


def started(parent: Parent, flavor: str = "one") -> str:
    server = parent.zone.boot(flavor)
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    return server


def say(parent: Parent, east: Child, server: str, **values: Any) -> None:
    """The child's next document of a server, as it would be with these members."""
    guest = east.guests[server]
    east.touch(guest)
    doc = msgspec.structs.replace(east.doc(server), **values)
    mirror.document_heard(parent.zone.core, east.zone_uuid, doc, parent.told)


def test_a_row_follows_its_document(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    before = parent.zone.row(server)
    say(parent, east, server, name="new", metadata={"k": "v"}, tags=["t"], power_state=1,
        addresses={"net": [{"addr": "10.0.0.5"}]}, locked=True, locked_reason="why", progress=7,
        access_ip_v4="1.2.3.4", description="d", host_path=["east", "deep"], hostname="new-host",
        vm_state="stopped", image_id="22222222-2222-2222-2222-222222222222")
    row = parent.zone.row(server)
    assert (row["name"], row["metadata"], row["tags"], row["power_state"], row["locked"]) == (
        "new", {"k": "v"}, ["t"], 1, True)
    assert (row["vm_state"], row["progress"], row["host_path"], row["availability_zone"]) == (
        "stopped", 7, ["east", "deep"], "east/az1")
    assert row["image_id"] == "22222222-2222-2222-2222-222222222222"
    assert (row["version"], row["feed_seq"]) == (before["version"] + 1, None), "renumbered for our parents"
    assert (row["spec"], row["project_id"], row["attempt_id"]) == (
        before["spec"], before["project_id"], before["attempt_id"])


def test_an_older_or_equal_document_changes_nothing(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    row = parent.zone.row(server)
    for doc in east.old_docs:
        mirror.document_heard(parent.zone.core, east.zone_uuid, msgspec.structs.replace(doc, name="old"))
    assert parent.zone.row(server) == row


def test_when_all_is_read_anew_what_differs_counts(make: MakeParent, east: Child) -> None:
    """A neighbour that was restored from a backup counts its versions from there."""
    parent = make(east)
    server = started(parent)
    east.guests[server].version = 1
    docs = [msgspec.structs.replace(east.doc(server), name="restored")]
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e1.7", docs))
    assert parent.zone.row(server)["name"] == "vm"
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e1.anew", docs))
    assert (parent.zone.row(server)["name"], parent.zone.row(server)["news_version"]) == ("restored", 1)


def test_a_version_that_is_known_may_say_something_else_after_a_backup(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    known = parent.zone.row(server)
    docs = [msgspec.structs.replace(east.doc(server), name="restored")]
    assert docs[0].version == known["news_version"]
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e2.anew", docs))
    now = parent.zone.row(server)
    assert now["name"] == "restored"
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e2.anew", docs))
    assert parent.zone.row(server) == now


def test_the_cursor_is_kept_with_the_rows(make: MakeParent, east: Child) -> None:
    parent = make(east)
    started(parent)
    link = parent.zone.db.run(links.of_zone, east.zone_uuid)
    assert link is not None
    assert link["cursor"] == f"e1.{east.heard_to}"
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e1.99"))
    assert parent.zone.rows(tables.link)[0]["cursor"] == "e1.99"


def test_more_than_one_transaction_holds_is_heard_whole(make: MakeParent, east: Child,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zones.servers.forward.MOST", 2)
    parent = make(east)
    servers = [parent.zone.boot() for _ in range(5)]
    parent.rest()
    assert {parent.zone.row(server)["vm_state"] for server in servers} == {states.ACTIVE}
    for server in servers:
        east.touch(east.guests[server], vm_state=states.STOPPED)
    parent.feed(east)
    assert {parent.zone.row(server)["vm_state"] for server in servers} == {states.STOPPED}
    assert parent.zone.rows(tables.link)[0]["cursor"] == f"e1.{east.head}"


def test_images_are_handed_on_before_the_cursor_moves(make: MakeParent, east: Child) -> None:
    parent = make(east)
    heard = Changes("e1.5", images=[ImageDoc("i", 5, 1, "p1", "active")])
    taken: list[tuple[str, list[ImageDoc]]] = []

    def away(zone_uuid: str, docs: list[ImageDoc]) -> None:
        raise Unavailable("no image service")
    with pytest.raises(Unavailable):
        mirror.hear(parent.zone.core, east.zone_uuid, heard, images=away)
    assert parent.zone.rows(tables.link)[0]["cursor"] is None
    mirror.hear(parent.zone.core, east.zone_uuid, heard, images=lambda *one: taken.append(one))
    assert taken == [(east.zone_uuid, heard.images)]
    assert parent.zone.rows(tables.link)[0]["cursor"] == "e1.5"


def test_the_document_of_another_zone_or_server_is_not_believed(make: MakeParent, east: Child) -> None:
    west = Child("west")
    parent = make(east, west)
    server, other = started(parent), started(parent)
    before = parent.zone.row(server), parent.zone.row(other)
    east.touch(east.guests[server])
    doc = msgspec.structs.replace(east.doc(server), name="mine")
    mirror.document_heard(parent.zone.core, west.zone_uuid, doc)
    mirror.document_heard(parent.zone.core, east.zone_uuid, msgspec.structs.replace(doc, id=other))
    assert (parent.zone.row(server), parent.zone.row(other)) == before


@pytest.mark.parametrize("values", [
    {"name": "x" * 256}, {"name": "a\0b"}, {"metadata": {"a": "\0"}}, {"vm_state": "dancing"},
    {"flavor": {"id": "x"}}, {"flavor": {"id": "1", "name": "n", "vcpus": 10 ** 30, "ram": 1, "disk": 1}},
    {"flavor": {"id": "1", "name": "n", "vcpus": -1, "ram": 1, "disk": 1}}, {"power_state": 2 ** 40},
    {"addresses": {"n": 2 ** 70}}, {"task_state": "t" * 40}, {"access_ip_v4": "1" * 65},
    {"image_id": "i" * 37}, {"seq": 2 ** 64}, {"version": 2 ** 40}], ids=str)
def test_one_document_that_can_not_be_kept_does_not_stop_the_feed(
        make: MakeParent, east: Child, values: dict[str, Any]) -> None:
    parent = make(east)
    server, other = started(parent), started(parent)
    for one in (server, other):
        east.touch(east.guests[one], vm_state=states.STOPPED)
    before = parent.zone.row(server)
    docs = [msgspec.structs.replace(east.doc(server), **values), east.doc(other)]
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e1.99", docs))
    assert parent.zone.row(server) == before
    assert parent.zone.row(other)["vm_state"] == states.STOPPED
    assert parent.zone.rows(tables.link)[0]["cursor"] == "e1.99"


# ------------------------------------------------------------------ its end

def test_what_was_deleted_there_is_deleted_here_and_gives_its_quota_back(
        make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    say(parent, east, server, deleted=True, vm_state="deleted")
    row = parent.zone.row(server)
    assert (row["deleted"], parent.zone.usage(), parent.zone.work_rows()) == (True, (0, 0, 0), [])
    deleted = [one for one in parent.zone.rows(tables.instance_action) if one["action"] == "delete"]
    assert len(deleted) == 1
    assert deleted[0]["finish_time"]
    say(parent, east, server)
    assert parent.zone.row(server) == row
    assert parent.zone.work_rows() == [], "it is not our user who wanted it gone"


@pytest.mark.parametrize("told_by", ["answer", "document"])
def test_a_delete_is_kept_until_the_zone_confirms_it(make: MakeParent, east: Child, told_by: str) -> None:
    parent = make(east)
    server = started(parent)
    east.up = False
    parent.zone.delete(server)
    row = parent.zone.row(server)
    assert (row["hidden"], row["task_state"], parent.zone.usage()[0]) == (True, "deleting", 1)
    (item,) = parent.zone.work_rows()
    assert (item["kind"], item["zone_uuid"], item["host"]) == ("remove", east.zone_uuid, None)
    say(parent, east, server)
    assert parent.zone.row(server)["task_state"] == "deleting", "a document does not bring it back"
    parent.work()
    parent.deliver()
    assert parent.zone.usage()[0] == 1, "it did not arrive"
    east.up = True
    parent.zone.clock.at += 31
    parent.work()
    parent.deliver()
    if told_by == "answer":
        parent.hear()
    else:
        parent.feed(east)
    assert (parent.zone.row(server)["deleted"], parent.zone.usage(), parent.zone.work_rows()) == (
        True, (0, 0, 0), [])
    parent.rest()
    assert parent.living(server) == []


def test_where_the_zone_is_up_it_shows_as_deleting(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    parent.zone.delete(server)
    assert not parent.zone.row(server)["hidden"]
    parent.rest()
    assert parent.zone.row(server)["deleted"]


def test_a_server_that_a_zone_should_not_have_is_recalled(make: MakeParent, east: Child) -> None:
    """Its no was heard, but it made the server all the same."""
    west = Child("west")
    parent = make(east, west)
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    (_, (answer,)), = parent.way.answers
    parent.way.answers[0] = (east.zone_uuid, [msgspec.structs.replace(answer, state="refused", code="odd")])
    parent.hear()
    parent.rest()
    assert parent.zone.row(server)["zone_uuid"] == west.zone_uuid
    assert [child.name for child, _ in parent.living(server)] == ["west"]
    assert parent.zone.usage() == (1, 1, 512)


def test_what_a_zone_lost_is_deleted_and_what_a_restored_one_lost_is_an_error(make: MakeParent,
                                                                            east: Child) -> None:
    parent = make(east)
    first, second, going = started(parent), started(parent), started(parent)
    east.up = False
    parent.zone.delete(going)
    building = parent.zone.boot()
    assert mirror.known(parent.zone.core, east.zone_uuid) == sorted([first, second])
    mirror.lost(parent.zone.core, east.zone_uuid, first, restored=False, told=parent.told)
    mirror.lost(parent.zone.core, east.zone_uuid, second, restored=True, told=parent.told)
    mirror.lost(parent.zone.core, east.zone_uuid, going, restored=False)
    mirror.lost(parent.zone.core, east.zone_uuid, building, restored=False)
    mirror.lost(parent.zone.core, east.zone_uuid, "unheard-of", restored=False)
    assert parent.zone.row(first)["deleted"]
    row = parent.zone.row(second)
    assert (row["vm_state"], row["task_state"], row["fault"]["reason"]) == (
        states.ERROR, None, "lost_by_zone")
    assert "east" in row["fault"]["message"]
    assert parent.zone.row(going)["task_state"] == "deleting"
    assert parent.zone.row(building)["vm_state"] == states.BUILDING
    assert {one["state"] for one in parent.view.settled[-2:]} == {"cancelled", "running"}


def test_an_accepted_boot_that_a_zone_lost_is_asked_for_again(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    east.guests.clear()
    east.answers.clear()
    mirror.lost(parent.zone.core, east.zone_uuid, server, restored=True)
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    assert len(parent.zone.attempts(server)) == 1


# ------------------------------------------------------------------ quota

def test_quota_follows_the_flavor_and_counts_both_sizes_until_a_resize_is_confirmed(
        make: MakeParent, east: Child) -> None:
    parent = make(east)
    server, guest = started(parent, "two"), east.guests
    east.touch(guest[server], task_state="resize_prep")
    parent.feed(east)
    assert parent.zone.usage() == (1, 2, 1024)
    east.touch(guest[server], vm_state="resized", task_state=None, flavor="four", old_flavor="two")
    parent.feed(east)
    assert parent.zone.usage() == (1, 4, 2048)
    east.touch(guest[server], vm_state="active", flavor="one", old_flavor=None)
    parent.feed(east)
    assert parent.zone.usage() == (1, 1, 512)
    row = parent.zone.row(server)
    assert (row["flavor_id"], row["old_flavor"], row["quota_cores"]) == ("one", None, 1)


def test_what_is_held_for_a_resize_stays_until_a_document_of_after_it(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    version = east.guests[server].version
    parent.zone.db.run(lambda conn: conn.execute(tables.server.update().values(
        held_version=version + 2, quota_cores=4, quota_ram=2048)))
    parent.zone.db.run(lambda conn: conn.execute(tables.quota_usage.update().values(cores=4, ram=2048)))
    east.touch(east.guests[server])
    parent.feed(east)
    assert parent.zone.usage() == (1, 4, 2048)
    east.touch(east.guests[server])
    parent.feed(east)
    assert parent.zone.usage() == (1, 1, 512)


# ------------------------------------------------------------------ our database from a backup

def forget(parent: Parent, *kept: Any) -> None:
    """The database is from before everything but these tables' rows."""
    for table in (tables.server, tables.attempt, tables.work, tables.instance_action):
        if table not in kept:
            parent.zone.db.run(lambda conn, table=table: conn.execute(table.delete()))  # type: ignore[misc]
    parent.zone.db.run(lambda conn: conn.execute(tables.quota_usage.update().values(
        instances=0, cores=0, ram=0)))


def test_a_server_that_is_not_known_here_is_taken_over(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent, "two")
    before = parent.zone.row(server)
    forget(parent)
    east.heard_to = 0
    parent.feed(east)
    row = parent.zone.row(server)
    same = ("id", "project_id", "user_id", "name", "vm_state", "zone_uuid", "attempt_id", "flavor_id",
            "availability_zone", "quota_cores", "image_id", "owner_peer", "peer_id")
    assert {name: row[name] for name in same} == {name: before[name] for name in same}
    (attempt,) = parent.zone.attempts(server)
    assert (attempt["kind"], attempt["target"], attempt["state"]) == ("link", east.zone_uuid, "running")
    assert parent.zone.usage() == (1, 2, 1024)
    parent.zone.delete(server)
    parent.rest()
    assert (parent.zone.row(server)["deleted"], parent.zone.usage(), parent.living(server)) == (
        True, (0, 0, 0), [])


def test_a_project_that_nobody_has_gets_nothing(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    forget(parent)
    east.touch(east.guests[server])
    doc = msgspec.structs.replace(east.doc(server), project_id="nobodys")
    mirror.document_heard(parent.zone.core, east.zone_uuid, doc)
    mirror.document_heard(parent.zone.core, east.zone_uuid, msgspec.structs.replace(
        east.doc(server), id="no uuid"))
    assert parent.zone.rows(tables.server) == []


@pytest.mark.parametrize("state", ["deleted", "refused"])
def test_what_is_over_is_not_taken_over(make: MakeParent, east: Child, state: str) -> None:
    parent = make(east)
    server = started(parent)
    forget(parent)
    say(parent, east, server, **{state: True})
    assert parent.zone.rows(tables.server) == []


def test_a_known_server_is_there_after_all_under_an_attempt_that_is_not_known(make: MakeParent,
                                                                            east: Child) -> None:
    parent = make(east)
    server = started(parent)
    parent.zone.db.run(lambda conn: conn.execute(tables.attempt.delete()))
    parent.zone.db.run(lambda conn: conn.execute(tables.server.update().values(
        vm_state="building", task_state="scheduling", attempt_id=None, zone_uuid=None, attempts=0)))
    east.heard_to = 0
    parent.feed(east)
    row = parent.zone.row(server)
    assert (row["vm_state"], row["zone_uuid"], len(parent.zone.attempts(server))) == (
        "active", east.zone_uuid, 1)


def test_a_server_that_is_elsewhere_by_our_own_word_stays_there(make: MakeParent, east: Child) -> None:
    west = Child("west")
    parent = make(east, west)
    server = started(parent)
    before = parent.zone.row(server)
    doc: ServerDoc = msgspec.structs.replace(
        east.doc(server), attempt="33333333-3333-3333-3333-333333333333", version=99)
    mirror.document_heard(parent.zone.core, west.zone_uuid, doc)
    assert parent.zone.row(server) == before


def test_what_ran_can_not_be_refused_any_more(make: MakeParent, east: Child) -> None:
    parent = make(east)
    server = started(parent)
    before = parent.zone.row(server)
    say(parent, east, server, refused=True, vm_state="error")
    assert parent.zone.row(server) == before
    assert parent.zone.work_rows() == []
