"""Rows in, links out: a summary is read once, a new epoch starts a new feed, nothing is held for ever."""

from typing import Any

import pytest

from zones.capabilities.link_table import LinkState
from zones.capabilities.link_view import LinkView
from zones.capabilities.summary import OLDEST, Entry, to_plain

PLAIN = to_plain({"east": Entry("east"), "me": Entry("me", path=["me"]), "deep": Entry("d", path=["d"])})


def row(uuid: str | None = "east", number: int = 1, **given: Any) -> dict[str, Any]:
    """A link's row with a summary of this moment."""
    values: dict[str, Any] = {
        "id": number, "zone_uuid": uuid, "name": f"to-{uuid}", "relation": "child", "weight_offset": 1.0,
        "weight_scale": 2.0, "state": "enabled", "is_active": True, "epoch": "e1", "generation": 1,
        "summary_at": 1000.0, "feed_head": 5, "polled_at": 1000.0, "age": 0.0}
    return {**values, **given}


def attempt(name: str = "a", state: str = "open", seq: int = 0) -> dict[str, Any]:
    return {"id": name, "kind": "link", "target": "east", "state": state, "vcpus": 1, "ram": 1024, "disk": 10,
            "counted_boot": 0, "counted_seq": seq}


def take(view: LinkView, *rows: dict[str, Any], now: float = 0.0) -> list[str]:
    """The rows, and of each link that asks for it the summary that its row speaks of."""
    stale = view.stale(rows)
    return view.take(rows, {one["id"]: (PLAIN, one["summary_at"]) for one in rows if one["id"] in stale}, now)


def east(view: LinkView) -> LinkState:
    state = view.table.state("east")
    assert state is not None
    return state


@pytest.fixture
def view() -> LinkView:
    return LinkView("me")


def test_a_link_is_what_its_row_and_its_summary_say_without_this_zone(view: LinkView) -> None:
    assert take(view, row(age=7.0), now=50.0) == []
    state = east(view)
    assert (state.name, state.relation, state.weight_offset, state.weight_scale, state.closed) == (
        "to-east", "child", 1.0, 2.0, "")
    assert state.entries is not None and state.entries.keys() == {"east", "deep"}
    assert (state.heard_at, state.version) == (43.0, (0, 5))


def test_a_summary_is_asked_for_only_when_another_one_has_come(view: LinkView) -> None:
    assert view.stale([row(summary_at=None)]) == []
    assert view.stale([row()]) == [1]
    take(view, row(), now=10.0)
    east(view).memo["x"] = 1
    assert view.stale([row(age=5.0)]) == []
    take(view, row(age=5.0, weight_offset=9.0), now=15.0)
    assert (east(view).weight_offset, east(view).heard_at, east(view).memo) == (9.0, 10.0, {"x": 1})
    assert view.stale([row(generation=2)]) == view.stale([row(summary_at=1010.0)]) == [1]
    take(view, row(generation=2, feed_head=8))
    assert (east(view).version, east(view).generation, east(view).memo) == ((0, 8), 2, {})


def test_a_summary_younger_than_the_row_is_no_older_for_it(view: LinkView) -> None:
    view.take([row(age=10.0)], {1: (PLAIN, 1006.0)}, 100.0)
    assert east(view).heard_at == 96.0
    assert view.stale([row(summary_at=1006.0)]) == [1], "its head was not known yet"


@pytest.mark.parametrize(("given", "closed"), [
    ({}, ""), ({"state": "cordoned"}, "cordoned"), ({"state": "draining"}, "draining"),
    ({"is_active": False}, "inactive"), ({"is_active": False, "state": "cordoned"}, "inactive")])
def test_closed_in_a_code(view: LinkView, given: dict[str, Any], closed: str) -> None:
    take(view, row(**given))
    assert east(view).closed == closed


def test_names_health_and_what_is_no_link(view: LinkView) -> None:
    take(view, row(), row("west", 2, is_active=False), row(None, 3, polled_at=None), row("me", 4))
    assert {state.zone_uuid for state in view.table} == {"east", "west"}
    assert (view.is_up("east"), view.is_up("west"), view.is_up("gone")) == (True, False, False)
    assert (view.name_of("west"), view.name_of("gone")) == ("to-west", "gone")
    assert view.silent() == {"west"}
    assert view.all_polled()
    take(view, row(polled_at=None))
    assert not view.all_polled()
    assert (len(view.table), view.name_of("west"), view.silent()) == (1, "west", frozenset())


def test_a_bad_summary_is_told_and_the_link_stays_as_it_was(view: LinkView) -> None:
    assert "to-east" in view.take([row()], {1: ({"x": {"age": -1}}, 1000.0)}, 0.0)[0]
    assert east(view).entries is None
    take(view, row())
    assert view.take([row(generation=2)], {1: ([], 1000.0)}, 0.0)
    assert east(view).entries is not None


# ------------------------------------------------------------------ in flight

def held(view: LinkView) -> int:
    return east(view).held_servers


def test_an_attempt_is_held_until_a_summary_counts_it(view: LinkView) -> None:
    take(view, row())
    view.know(attempt(), 0.0)
    view.know(attempt(state="running", seq=7), 0.0)
    take(view, row(generation=2, feed_head=6))
    assert held(view) == 1
    take(view, row(generation=3, feed_head=7))
    assert held(view) == 0
    view.know(attempt(state="running", seq=7), 0.0)
    assert held(view) == 0


@pytest.mark.parametrize("state", ["refused", "cancelled"])
def test_what_ended_is_not_held(view: LinkView, state: str) -> None:
    take(view, row())
    view.know(attempt(), 0.0)
    view.know(attempt(state=state), 0.0)
    assert held(view) == 0


def test_a_new_epoch_drops_what_was_counted_and_counts_anew(view: LinkView) -> None:
    take(view, row(feed_head=90))
    view.know(attempt("old", "running", 100), 0.0)
    view.know(attempt("open"), 0.0)
    take(view, row(epoch="e2", feed_head=3))
    assert (east(view).version, held(view)) == ((1, 3), 1)
    view.know(attempt("open", "running", 4), 0.0)
    assert held(view) == 1, "the summary does not count it yet"
    take(view, row(epoch="e2", feed_head=4, generation=2))
    assert held(view) == 0


def test_a_seq_of_an_older_feed_holds_nothing_for_ever(view: LinkView) -> None:
    take(view, row())
    view.know(attempt(state="running", seq=10**6), 10.0)
    take(view, row(generation=2), now=10.0 + OLDEST)
    assert held(view) == 1
    take(view, row(generation=3), now=11.0 + OLDEST)
    assert held(view) == 0
