"""A no holds until the host's newer report, and no longer than two seconds."""

from tests.hosts import report, table_of
from zones.capabilities.room import Capacity
from zones.scheduler.memory import SHAPES_KEPT, Refusals

SMALL, BIG = Capacity(1, 1, 1), Capacity(2, 2, 2)


def test_a_refusal_is_for_its_shape_and_its_time() -> None:
    table, refusals = table_of(report("h1", seq=5), report("h2", seq=5)), Refusals()
    refusals.remember("h1", SMALL, (1, 5), 10.0)
    refusals.remember("h2", SMALL, (1, 5), 11.0)
    assert refusals.lately(SMALL, table, 10.5) == {"h1", "h2"}
    assert refusals.lately(BIG, table, 10.5) == frozenset()
    assert refusals.lately(SMALL, table, 12.0) == {"h2"}
    assert refusals.lately(SMALL, table, 13.0) == frozenset()


def test_a_newer_report_takes_it_back_and_an_older_one_does_not() -> None:
    table, refusals = table_of(report("h1", seq=4)), Refusals()
    refusals.remember("h1", SMALL, (1, 5), 0.0)
    assert refusals.lately(SMALL, table, 0.1) == {"h1"}
    table.apply(report("h1", seq=5), 0.1)
    assert refusals.lately(SMALL, table, 0.2) == {"h1"}
    table.apply(report("h1", seq=6), 0.2)
    assert refusals.lately(SMALL, table, 0.3) == frozenset()


def test_a_newer_report_without_room_says_no_once_more() -> None:
    table, refusals = table_of(report("h1", seq=5)), Refusals()
    refusals.remember("h1", BIG, (1, 5), 0.0)
    table.apply(report("h1", seq=6, ram_used=report("h1").ram), 0.1)
    assert refusals.lately(BIG, table, 0.2) == {"h1"}
    table.apply(report("h1", seq=7), 0.3)
    assert refusals.lately(BIG, table, 0.4) == frozenset()


def test_who_asks_may_know_what_was_said_since_they_came() -> None:
    refusals = Refusals()
    refusals.remember("h1", SMALL, (1, 1), 1.0)
    refusals.remember("h2", SMALL, (1, 1), 2.0)
    assert refusals.since(SMALL, 1.0) == {"h1", "h2"}
    assert refusals.since(SMALL, 1.5) == {"h2"}
    assert refusals.since(BIG, 0.0) == frozenset()


def test_it_is_bounded() -> None:
    table, refusals = table_of(), Refusals()
    for number in range(SHAPES_KEPT + 1):
        refusals.remember("h1", Capacity(number, 1, 1), (1, 1), 0.0)
    assert refusals.lately(Capacity(0, 1, 1), table, 0.0) == frozenset()
    assert refusals.lately(Capacity(1, 1, 1), table, 0.0) == {"h1"}
