"""Passwords are hashed a few at a time, and guessing is slowed down."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from zones.db.engine import here
from zones.errors import Invalid, TooLarge, Unauthorized, Unavailable
from zones.identity import passwords
from zones.identity.passwords import Guesses, Passwords

T = TypeVar("T")


@pytest.fixture(scope="module")
def hashing() -> Passwords:
    return Passwords(here)


def test_only_the_password_itself_matches(hashing: Passwords) -> None:
    stored = hashing.hash("correct horse ✓")
    assert stored != hashing.hash("correct horse ✓")
    assert hashing.verify("correct horse ✓", stored)
    for wrong in ("", "correct horse", "correct horse ✓ "):
        assert not hashing.verify(wrong, stored)


def test_nothing_matches_what_is_not_there_or_no_hash(hashing: Passwords) -> None:
    assert not hashing.verify("no user has this hash", None)
    assert not hashing.verify("x", "not a hash")


def test_bounds(hashing: Passwords) -> None:
    with pytest.raises(Invalid):
        hashing.hash("")
    for call in (hashing.hash, lambda password: hashing.verify(password, None)):
        with pytest.raises(TooLarge):
            call("x" * (passwords.MAX_PASSWORD + 1))


def test_two_at_a_time_and_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)
    running, most, lock, go = 0, 0, threading.Lock(), threading.Event()
    full = threading.Event()

    def lane(job: Callable[[], T]) -> T:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(10)
        go.wait(10)
        try:
            return job()
        finally:
            with lock:
                running -= 1

    hashing = Passwords(lane)
    refused: list[Unavailable] = []
    done: list[bool] = []

    def one() -> None:
        try:
            done.append(hashing.verify("x", None))
        except Unavailable as error:
            refused.append(error)
            full.set()

    threads = [threading.Thread(target=one) for _ in range(9)]
    for thread in threads:
        thread.start()
    assert full.wait(10)
    go.set()
    for thread in threads:
        thread.join(20)
    assert most == passwords.AT_ONCE
    assert (len(done), len(refused)) == (5, 4)


def test_too_many_wrong_guesses_are_refused_for_a_while() -> None:
    now = [0.0]
    guesses = Guesses(limit=3, window=60, clock=lambda: now[0])
    for _ in range(3):
        guesses.check(("a", "ann"))
        guesses.wrong(("a", "ann"))
    with pytest.raises(Unauthorized):
        guesses.check(("a", "ann"))
    guesses.check(("b", "ann"))
    guesses.check(("a", "bob"))
    now[0] = 60.0
    guesses.check(("a", "ann"))


def test_guesses_are_forgotten_rather_than_fill_the_memory() -> None:
    guesses = Guesses(limit=1, remembered=5)
    for number in range(20):
        guesses.wrong(("a", str(number)))
    guesses.check(("a", "0"))
    with pytest.raises(Unauthorized):
        guesses.check(("a", "19"))
