"""News is believed only from the current attempt, only when it is newer, and it is acknowledged."""

from collections.abc import Callable

import msgspec
import pytest

from tests.lifekit import LifeZone
from zones import states
from zones.config import Timing
from zones.protocol import Done, Heard, Message, News


def building(zone: LifeZone) -> tuple[str, list[Message]]:
    """A server whose host has built it, and the news of it that waits at the zone."""
    server = zone.boot()
    zone.report()
    zone.work()
    zone.to_hosts()
    zone.nodes["c1"].jobs()
    zone.nodes["c1"].service.herald.round()
    return server, zone.post.take("news")


def running(zone: LifeZone, server: str, version: int, **changes: object) -> News:
    """News of the current attempt in that version."""
    row = zone.row(server)
    plain = News(id=f"{row['attempt_id']}:{version}", service="c1", host=row["host"], server=server,
                 attempt=row["attempt_id"], version=version, state="running", power_state=states.RUNNING)
    return msgspec.structs.replace(plain, **changes)


def test_a_repeat_changes_nothing_and_is_acknowledged_again(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    once = zone.row(server)
    zone.hear(told)
    assert zone.row(server) == once
    heard = [message for message in zone.post.peek("host.c1") if isinstance(message, Heard)]
    assert [message.news for message in heard] == 2 * [[one.id for one in told if isinstance(one, News)]]


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_or_equal_version_is_ignored(zone: LifeZone, version: int) -> None:
    server, told = building(zone)
    zone.hear(told)
    assert zone.row(server)["news_version"] == 2
    zone.hear([running(zone, server, version, power_state=states.SHUTDOWN)])
    assert zone.status(server) == (states.ACTIVE, None)
    zone.hear([running(zone, server, 3, power_state=states.SHUTDOWN)])
    assert zone.status(server) == (states.STOPPED, None)


def test_a_batch_applies_its_newest_version_whatever_its_order(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    zone.hear([running(zone, server, 5, power_state=states.PAUSED),
               running(zone, server, 4, power_state=states.SHUTDOWN)])
    assert zone.status(server) == (states.V_PAUSED, None)


def test_accepted_after_running_changes_nothing(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    before = zone.row(server)
    zone.hear([running(zone, server, 1, state="accepted")])
    assert zone.row(server) == before


def test_news_of_an_attempt_that_nobody_knows_is_acknowledged_and_ignored(zone: LifeZone) -> None:
    server, told = building(zone)
    before = zone.row(server)
    zone.hear([msgspec.structs.replace(one, attempt="nobody", id="nobody:2") for one in told])
    assert zone.row(server) == before
    assert Heard(["nobody:2"]) in zone.post.peek("host.c1")


def test_a_refused_boot_is_placed_elsewhere(zone: LifeZone) -> None:
    server = zone.boot()
    zone.report()
    zone.work()
    (first,) = zone.attempts(server)
    zone.hear([News(id=f"{first['id']}:1", service="c1", host=first["target"], server=server,
                    attempt=first["id"], version=1, state="refused", reason="spawn_failed",
                    message="no", gone=True)])
    assert zone.status(server) == (states.BUILDING, "scheduling")
    zone.work()
    old, new = zone.attempts(server)
    assert (old["state"], old["reason"]["code"]) == ("refused", "spawn_failed")
    assert (new["state"], new["target"] == old["target"]) == ("open", False)


def test_a_refused_attempt_stays_refused(zone: LifeZone) -> None:
    server, told = building(zone)
    (attempt,) = zone.attempts(server)
    refused = msgspec.structs.replace(told[0], state="refused", reason="x", message="x")
    zone.hear([refused])
    zone.hear(told)
    assert zone.attempts(server)[0]["state"] == "refused"
    assert zone.row(server)["attempt_id"] is None
    assert attempt["id"] == zone.attempts(server)[0]["id"]


def test_what_runs_after_it_was_cancelled_is_told_to_go(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.delete(server)
    zone.hear(told)
    assert zone.status(server)[1] == "deleting"
    zone.flow()
    assert zone.row(server)["deleted"]
    assert zone.guest(server) is None


def test_late_news_of_what_is_gone_is_settled_and_leaves_no_work(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.delete(server)
    zone.rest()
    zone.hear(told)
    assert zone.row(server)["deleted"]
    zone.rest()
    assert zone.work_rows() == []


def test_a_host_that_does_not_answer_makes_an_error_and_its_late_answer_wins(
        make_zone: Callable[..., LifeZone]) -> None:
    zone = make_zone(timing=Timing(unknown_after=600.0))
    server, told = building(zone)
    zone.clock.at += 601
    zone.report()
    zone.work()
    row = zone.row(server)
    assert (row["vm_state"], row["fault"]["reason"]) == (states.ERROR, "unknown_at_zone")
    assert [one["state"] for one in zone.attempts(server)] == ["open"]
    zone.hear(told)
    row = zone.row(server)
    assert (row["vm_state"], row["fault"]) == (states.ACTIVE, None)
    assert len(zone.attempts(server)) == 1


def test_a_loss_that_was_noticed_during_an_action_is_not_forgotten_when_it_fails(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    zone.act(server, "reboot_hard")
    store = zone.nodes["c1"].store
    store.erase(server, zone.row(server)["host"])
    store.close()
    for _ in range(2):
        zone.nodes["c1"].service.monitor.compare()
    zone.to_zone()
    zone.flow()
    row = zone.row(server)
    assert (row["vm_state"], row["task_state"], row["fault"]["reason"]) == (
        states.ERROR, None, "lost_by_hypervisor")


def test_the_end_of_an_action_does_not_undo_what_was_noticed_after_it(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    zone.act(server, "pause")
    zone.work()
    op = zone.work_rows()[0]["op"]
    row = zone.row(server)
    zone.hear([running(zone, server, 4, power_state=states.SHUTDOWN)])
    zone.hear([Done(id=op, service="c1", host=row["host"], op=op, server=server,
                    attempt=row["attempt_id"], version=3, power_state=states.PAUSED)])
    row = zone.row(server)
    assert (row["vm_state"], row["task_state"], row["power_state"]) == (
        states.STOPPED, None, states.SHUTDOWN)


def test_an_action_ends_once(zone: LifeZone) -> None:
    server, told = building(zone)
    zone.hear(told)
    zone.act(server, "pause")
    zone.work()
    op, row = zone.work_rows()[0]["op"], zone.row(server)
    done = Done(id=op, service="c1", host=row["host"], op=op, server=server, attempt=row["attempt_id"],
                version=3, power_state=states.PAUSED)
    zone.hear([done, done])
    once = zone.row(server)
    zone.hear([done])
    assert zone.row(server) == once
    assert zone.status(server) == (states.V_PAUSED, None)
