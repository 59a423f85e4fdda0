"""A boot that is handed to a neighbour is there once, or placed elsewhere, whatever answers come."""

from collections.abc import Callable

import pytest

from tests.lifekit import IMAGE, LifeZone
from tests.neighbourkit import Child, Parent
from zones import states
from zones.db import work
from zones.errors import Conflict, NotFound
from zones.protocol.neighbours import Answered
from zones.servers import forward
from zones.servers.settle import settle

MakeParent = Callable[..., Parent]


@pytest.fixture
def make(make_zone: Callable[..., LifeZone]) -> MakeParent:
    def parent(*children: Child) -> Parent:
        return Parent(make_zone(), *children)
    return parent


def test_a_boot_that_only_a_neighbour_can_take_runs_there(make: MakeParent) -> None:
    east = Child("east")
    parent = make(east)
    server = parent.zone.boot()
    parent.rest()
    row = parent.zone.row(server)
    assert (row["vm_state"], row["zone_uuid"], row["host"]) == (states.ACTIVE, east.zone_uuid, None)
    (attempt,) = parent.zone.attempts(server)
    assert (attempt["kind"], attempt["target"], attempt["state"], attempt["counted_boot"]) == (
        "link", east.zone_uuid, "running", 0)
    assert 0 < attempt["counted_seq"] <= east.head
    assert east.guests[server].attempt == attempt["id"]


def test_what_is_handed_over_is_said_in_the_neighbours_words(make: MakeParent) -> None:
    east = Child("east")
    parent = make(east)
    group = parent.zone.group("anti-affinity")
    server = parent.zone.boot(availability_zone="east/az1", hints={"group": group, "zone": "east"},
                              metadata={"a": "b"})
    parent.rest()
    spec = east.handed[0].spec
    assert (spec.id, spec.project_id, spec.owner_peer, spec.path) == (server, "p1", "", ["top-uuid"])
    assert (spec.availability_zone, spec.hops_left, spec.attempts_left) == ("az1", 7, 10)
    assert spec.admin_pass
    assert not spec.admin_pass.startswith("sealed:")
    assert spec.group is not None
    assert (spec.group.id, spec.group.policy, spec.group.members) == (group, "anti-affinity", [])
    assert "zone" not in spec.hints  # it may call itself otherwise
    assert spec.hints["local_zone_only"] is True
    assert spec.image is not None
    assert (spec.image.id, spec.image.local_id, spec.metadata) == (IMAGE.id, None, {"a": "b"})


@pytest.mark.parametrize(("asked", "there"), [(None, None), ("east", None), ("east/az1", "az1"),
                                              ("east/west/az1", "west/az1")])
def test_an_availability_zone_loses_the_links_name(make: MakeParent, asked: str | None,
                                                   there: str | None) -> None:
    east = Child("east")
    parent = make(east)
    parent.zone.boot(availability_zone=asked)
    parent.rest()
    assert east.handed[0].spec.availability_zone == there


def test_a_boot_that_is_not_answered_is_handed_over_again_as_the_same_attempt(make: MakeParent) -> None:
    east = Child("east")
    parent = make(east)
    server = parent.zone.boot()
    for _ in range(4):
        parent.work()
        parent.zone.clock.at += 6
    handed = [told for _, what, told in parent.way.sent if what == "hand"]
    assert len(handed) == 4
    assert {one.attempt for one in handed} == {parent.zone.attempts(server)[0]["id"]}
    assert len({one.spec.attempts_left for one in handed}) == 1
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    assert len(parent.zone.attempts(server)) == 1


def test_an_accepted_boot_is_not_repeated_soon(make: MakeParent) -> None:
    east = Child("east")
    parent = make(east)
    parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    for _ in range(11):
        parent.zone.clock.at += 5
        parent.work()
    assert parent.way.waiting == []
    parent.zone.clock.at += 6
    parent.work()
    parent.zone.clock.at += 20
    parent.work()
    assert len(parent.way.waiting) == 1


