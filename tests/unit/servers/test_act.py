"""What a server may do in which state, what it ends in, and what it takes of quota and room."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.lifekit import ANN, BOSS, IMAGE, POWER, LifeZone
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.errors import Conflict, Invalid, NotFound, OverQuota, Unavailable, Unsupported
from zones.servers import edit

ARGS: dict[str, dict[str, Any]] = {
    "resize": {"flavor_id": "two"}, "rebuild": {"image_id": IMAGE.id}, "create_image": {"name": "snap"},
    "set_password": {"admin_pass": "secret"}}
PATHS = {states.ACTIVE: [], states.V_PAUSED: ["pause"], states.V_SUSPENDED: ["suspend"],
         states.STOPPED: ["stop"], states.RESCUED: ["rescue"], states.RESIZED: ["resize"],
         states.SHELVED_OFFLOADED: ["shelve"]}
"""How a server gets into each state in which one rests."""


def started(zone: LifeZone, vm_state: str = states.ACTIVE, flavor: str = "one") -> str:
    server = zone.boot(flavor)
    zone.flow()
    for action in PATHS[vm_state]:
        do(zone, server, action)
    assert zone.status(server) == (vm_state, None)
    return server


def do(zone: LifeZone, server: str, action: str) -> None:
    """An action, to its end."""
    zone.act(server, action, **ARGS.get(action, {}))
    zone.flow()
    if action == "shelve":
        zone.flow()


def set_row(zone: LifeZone, server: str, **values: Any) -> None:
    zone.db.run(lambda conn: conn.execute(sa.update(tables.server).where(
        tables.server.c.id == server), values))


@pytest.mark.parametrize("vm_state", PATHS)
def test_the_actions_of_the_table_are_accepted_and_end_as_it_says(zone: LifeZone, vm_state: str) -> None:
    server = started(zone, vm_state)
    for name, action in states.ACTIONS.items():
        kept = zone.row(server)
        if vm_state not in action.allowed:
            with pytest.raises(Conflict) as refused:
                zone.act(server, name, **ARGS.get(name, {}))
            assert refused.value.code == "bad_vm_state"
            assert zone.row(server) == kept, "a refusal changes nothing"
    for name, action in states.ACTIONS.items():
        if vm_state not in action.allowed:
            continue
        other = started(zone, vm_state)
        zone.act(other, name, **ARGS.get(name, {}))
        assert zone.status(other) == (vm_state, action.task_state)
        zone.flow()
        zone.flow()
        wanted = states.after(action, vm_state, states.SHUTDOWN if name in ("rebuild", "confirm_resize") and (
            vm_state == states.STOPPED) else states.RUNNING)
        assert zone.status(other) == (wanted, None), name
        guest = zone.guest(other)
        if wanted == states.SHELVED_OFFLOADED:
            assert guest is None
        elif wanted in POWER:
            assert guest is not None
            assert guest.power == zone.row(other)["power_state"] == POWER[wanted], name
        zone.delete(other)
        zone.flow()


def test_one_action_at_a_time(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "pause")
    with pytest.raises(Conflict) as refused:
        zone.act(server, "stop")
    assert refused.value.code == "bad_task_state"


@pytest.mark.parametrize(("caller", "allowed"), [(ANN, False), (BOSS, True)])
def test_a_locked_server_obeys_only_administrators(zone: LifeZone, caller: Any, allowed: bool) -> None:
    server = started(zone)
    edit.lock(zone.core, ANN, server, "mine")
    if allowed:
        zone.act(server, "pause", caller)
    else:
        with pytest.raises(Conflict) as refused:
            zone.act(server, "pause", caller)
        assert refused.value.code == "locked"


def test_what_the_driver_cannot_do_is_refused_before_anything_happens(zone: LifeZone) -> None:
    server = started(zone)
    zone.core = replace(zone.core, unsupported=lambda host: frozenset({"suspend"}))
    before = zone.row(server)
    with pytest.raises(Unsupported):
        zone.act(server, "suspend")
    assert zone.row(server) == before


def test_a_host_that_is_down_is_said_so(zone: LifeZone) -> None:
    server = started(zone)
    zone.nodes["c1"].crash()
    for _ in range(5):
        zone.clock.at += 9
        zone.report()
    with pytest.raises(Unavailable) as refused:
        zone.act(server, "stop")
    assert refused.value.code == "host_down"
    assert refused.value.retry_after > 0


def test_one_that_was_never_built_cannot_be_started(zone: LifeZone) -> None:
    server = zone.boot()
    set_row(zone, server, vm_state=states.ERROR, task_state=None)
    with pytest.raises(Conflict) as refused:
        zone.act(server, "reboot_hard")
    assert refused.value.code == "no_host"


def test_an_action_is_repeated_until_it_is_answered_and_done_once(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "stop")
    for _ in range(3):
        zone.work()
        zone.clock.at += 6
    acts = zone.post.take("host.c1")
    assert len({act.op for act in acts}) == 1 < len(acts)  # type: ignore[union-attr]
    zone.nodes["c1"].take(acts)
    zone.nodes["c1"].jobs()
    zone.to_zone()
    assert zone.status(server) == (states.STOPPED, None)
    console = zone.nodes["c1"].driver.console(server, str(zone.row(server)["host"]), None)
    assert console.count("] stop") == 1


def test_a_password_is_sealed_at_rest_and_arrives_whole(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "set_password", admin_pass="secret")
    (item,) = zone.work_rows()
    assert item["args"]["args"]["admin_pass"] == "sealed:secret"
    zone.work()
    (message,) = [one for one in zone.post.peek("host.c1") if type(one).__name__ == "Act"]
    assert message.args["admin_pass"] == "secret"  # type: ignore[union-attr]


# ------------------------------------------------------------------ resize

def test_a_resize_takes_the_larger_of_both_until_it_is_confirmed(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "resize", flavor_id="two")
    assert zone.usage() == (1, 2, 1024), "reserved when it is accepted"
    zone.flow()
    row = zone.row(server)
    assert (row["flavor_id"], row["old_flavor"]["id"], zone.usage()) == ("two", "one", (1, 2, 1024))
    assert [(one.vcpus, one.ram) for one in zone.nodes["c1"].claims()] == [(2, 1024)]
    do(zone, server, "confirm_resize")
    row = zone.row(server)
    assert (row["flavor_id"], row["old_flavor"], zone.usage()) == ("two", None, (1, 2, 1024))


def test_a_reverted_resize_gives_all_back(zone: LifeZone) -> None:
    server = started(zone, states.RESIZED)
    do(zone, server, "revert_resize")
    row, guest = zone.row(server), zone.guest(server)
    assert (row["flavor_id"], row["old_flavor"], zone.usage()) == ("one", None, (1, 1, 512))
    assert [(one.vcpus, one.ram) for one in zone.nodes["c1"].claims()] == [(1, 512)]
    assert guest is not None
    assert guest.flavor == "one"


def test_a_resize_without_room_fails_and_gives_quota_back(make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(nodes={"c1": "1*2:8192:100"})
    server = started(zone)
    started(zone)
    do(zone, server, "resize")
    row = zone.row(server)
    assert (row["vm_state"], row["flavor_id"], zone.usage()) == (states.ACTIVE, "one", (2, 2, 1024))
    assert zone.nodes["c1"].service.book.room.used("c1-host-1").vcpus == 2
    log = [one for one in zone.rows(tables.instance_action) if one["action"] == "resize"]
    assert [(one["result"], "no room" in one["message"]) for one in log] == [("Error", True)]


def test_a_resize_beyond_quota_is_refused_and_reserves_nothing(make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(quota=Quota(cores=2))
    server = started(zone)
    started(zone)
    with pytest.raises(OverQuota):
        zone.act(server, "resize", flavor_id="two")
    assert zone.usage() == (2, 2, 1024)
    assert zone.status(server) == (states.ACTIVE, None)


@pytest.mark.parametrize(("flavor", "target", "error"), [
    ("one", "one", Invalid), ("two", "one", Invalid), ("one", "none-such", Invalid | NotFound)])
def test_resizes_that_make_no_sense(zone: LifeZone, flavor: str, target: str, error: Any) -> None:
    server = started(zone, flavor=flavor)
    with pytest.raises(error.__args__ if hasattr(error, "__args__") else error):
        zone.act(server, "resize", flavor_id=target)
    assert zone.status(server) == (states.ACTIVE, None)


def test_deleted_in_the_middle_of_a_resize_all_quota_comes_back(zone: LifeZone) -> None:
    server = started(zone)
    zone.act(server, "resize", flavor_id="two")
    zone.delete(server)
    zone.rest()
    assert (zone.usage(), zone.guests(), zone.nodes["c1"].claims()) == ((0, 0, 0), [], [])


def test_a_resize_that_was_done_before_a_crash_keeps_its_room(make_zone: Callable[..., LifeZone]) -> None:
    """The ledger has the old size, the guest the new one: nothing else may get that room meanwhile."""
    zone = make_zone(nodes={"c1": "1*2:8192:100"})
    server = started(zone)
    zone.act(server, "resize", flavor_id="two")
    zone.work()
    node = zone.nodes["c1"]
    node.take(zone.post.take("host.c1"))
    node.run(node.jobs, fuse=1)
    assert not node.up
    guest = zone.guest(server)
    assert guest is not None
    assert guest.flavor == "two", "it was done, and then the process ended"
    other = zone.boot()
    node.start()
    zone.report()
    zone.work()
    node.take(zone.post.take("host.c1"))
    zone.rest()
    assert (zone.row(server)["vm_state"], zone.row(server)["flavor_id"]) == (states.RESIZED, "two")
    assert zone.row(other)["vm_state"] == states.ERROR


# ------------------------------------------------------------------ rebuild, images, shelving

def test_a_rebuild_takes_the_new_image_and_what_else_it_names(zone: LifeZone) -> None:
    server = started(zone)
    image = zone.act(server, "create_image", name="snap")["image_id"]
    zone.flow()
    assert zone.images.held[image]
    zone.act(server, "rebuild", image_id=image, name="again", metadata={"k": "v"}, description="d")
    zone.flow()
    row = zone.row(server)
    assert (row["image_id"], row["name"], row["metadata"], row["description"], row["vm_state"]) == (
        image, "again", {"k": "v"}, "d", states.ACTIVE)
    assert len(zone.attempts(server)) == 1


def test_a_rebuild_with_an_image_that_is_not_there(zone: LifeZone) -> None:
    server = started(zone)
    with pytest.raises(NotFound):
        zone.act(server, "rebuild", image_id="no-such")


def test_a_snapshot_that_fails_leaves_no_image(zone: LifeZone) -> None:
    server = started(zone)
    store = zone.nodes["c1"].store
    store.erase(server, zone.row(server)["host"])
    store.close()
    zone.act(server, "create_image", name="snap")
    zone.flow()
    assert zone.images.held == {}


def test_a_refused_snapshot_makes_no_image(zone: LifeZone) -> None:
    server = started(zone, states.RESCUED)
    with pytest.raises(Conflict):
        zone.act(server, "create_image", name="snap")
    assert zone.images.held == {}


def test_shelving_frees_the_host_and_unshelving_takes_any(make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(nodes={"c1": "2*1:8192:100"})
    server = started(zone)
    first = zone.row(server)["host"]
    do(zone, server, "shelve")
    row = zone.row(server)
    assert (row["host"], zone.usage(), zone.nodes["c1"].claims()) == (None, (1, 1, 512), [])
    assert zone.images.held[row["shelved_image_id"]]
    others = [started(zone), started(zone)]
    zone.act(server, "unshelve")
    zone.rest()
    assert zone.status(server) == (states.SHELVED_OFFLOADED, None), "no room: it stays as it was"
    there = next(one for one in others if zone.row(one)["host"] != first)
    zone.delete(there)
    zone.flow()
    do(zone, server, "unshelve")
    row = zone.row(server)
    assert (row["vm_state"], row["host"] not in (None, first), row["shelved_image_id"]) == (
        states.ACTIVE, True, None)
    assert zone.images.held == {}, "the snapshot has served"


def test_what_the_log_says_of_an_action(zone: LifeZone) -> None:
    server = started(zone)
    do(zone, server, "reboot_hard")
    logged = [(one["action"], one["result"]) for one in zone.rows(tables.instance_action)]
    assert logged == [("create", "Success"), ("reboot", "Success")]
