"""A crew: started when there is work, gone when there is none, never one call forgotten."""

import threading
import time
from collections import deque

import pytest

from tests.neighbour_double import until
from zones.forwarder.crew import Crew


def test_no_call_is_lost_whatever_the_timing() -> None:
    todo: deque[int] = deque()
    done: list[int] = []

    def turn() -> bool:
        try:
            done.append(todo.popleft())
        except IndexError:
            return False
        return True
    crew = Crew("test", 3, turn, idle=0.001)
    for number in range(2000):
        todo.append(number)
        crew.call()
        if number % 100 == 0:
            until(lambda number=number: len(done) == number + 1)
    until(lambda: len(done) == 2000)
    assert sorted(done) == list(range(2000))
    until(lambda: crew.size == 0)
    assert crew.close(5)


def test_a_turn_that_fails_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    turns = iter([RuntimeError("a bug"), True, False])
    ended = threading.Event()

    def turn() -> bool:
        said = next(turns, None)
        if isinstance(said, RuntimeError):
            raise said
        if said is None:
            ended.set()
        return bool(said)
    crew = Crew("test", 1, turn, idle=60)
    deadline = time.monotonic() + 20
    while not ended.is_set():
        crew.call()
        assert time.monotonic() < deadline
    assert "a bug" in caplog.text
    assert crew.size == 1
    assert crew.close(5)
    crew.call()
    assert crew.size == 0