@pytest.mark.parametrize("late", [False, True])
def test_a_refusal_places_it_elsewhere_and_meanwhile_it_builds(make: MakeParent, late: bool) -> None:
    full, other = Child("full", room=0, refuses_late=late), Child("other")
    parent = make(full, other)
    parent.view.summaries[full.zone_uuid] = (5, full.head)
    server = parent.zone.boot()
    seen = set()
    for _ in range(6):
        parent.flow()
        row = parent.zone.row(server)
        seen.add(row["vm_state"])
        if row["vm_state"] == states.ACTIVE:
            break
    assert seen <= {states.BUILDING, states.ACTIVE}
    assert row["zone_uuid"] == other.zone_uuid
    assert [one["state"] for one in parent.zone.attempts(server)] == ["refused", "running"]
    assert parent.zone.attempts(server)[0]["reason"]["code"] == "no_valid_host"
    assert parent.zone.usage() == (1, 1, 512)


def test_a_full_zone_is_asked_again_only_when_a_newer_summary_has_room(make: MakeParent) -> None:
    full = Child("full", room=0, refuses_late=False)
    parent = make(full)
    parent.view.summaries[full.zone_uuid] = (5, full.head)
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    parent.work()
    row = parent.zone.row(server)
    assert len(parent.zone.attempts(server)) == 1
    assert (row["vm_state"], row["fault"]["reason"]) == (states.ERROR, "no_valid_host")
    assert "full" in row["fault"]["message"]


def test_a_wanted_image_is_pushed_once_and_then_the_same_attempt_is_taken(make: MakeParent) -> None:
    east = Child("east", wants_images=True)
    parent = make(east)
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    parent.hear()
    assert sorted(row["kind"] for row in parent.zone.work_rows()) == ["boot", "push"]
    forward.answered(parent.zone.core, *parent.way.said[-1])
    assert sorted(row["kind"] for row in parent.zone.work_rows()) == ["boot", "push"], "once"
    parent.work()
    assert [what for _, what, _ in parent.way.waiting] == ["push"]
    parent.deliver()
    assert [row["kind"] for row in parent.zone.work_rows()] == ["boot"]
    parent.work()
    parent.deliver()
    parent.hear()
    assert east.guests[server].attempt == parent.zone.attempts(server)[0]["id"]
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)


def test_room_that_a_zones_own_users_give_back_is_used(make: MakeParent) -> None:
    """No document of ours tells of it: only the next summary, which counts no more of the feed."""
    full, other = Child("full", room=0, refuses_late=False), Child("other", room=0, refuses_late=False)
    parent = make(full, other)
    parent.view.summaries |= {full.zone_uuid: (5, full.head), other.zone_uuid: (4, other.head)}
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    full.room = 1
    parent.summary(full)
    parent.rest()
    assert parent.zone.row(server)["zone_uuid"] == full.zone_uuid
    assert [one["state"] for one in parent.zone.attempts(server)] == ["refused", "running"]


def wanting(make: MakeParent, *others: Child) -> tuple[Parent, Child, str]:
    """A boot whose image its first neighbour wants."""
    east = Child("east", wants_images=True)
    parent = make(east, *others)
    parent.view.summaries[east.zone_uuid] = (5, east.head)
    server = parent.zone.boot()
    parent.work()
    parent.deliver()
    parent.hear()
    assert "push" in [row["kind"] for row in parent.zone.work_rows()]
    return parent, east, server


def test_a_boot_whose_image_can_not_be_brought_is_placed_elsewhere(make: MakeParent) -> None:
    parent, east, server = wanting(make, Child("west"))
    error = NotFound("Image x could not be found.", code="no_such_image")
    forward.push_failed(parent.zone.core, "another", server, error)
    forward.push_failed(parent.zone.core, east.zone_uuid, "nobody", error)
    parent.work()
    assert [what for _, what, _ in parent.way.waiting] == ["push"]
    parent.way.waiting.clear()
    for _ in range(2):
        forward.push_failed(parent.zone.core, east.zone_uuid, server, error)
    parent.rest()
    first, second = parent.zone.attempts(server)
    assert (first["state"], first["reason"]) == (
        "refused", {"code": "no_such_image", "message": "Image x could not be found."})
    assert east.answers[first["id"]].state == "cancelled", "it will never be built there"
    assert second["state"] == "running"
    assert parent.zone.usage() == (1, 1, 512)


