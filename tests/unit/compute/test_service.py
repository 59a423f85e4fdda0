"""A compute service keeps its promises over crashes, builds each server once, yields to a newer process."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.hostkit import HOST, boot, built, heard, told
from tests.lifekit import LifeZone, Node
from zones import states
from zones.compute.simulated import FAILURE_RATE
from zones.errors import Unknown, ZonesError
from zones.protocol import (
    Act,
    Answer,
    Ask,
    Done,
    Remove,
)

# ------------------------------------------------------------------ boots and tombstones

def test_a_boot_is_answered_with_where_it_is_counted(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1")])
    (news,) = told(zone)
    assert (news.state, news.version, news.host, news.report.vcpus_used) == ("accepted", 1, HOST, 1)
    node.jobs()
    (news,) = told(zone)
    assert (news.state, news.power_state, bool(news.addresses)) == ("running", states.RUNNING, True)


def test_a_repeat_builds_nothing_and_is_answered_again(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.take([boot("a1"), boot("a1")])
    node.jobs()
    assert [(one.attempt, one.state) for one in told(zone)] == [("a1", "running")]
    store = node.store
    assert len(store.creations()) == 1
    store.close()


def test_a_second_attempt_is_held_until_the_first_is_gone(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.take([boot("a2")])
    assert [(one.state, one.reason) for one in told(zone) if one.attempt == "a2"] == [("refused", "held")]
    node.take([Remove("s1", ["a1"], HOST)])
    node.jobs()
    node.take([boot("a3")])
    node.jobs()
    assert [row.attempt for row in node.guests()] == ["a3"]


def test_a_tombstone_of_a_never_seen_attempt_refuses_it_later(zone: LifeZone, node: Node) -> None:
    node.take([Remove("s1", ["a1"], HOST)])
    (news,) = told(zone)
    assert (news.state, news.gone) == ("cancelled", True)
    heard(node, [news])
    node.take([boot("a1")])
    node.jobs()
    assert node.guests() == []
    assert [(one.state, one.gone) for one in told(zone)] == [("cancelled", True)]


def test_a_tombstone_is_confirmed_as_often_as_it_is_asked_for(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    for _ in range(2):
        node.take([Remove("s1", ["a1"], HOST)])
        node.jobs()
        news = told(zone)
        assert [(one.state, one.gone) for one in news] == [("cancelled", True)]
        heard(node, news)
    assert node.service.book.claims() == []


def test_cancelled_while_it_waits_it_is_never_built(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1"), Remove("s1", ["a1"], HOST)])
    node.jobs()
    store = node.store
    assert store.creations() == []
    store.close()
    assert node.service.book.room.used(HOST).servers == 0


def test_cancelled_while_it_is_built_nothing_stays(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1")])
    spawn = node.driver.spawn

    def slow(*args: Any) -> Any:
        guest = spawn(*args)
        node.take([Remove("s1", ["a1"], HOST)])
        return guest
    node.driver.spawn = slow  # type: ignore[method-assign]
    node.jobs()
    assert (node.guests(), node.claims()) == ([], [])
    assert [(one.state, one.gone) for one in told(zone)] == [("cancelled", True)]


def test_what_does_not_fit_is_refused_with_the_reason(zone: LifeZone, node: Node) -> None:
    node.take([boot("a1", "s1", "four"), boot("a2", "s2"), boot("a3", "s3", host="mars")])
    node.jobs()
    news = {one.attempt: one for one in told(zone)}
    assert [(news[name].state, news[name].reason) for name in ("a1", "a2", "a3")] == [
        ("running", None), ("refused", "vcpus"), ("refused", "no_such_host")]
    assert news["a2"].message


def test_a_failed_spawn_is_refused_and_leaves_nothing(zone: LifeZone, node: Node) -> None:
    store = node.store
    store.set(FAILURE_RATE, "1")
    store.close()
    node.take([boot("a1")])
    node.jobs()
    (news,) = told(zone)
    assert (news.state, news.reason, news.gone) == ("refused", "build_failed", True)
    assert node.guests() == []
    report = node.service.reporter.report(HOST)
    assert report is not None
    assert (report.vcpus_used, report.failed_builds, report.building) == (0, 1, 0)


def test_an_unexpected_failure_is_a_refusal_too(zone: LifeZone, node: Node) -> None:
    def broken(*_args: Any) -> Any:
        raise KeyError("what")
    node.driver.spawn = broken  # type: ignore[method-assign]
    node.take([boot("a1")])
    node.jobs()
    (news,) = told(zone)
    assert (news.state, news.reason) == ("refused", "spawn_failed")
    assert "KeyError" in news.message


def test_a_build_of_unknown_outcome_is_not_refused_but_built_again(zone: LifeZone, node: Node) -> None:
    def silent(*_args: Any) -> Any:
        raise Unknown("no answer")
    spawn, node.driver.spawn = node.driver.spawn, silent  # type: ignore[method-assign]
    node.take([boot("a1")])
    node.jobs()
    assert [one.state for one in told(zone)] == ["accepted"]
    report = node.service.reporter.report(HOST)
    assert report is not None
    assert (report.vcpus_used, report.failed_builds, report.building) == (1, 0, 0)
    node.driver.spawn = spawn  # type: ignore[method-assign]
    assert node.service.keep_house()
    node.jobs()
    assert [one.state for one in told(zone)] == ["running"]


def test_room_is_held_until_a_refused_server_is_really_destroyed(zone: LifeZone, node: Node) -> None:
    def broken(*_args: Any) -> None:
        raise ZonesError("not now")
    destroy, spawn = node.driver.destroy, node.driver.spawn
    node.driver.spawn, node.driver.destroy = broken, broken  # type: ignore[method-assign,assignment]
    node.take([boot("a1")])
    node.jobs()
    assert [(one.state, one.gone) for one in told(zone)] == [("refused", False)]
    assert node.service.book.room.used(HOST).servers == 1
    node.driver.spawn, node.driver.destroy = spawn, destroy  # type: ignore[method-assign]
    assert node.service.keep_house()
    node.jobs()
    assert [(one.state, one.gone) for one in told(zone)] == [("refused", True)]
    assert node.service.book.room.used(HOST).servers == 0


def test_what_another_attempt_built_is_not_destroyed_by_a_refusal(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.crash()
    (node.folder / "ledger.sqlite").unlink()
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (node.folder / name).unlink(missing_ok=True)
    node.start()
    node.take([boot("a2")])
    node.jobs()
    assert [(one.state, one.reason, one.gone) for one in told(zone)] == [("refused", "guest_exists", True)]
    assert [row.attempt for row in node.guests()] == ["a1"]


# ------------------------------------------------------------------ crashes

@pytest.mark.parametrize("edge", range(10))
def test_a_build_that_a_crash_cut_off_is_finished_once(zone: LifeZone, node: Node, edge: int) -> None:
    node.take([boot("a1")])
    node.run(node.jobs, fuse=edge)
    if not node.up:
        node.start()
    node.jobs()
    (guest,) = node.guests()
    assert (guest.attempt, guest.built) == ("a1", True)
    assert [(one.state, one.attempt) for one in told(zone)] == [("running", "a1")]
    used = node.service.book.room.used(HOST)
    assert (used.servers, used.vcpus) == (1, 1)


@pytest.mark.parametrize("edge", range(8))
def test_a_removal_that_a_crash_cut_off_is_finished(zone: LifeZone, node: Node, edge: int) -> None:
    built(zone, node)
    remove = Remove("s1", ["a1"], HOST)

    def all_of_it() -> None:
        node.take([remove])
        node.jobs()
    node.run(all_of_it, fuse=edge)
    if not node.up:
        node.start()
        node.take([remove])
    node.jobs()
    assert (node.guests(), node.claims()) == ([], [])
    assert {(one.state, one.gone) for one in told(zone)} == {("cancelled", True)}


@pytest.mark.parametrize("edge", range(8))
def test_an_action_that_a_crash_cut_off_is_done_and_told(zone: LifeZone, node: Node, edge: int) -> None:
    built(zone, node)
    act = Act("o1", "s1", "a1", HOST, "stop")

    def all_of_it() -> None:
        node.take([act])
        node.jobs()
    node.run(all_of_it, fuse=edge)
    if not node.up:
        node.start()
        node.take([act])
    node.jobs()
    (guest,) = node.guests()
    assert guest.power == states.SHUTDOWN
    done = [one for one in told(zone) if isinstance(one, Done)]
    assert [(one.op, one.error, one.power_state) for one in done] == [("o1", None, states.SHUTDOWN)]


def test_after_a_start_room_and_unheard_news_are_as_before(zone: LifeZone, node: Node) -> None:
    built(zone, node, "a1", "s1", "two")
    node.take([boot("a2", "s2")])
    node.jobs()
    node.crash()
    node.start()
    assert node.service.book.room.used(HOST).vcpus == 3
    assert [(one.attempt, one.state) for one in told(zone)] == [("a2", "running")]
    assert node.service.book.get("a1") is not None


def test_an_older_process_ends_when_a_newer_one_owns_the_service(zone: LifeZone, node: Node) -> None:
    old = node.service
    node.start()
    assert old.reporter._boot < node.service.reporter._boot
    assert not old.keep_house()
    assert (node.was_fenced, old.ready) == (True, False)
    old.take([boot("a1")])
    assert old.book.get("a1") is None, "it takes nothing any more"
    assert node.service.keep_house()


# ------------------------------------------------------------------ actions and questions

def test_an_action_on_what_does_not_run_here_is_an_error_and_is_told(zone: LifeZone, node: Node) -> None:
    node.take([Act("o1", "s1", "a1", HOST, "stop")])
    node.jobs()
    (done,) = told(zone)
    assert (done.op, done.error) == ("o1", "not_here")


def test_what_the_driver_has_no_word_for_is_refused(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    node.driver.actions = frozenset()
    node.take([Act("o1", "s1", "a1", HOST, "suspend")])
    node.jobs()
    (done,) = [one for one in told(zone) if isinstance(one, Done)]
    assert (done.error, "suspend" in done.message) == ("unsupported", True)


def test_a_repeated_action_is_done_once_and_told_again(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    act = Act("o1", "s1", "a1", HOST, "reboot_hard")
    for _ in range(2):
        node.take([act])
        node.jobs()
        (done,) = [one for one in told(zone) if isinstance(one, Done)]
        heard(node, [done])
    console = node.driver.console("s1", HOST, None)
    assert console.count("] reboot_hard") == 1


def test_questions(zone: LifeZone, node: Node) -> None:
    built(zone, node)
    ask: Callable[..., Answer] = lambda *given: node.service.builder.answer(Ask("s1", HOST, *given))
    assert "Booting" in ask("console", {"length": None}).value
    assert len(ask("console", {"length": 2}).value.split("\n")) == 2
    assert ask("diagnostics").value["state"] == "running"
    assert ask("weather").error == "unsupported"
    assert node.service.builder.answer(Ask("s2", HOST, "console")).error == "no_guest"


def test_questions_beyond_their_number_are_turned_away(zone: LifeZone, node: Node) -> None:
    while node.service._questions.acquire(blocking=False):
        pass
    answers: list[Any] = []
    node.service.asked(Ask("s1", HOST, "console"), answers.append)
    assert [one.error for one in answers] == ["unavailable"]
