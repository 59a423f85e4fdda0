"""A breaker: open when a connection fails, twice as long each time, one caller first."""

from hypothesis import given
from hypothesis import strategies as st

from zones.forwarder.breaker import LONGEST, Breaker


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _made(first: float = 2.0) -> tuple[Breaker, _Clock]:
    clock = _Clock()
    return Breaker(first, clock=clock), clock


def _enter(breaker: Breaker) -> int:
    turn = breaker.enter()
    assert turn is not None
    return turn


def test_it_opens_doubles_and_closes() -> None:
    breaker, clock = _made()
    for pause in (2, 4, 8, 16, 30, 30):
        breaker.failed(_enter(breaker))
        assert round(breaker.left(), 6) == pause
        clock.now += pause - 0.1
        assert breaker.enter() is None
        clock.now += 0.2
    _enter(breaker)
    breaker.succeeded()
    assert (breaker.left(), breaker.enter() is None) == (0.0, False)
    breaker.failed(_enter(breaker))
    assert breaker.left() == 2


def test_one_is_let_through_and_one_that_never_says_blocks_nobody() -> None:
    breaker, clock = _made()
    breaker.failed(_enter(breaker))
    clock.now += 2
    _enter(breaker)
    assert breaker.enter() is None
    clock.now += 2
    _enter(breaker)


def test_many_that_fail_together_count_once() -> None:
    breaker, _ = _made()
    turns = [_enter(breaker) for _ in range(100)]
    for turn in turns:
        breaker.failed(turn)
    assert breaker.left() == 2


@given(st.lists(st.one_of(st.floats(0, 40), st.sampled_from(["ok", "bad", "enter"])), max_size=60))
def test_somebody_is_always_let_through_in_the_end(steps: list[float | str]) -> None:
    breaker, clock = _made()
    turn = 0
    for step in steps:
        if step == "ok":
            breaker.succeeded()
        elif step == "bad":
            breaker.failed(turn)
        elif step == "enter":
            turn = breaker.enter() or turn
        else:
            clock.now += float(step)
        assert 0 <= breaker.left() <= LONGEST
    clock.now += LONGEST
    assert breaker.enter() is not None