def test_where_there_is_no_elsewhere_the_reason_is_shown(make: MakeParent) -> None:
    parent, east, server = wanting(make)
    forward.push_failed(parent.zone.core, east.zone_uuid, server,
                        Conflict("Image x has no content.", code="image_not_active"))
    parent.rest()
    row = parent.zone.row(server)
    assert (row["vm_state"], row["fault"]["reason"]) == (states.ERROR, "no_valid_host")
    assert "east: Image x has no content." in row["fault"]["message"]


def test_what_was_accepted_meanwhile_ends_before_it_is_placed_elsewhere(make: MakeParent) -> None:
    parent, east, server = wanting(make, Child("west"))
    (attempt,) = parent.zone.attempts(server)
    forward.push_failed(parent.zone.core, east.zone_uuid, server, Conflict("no", code="image_not_active"))
    east.wants_images = False  # it came on another way
    forward.answered(parent.zone.core, east.zone_uuid, [Answered(attempt["id"], "cancelled", gone=False)])
    assert [one["state"] for one in parent.zone.attempts(server)] == ["open"]
    forward.answered(parent.zone.core, east.zone_uuid, [Answered(attempt["id"], "cancelled", gone=True)])
    assert [one["state"] for one in parent.zone.attempts(server)] == ["refused"]
    parent.rest()
    assert len(parent.living(server)) == 1


def test_an_answer_of_another_zone_or_to_nothing_changes_nothing(make: MakeParent) -> None:
    east, west = Child("east"), Child("west")
    parent = make(east, west)
    server = parent.zone.boot()
    parent.work()
    (attempt,) = parent.zone.attempts(server)
    before = parent.zone.row(server)
    for state in ("refused", "accepted", "cancelled", "wanted", "nonsense"):
        forward.answered(parent.zone.core, west.zone_uuid, [Answered(attempt["id"], state)])
        forward.answered(parent.zone.core, east.zone_uuid, [Answered("unheard-of", state)])
    forward.answered(parent.zone.core, east.zone_uuid, [Answered(attempt["id"], "nonsense")])
    assert parent.zone.row(server) == before
    assert parent.zone.attempts(server) == [attempt]


def test_a_tombstone_that_is_not_ours_is_a_refusal(make: MakeParent) -> None:
    east, west = Child("east"), Child("west")
    parent = make(east, west)
    server = parent.zone.boot()
    parent.work()
    attempt = parent.zone.attempts(server)[0]["id"]
    east.recall(server, [attempt])
    parent.rest()
    assert parent.zone.row(server)["zone_uuid"] == west.zone_uuid
    assert parent.zone.status(server) == (states.ACTIVE, None)


def test_silence_is_told_by_the_zones_name_and_later_news_wins(make: MakeParent) -> None:
    east = Child("east", up=False)
    parent = make(east)
    server = parent.zone.boot()
    parent.work()
    parent.zone.clock.at += 700
    parent.work()
    row = parent.zone.row(server)
    assert (row["vm_state"], row["fault"]["reason"]) == (states.ERROR, "unknown_at_zone")
    assert "Zone east does not say" in row["fault"]["message"]
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    assert len(parent.zone.attempts(server)) == 1


def test_settling_names_the_link_and_never_doubles(make: MakeParent) -> None:
    east, west = Child("east", up=False), Child("west")
    parent = make(east, west)
    server = parent.zone.boot()
    parent.work()
    east.up = True
    parent.deliver()
    parent.way.answers.clear()
    east.up = False
    assert settle(parent.zone.db, server, "op") == {"server": server, "tombstoned_at": ["east"]}
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    assert len(parent.living(server)) == 1
    assert parent.living(server)[0][1].attempt == parent.zone.row(server)["attempt_id"]


