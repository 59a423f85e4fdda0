"""What the outcome of a poll does to a link's row: whatever comes in whatever order, the row makes sense."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.config import Links
from zones.errors import Forbidden, NotFound, Unavailable, Unknown, ZonesError
from zones.neighbours import poll
from zones.protocol.neighbours import Info

CONFIG = Links(failures_to_offline=3)
RANGE = {"min": 1, "max": 1}


def row(**given: Any) -> dict[str, Any]:
    return {"id": 1, "zone_uuid": "z", "is_active": False, "reason": None, "message": None, "failures": 0,
            "seen_at": None, "polled_at": None, "epoch": None, "etag": None, "generation": 0,
            "summary_at": None, "feed_head": 0, "max_microversion": None, **given}


def info(uuid: str = "z", **given: Any) -> Info:
    return Info(**{"name": "west", "uuid": uuid, "epoch": "e", "generation": 7, "protocol": RANGE,
                   "zones": {uuid: {"name": "west"}}, "feed_head": 3, "max_microversion": "2.90", **given})


def told(uuid: str = "z", **given: Any) -> poll.Told:
    return poll.Told(info(uuid, **given), '"e.7"', 0.5)


@dataclass
class Source:
    """Answers with what it holds; an error is raised."""

    answer: Info | ZonesError | None = None
    asked: list[str | None] = field(default_factory=list)

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        self.asked.append(etag)
        if isinstance(self.answer, ZonesError):
            raise self.answer
        return self.answer, '"e.7"'


def ask(answer: Info | ZonesError | None, age: float | None = None, etag: str | None = None) -> poll.Outcome:
    return poll.ask(Source(answer), row(etag=etag), age)


# ------------------------------------------------------------------ the question

def test_not_modified_is_good_only_while_the_last_whole_answer_is_young() -> None:
    asked = []
    for age in (None, 0.0, poll.FRESH - 1, poll.FRESH, 1e9):
        source = Source(info())
        poll.ask(source, row(etag='"e.7"'), age)
        asked += source.asked
    assert asked == [None, '"e.7"', '"e.7"', None, None]


def test_not_modified_where_all_was_asked_for_is_no_answer() -> None:
    assert ask(None, 1.0, '"e.7"') == poll.Same()
    failed = ask(None, 60.0, '"e.7"')
    assert isinstance(failed, poll.Failed)
    assert failed.reason == poll.BAD_ANSWER


@pytest.mark.parametrize("wrong", [
    {"zones": {"z": {"age": -1}}}, {"zones": {"z": 5}}, {"epoch": "e" * 37}, {"uuid": ""},
    {"protocol": {}}, {"generation": -1}, {"feed_head": 2**63}, {"max_microversion": "2.123456789"}])
def test_an_answer_that_makes_no_sense_is_a_failure(wrong: dict[str, Any]) -> None:
    failed = ask(info(**wrong))
    assert isinstance(failed, poll.Failed)
    assert failed.reason == poll.BAD_ANSWER


@pytest.mark.parametrize(("error", "reason"), [
    (Unavailable("no route"), poll.UNREACHABLE), (Unknown("late"), poll.TIMEOUT),
    (Unknown("late", code="zone_timeout"), poll.TIMEOUT),
    (Unknown("broke", code="zone_broke_off"), poll.UNREACHABLE),
    (Unknown("what?", code="bad_answer"), poll.BAD_ANSWER), (NotFound("no such path"), poll.BAD_ANSWER),
    (Unavailable("wrong password", code="link_login"), poll.LOGIN), (Forbidden("no"), poll.LOGIN)])
def test_why_there_was_no_answer(error: ZonesError, reason: str) -> None:
    assert ask(error) == poll.Failed(reason, error.message)


# ------------------------------------------------------------------ the row

def test_the_first_answer_makes_a_link_active() -> None:
    assert poll.polled(row(), told(), 100.0, CONFIG) == {
        "is_active": True, "failures": 0, "reason": None, "message": None, "seen_at": 100.0,
        "polled_at": 100.0, "epoch": "e", "generation": 7, "etag": '"e.7"',
        "summary": {"z": {"name": "west"}}, "summary_at": 99.5, "feed_head": 3, "max_microversion": "2.90"}


def test_not_modified_makes_nothing_younger() -> None:
    values = poll.polled(row(is_active=True, failures=2), poll.Same(), 100.0, CONFIG)
    assert values == {"is_active": True, "failures": 0, "reason": None, "message": None,
                      "seen_at": 100.0, "polled_at": 100.0}


@pytest.mark.parametrize(("wrong", "reason"), [
    (told("other"), poll.OTHER_ZONE), (told(protocol={"min": 2, "max": 3}), poll.PROTOCOL),
    (told(protocol={"min": 0, "max": 0}), poll.PROTOCOL), (poll.taken("z"), poll.TAKEN)])
def test_a_link_that_leads_elsewhere_is_inactive_at_once(wrong: poll.Outcome, reason: str) -> None:
    at = row(is_active=True, etag="x")
    values = poll.polled(at, wrong, 100.0, CONFIG)
    assert (values["is_active"], values["reason"], values["etag"]) == (False, reason, None)
    assert not values.keys() & {"summary", "epoch", "generation", "seen_at", "zone_uuid"}
    after = {**at, **values}
    assert poll.polled(after, poll.Failed(poll.TIMEOUT, "late"), 101.0, CONFIG).keys() == {
        "failures", "polled_at"}, "the graver reason stays"
    assert poll.polled(after, told(), 102.0, CONFIG)["is_active"]


OUTCOMES = st.one_of(
    st.builds(told, st.sampled_from(["z", "z", "z", "other"]), generation=st.integers(0, 9),
              protocol=st.sampled_from([RANGE, RANGE, {"min": 1, "max": 9}, {"min": 5, "max": 9}])),
    st.just(poll.Same()),
    st.builds(poll.Failed, st.sampled_from([poll.UNREACHABLE, poll.LOGIN, poll.TIMEOUT, poll.BAD_ANSWER]),
              st.just("why")))


@given(st.lists(OUTCOMES, max_size=40), st.integers(1, 5))
def test_any_sequence_of_outcomes_leaves_the_row_consistent(
        outcomes: list[poll.Outcome], failures_to_offline: int) -> None:
    config = Links(failures_to_offline=failures_to_offline)
    now, in_a_row = row(), 0
    for at, drawn in enumerate(outcomes, 1):
        unasked = isinstance(drawn, poll.Same) and now["etag"] is None
        outcome = poll.Failed(poll.BAD_ANSWER, "why") if unasked else drawn  # as `ask` sees it
        before, now = now, {**now, **poll.polled(now, outcome, float(at), config)}
        good = isinstance(outcome, poll.Same) or (
            isinstance(outcome, poll.Told) and outcome.info.uuid == "z" and outcome.info.protocol["min"] == 1)
        in_a_row = 0 if good else in_a_row + 1
        assert (now["failures"], now["polled_at"]) == (in_a_row, at)
        assert now["is_active"] is False or (now["reason"] is None and now["message"] is None)
        assert now["is_active"] or now["reason"] is not None
        assert not good or now["is_active"]
        assert not now["is_active"] or in_a_row < failures_to_offline
        assert not (before["is_active"] and not now["is_active"]) or (
            in_a_row >= failures_to_offline or now["reason"] in poll.WRONG)
        assert now["zone_uuid"] == "z"
        if not isinstance(outcome, poll.Told) or not good:
            assert [now[key] for key in ("generation", "summary_at", "epoch", "feed_head")] == [
                before[key] for key in ("generation", "summary_at", "epoch", "feed_head")]
        assert poll.shows(before, now) == any(before[key] != now[key] for key in (
            "is_active", "reason", "epoch", "generation", "feed_head"))


@given(st.integers(0, 10**6), st.floats(0.1, 1000.0), st.integers(1, 10))
def test_who_fails_is_asked_less_and_less_but_never_forgotten(
        failures: int, interval: float, limit: int) -> None:
    config = Links(poll=interval, failures_to_offline=limit)
    pause = poll.pause(failures, config)
    assert interval <= pause <= max(interval, poll.LONGEST)
    assert pause <= poll.pause(failures + 1, config)
    assert failures > limit or pause == interval
