"""Passwords: hashed with argon2id, outside the hub, two at a time; guessing is slowed down."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from zones.errors import Invalid, TooLarge, Unauthorized, Unavailable

T = TypeVar("T")
MAX_PASSWORD = 4096
AT_ONCE = 2
MAX_WAITING = 64


class Lane(Protocol):
    """Where blocking C code runs."""

    def __call__(self, job: Callable[[], T], /) -> T:
        """Run `job` and return what it returns, or raise what it raises."""


class Passwords:
    """Hash and verify. At most `AT_ONCE` run and `MAX_WAITING` wait; more get `Unavailable`.

    The cost is OWASP's first choice for argon2id with little memory: 19 MiB, two passes.
    """

    def __init__(self, lane: Lane, *, patience: float = 20.0) -> None:
        self._lane = lane
        self._patience = patience
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
        self._running = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + MAX_WAITING)
        self._decoy = self._hasher.hash("no user has this hash")

    def hash(self, password: str) -> str:
        """What is stored for a password. Raises `Invalid` for an empty one, `TooLarge`."""
        if not password:
            raise Invalid("The password must not be empty.", code="empty_password")
        _check_length(password)
        with self._turn():
            return self._lane(lambda: self._hasher.hash(password))

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` is the one of `stored`; as slow when nothing is stored (None)."""
        _check_length(password)
        with self._turn():
            matches = self._lane(lambda: self._matches(password, stored or self._decoy))
        return matches and stored is not None

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("Too many log-ins at once.", code="too_many_logins", retry_after=2)
        try:
            if not self._running.acquire(timeout=self._patience):
                raise Unavailable("Too many log-ins at once.", code="too_many_logins", retry_after=5)
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._places.release()


def _check_length(password: str) -> None:
    if len(password) > MAX_PASSWORD:
        raise TooLarge(f"A password has at most {MAX_PASSWORD} characters.", code="long_password")


class Guesses:
    """Refuse to check more than `limit` wrong passwords per `window` seconds for one (address, name).

    Counted per address as well, so that a stranger's guesses do not lock a user out.
    """

    def __init__(self, *, limit: int = 10, window: float = 60.0, remembered: int = 10000,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window = window
        self._remembered = remembered
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, who: tuple[str, str]) -> None:
        """Raises `Unauthorized` while there were too many wrong guesses."""
        with self._lock:
            times = self._wrong.get(who)
            while times and times[0] <= self._clock() - self._window:
                times.popleft()
            if times is not None and len(times) >= self._limit:
                raise Unauthorized("Too many failed log-ins; wait a minute.", code="too_many_failures")

    def wrong(self, who: tuple[str, str]) -> None:
        """Note one wrong guess."""
        with self._lock:
            self._wrong.setdefault(who, deque(maxlen=self._limit)).append(self._clock())
            self._wrong.move_to_end(who)
            while len(self._wrong) > self._remembered:
                self._wrong.popitem(last=False)