def test_affinity_keeps_a_group_in_one_zone(make: MakeParent) -> None:
    east, west = Child("east"), Child("west")
    parent = make(east, west)
    hints = {"group": parent.zone.group("affinity")}
    first = parent.zone.boot(hints=hints)
    parent.rest()
    requests = []
    choose = parent.view.choose

    def listening(request, asked, attempt):  # type: ignore[no-untyped-def]
        requests.append(request)
        return choose(request, asked, attempt)
    parent.view.choose = listening  # type: ignore[method-assign]
    parent.zone.boot(hints=hints)
    parent.zone.boot(hints={"same_host": [first]})
    parent.zone.boot(hints={"different_host": [first]})
    parent.rest()
    assert requests[0].group_hosts == (east.zone_uuid,)
    assert requests[1].same_hosts == {east.zone_uuid}
    assert requests[2].different_hosts == {east.zone_uuid}


def test_when_a_zone_is_back_what_waits_for_it_is_due_and_removals_first(make: MakeParent) -> None:
    east = Child("east", up=False)
    parent = make(east)
    servers = [parent.zone.boot() for _ in range(3)]
    parent.work()
    parent.zone.delete(servers[2])
    for _ in range(15):
        parent.zone.clock.at += 31
        parent.work()
    parent.way.waiting.clear()
    parent.work()
    assert parent.way.waiting == []
    forward.hurry_zone(parent.zone.core, "another")
    parent.work()
    assert parent.way.waiting == []
    forward.hurry_zone(parent.zone.core, east.zone_uuid)
    parent.work()
    assert [what for _, what, _ in parent.way.waiting] == ["recall", "hand", "hand"]


def test_work_rows_of_one_zone_are_told_apart(make: MakeParent) -> None:
    parent = make(Child("east"))
    parent.zone.db.run(work.add, [{"kind": "remove", "server_id": "s", "zone_uuid": "z", "due_at": 9e9,
                                   "created_at": 1.0, "args": {"attempts": ["a"]}}])
    parent.zone.db.run(work.hurry_zone, "y", 5.0)
    assert parent.zone.work_rows()[0]["due_at"] == 9e9
    parent.zone.db.run(work.hurry_zone, "z", 5.0)
    assert parent.zone.work_rows()[0]["due_at"] < 5.0


@pytest.mark.parametrize("late", ["accepted", "running", "cancelled", "wanted"])
def test_a_delete_ends_with_nothing_less_than_a_confirmation(make: MakeParent, late: str) -> None:
    east = Child("east")
    parent = make(east)
    server = parent.zone.boot()
    parent.work()
    parent.zone.delete(server)
    attempt = parent.zone.attempts(server)[0]["id"]
    forward.answered(parent.zone.core, east.zone_uuid, [Answered(attempt, late)])
    assert parent.zone.row(server)["task_state"] == "deleting"
    assert [row["kind"] for row in parent.zone.work_rows()] == ["remove"]
    assert parent.zone.usage() == (1, 1, 512)
    parent.rest()
    assert (parent.zone.row(server)["deleted"], parent.living(server)) == (True, [])


@pytest.mark.parametrize("state", ["refused", "cancelled", "accepted", "wanted"])
def test_an_answer_of_before_changes_nothing_of_what_runs(make: MakeParent, state: str) -> None:
    east = Child("east")
    parent = make(east)
    server = parent.zone.boot()
    parent.rest()
    before, attempts = parent.zone.row(server), parent.zone.attempts(server)
    forward.answered(parent.zone.core, east.zone_uuid, [Answered(attempts[0]["id"], state, "no_valid_host")])
    assert (parent.zone.row(server), parent.zone.attempts(server), parent.zone.work_rows()) == (
        before, attempts, [])
