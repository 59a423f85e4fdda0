"""Tokens prove themselves, until somebody says no."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from zones import sealing
from zones.db.engine import Database
from zones.db.identity import IdentityStore
from zones.errors import Unauthorized, Unavailable
from zones.identity.keys import KeyRing
from zones.identity.tokens import CACHED, MAX_TOKEN, Token, Tokens, audit_id, keys_of


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, sqlite_database: Database, clock: Clock) -> Callable[[], Tokens]:
    """One more worker of the same zone."""
    return lambda: Tokens(KeyRing(tmp_path / "keys"), IdentityStore(sqlite_database), ttl=60, clock=clock)


def _token(clock: Clock, **changes: object) -> Token:
    given: dict[str, object] = {
        "user_id": "u", "user_name": "Ännchen", "project_id": "p", "project_name": "blue",
        "roles": ("member", "reader"), "methods": ("password",), "issued": int(clock.now),
        "expires": int(clock.now) + 60, "audit_ids": (audit_id(),), **changes}
    return Token(**given)  # type: ignore[arg-type]


def test_any_worker_reads_what_any_worker_sealed(make: Callable[[], Tokens], clock: Clock) -> None:
    token = _token(clock)
    text = make().seal(token)
    other = make()
    for _ in range(2):
        assert other.check(text) == token
    caller = other.caller(text)
    assert (caller.user_id, caller.project_id, caller.user_name) == ("u", "p", "Ännchen")
    assert caller.roles == {"member", "reader"}


def test_a_token_expires(make: Callable[[], Tokens], clock: Clock) -> None:
    tokens = make()
    text = tokens.seal(_token(clock))
    clock.now += 59
    tokens.check(text)
    clock.now += 1
    with pytest.raises(Unauthorized):
        tokens.check(text)


@pytest.mark.parametrize("text", ["", "x", "é" * 30, "\ud800", "gAAAAA" + "A" * 100, "x" * (MAX_TOKEN + 1)])
def test_nonsense_is_refused(make: Callable[[], Tokens], text: str) -> None:
    with pytest.raises(Unauthorized):
        make().check(text)


def test_one_changed_character_is_refused(make: Callable[[], Tokens], clock: Clock) -> None:
    tokens = make()
    text = tokens.seal(_token(clock))
    for place in (0, 20, len(text) // 2, len(text) - 4):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1:]
        with pytest.raises(Unauthorized):
            tokens.check(changed)


def test_something_else_sealed_with_our_key_is_no_token(make: Callable[[], Tokens], tmp_path: Path) -> None:
    text = KeyRing(tmp_path / "keys").seal(b"\x91\x01")
    with pytest.raises(Unauthorized):
        make().check(text)


@pytest.mark.parametrize("place", range(4))
def test_each_key_voids_it_here_at_once_and_elsewhere_after_a_refresh(
        make: Callable[[], Tokens], clock: Clock, place: int) -> None:
    here, there = make(), make()
    token = _token(clock, audit_ids=(audit_id(), audit_id()), app_credential="c")
    text = here.seal(token)
    there.check(text)
    here.revoke_key(keys_of(token)[place])
    with pytest.raises(Unauthorized):
        here.check(text)
    there.refresh()
    with pytest.raises(Unauthorized):
        there.check(text)


def test_a_worker_that_starts_knows_what_was_revoked(make: Callable[[], Tokens], clock: Clock) -> None:
    tokens = make()
    token = _token(clock)
    text = tokens.seal(token)
    tokens.revoke(token)
    with pytest.raises(Unauthorized):
        make().check(text)


def test_a_revoked_token_takes_those_that_were_made_from_it(
        make: Callable[[], Tokens], clock: Clock) -> None:
    tokens = make()
    parent = _token(clock)
    child = _token(clock, audit_ids=(audit_id(), parent.audit_ids[0]))
    sibling = _token(clock, audit_ids=(audit_id(), parent.audit_ids[0]))
    texts = {name: tokens.seal(token)
             for name, token in (("parent", parent), ("child", child), ("sibling", sibling))}
    tokens.revoke(child)
    with pytest.raises(Unauthorized):
        tokens.check(texts["child"])
    tokens.check(texts["parent"])
    tokens.check(texts["sibling"])
    tokens.revoke(parent)
    with pytest.raises(Unauthorized):
        tokens.check(texts["sibling"])


def test_rotated_keys_reach_every_worker_and_old_tokens_stay_good(
        make: Callable[[], Tokens], clock: Clock, tmp_path: Path) -> None:
    tokens = make()
    old = tokens.seal(_token(clock))
    sealing.rotate(tmp_path / "keys")
    new = make().seal(_token(clock))
    tokens.check(new)
    make().check(old)
    for _ in range(3):
        sealing.rotate(tmp_path / "keys")
    with pytest.raises(Unauthorized):
        make().check(old)


def test_the_key_file_is_for_its_owner_only(make: Callable[[], Tokens], tmp_path: Path) -> None:
    make()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_what_is_remembered_is_bounded(make: Callable[[], Tokens], clock: Clock,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zones.identity.tokens.CACHED", 3)
    tokens = make()
    texts = [tokens.seal(_token(clock)) for _ in range(5)]
    for text in texts * 2:
        tokens.check(text)
    assert len(tokens._known) == 3 < CACHED


class _Away(IdentityStore):
    """A database that goes away once, after the start."""

    asked = 0

    def revocations(self, since: float) -> tuple[set[str], dict[str, int]]:
        self.asked += 1
        if self.asked == 2:
            raise Unavailable("away")
        return super().revocations(since)


def test_the_watch_outlives_a_database_that_is_away(
        tmp_path: Path, sqlite_database: Database, clock: Clock) -> None:
    store = _Away(sqlite_database)
    tokens = Tokens(KeyRing(tmp_path / "keys"), store, ttl=60, clock=clock)
    token = _token(clock)
    text = tokens.seal(token)
    tokens.refresh()
    IdentityStore(sqlite_database).revoke(token.audit_ids[0], 4e9)
    stop = threading.Event()
    watch = threading.Thread(target=tokens.watch, args=(stop, 0.01))
    watch.start()
    try:
        ended = threading.Event()
        for _ in range(1000):
            try:
                tokens.check(text)
            except Unauthorized:
                break
            ended.wait(0.01)
        else:
            pytest.fail("the revocation did not arrive")
    finally:
        stop.set()
        watch.join(5)
    assert not watch.is_alive()
