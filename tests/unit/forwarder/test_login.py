"""The token of a link: one login at a time, renewed before it ends, a failure remembered for a moment."""

import threading
from collections.abc import Iterator

import pytest

from tests.neighbour_double import PASSWORD, QUICK, Double, Request, answer, hang
from zones.config import Links
from zones.errors import Unavailable
from zones.forwarder.login import Login


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[_Clock]:
    yield _Clock()


def test_a_token_is_renewed_before_it_ends(west: Double, clock: _Clock) -> None:
    west.life = 600
    login = Login(west.link(), QUICK, clock=clock)
    assert login.token() == "token-1"
    clock.now += 539
    assert login.token() == "token-1"
    clock.now += 2
    assert login.token() == "token-2"


def test_a_token_of_unknown_life_is_used_for_a_while(west: Double, clock: _Clock) -> None:
    west.on_login = lambda request: answer(201, b"<html>", X_Subject_Token=f"t{len(west.logins)}")
    login = Login(west.link(), QUICK, clock=clock)
    assert [login.token(), login.token()] == ["t1", "t1"]
    clock.now += 301
    assert login.token() == "t2"


def test_renewing_one_that_was_renewed_already_is_no_login(west: Double) -> None:
    login = Login(west.link(), QUICK)
    first = login.token()
    assert [login.renew(first), login.renew(first)] == ["token-2", "token-2"]


def test_many_threads_are_one_login(west: Double) -> None:
    login, got = Login(west.link(), QUICK), []
    threads = [threading.Thread(target=lambda: got.append(login.token())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["token-1"] * 16


def test_a_refused_user_is_said_so_and_not_asked_for_again_at_once(west: Double, clock: _Clock) -> None:
    login = Login(west.link(password="wrong-secret"), QUICK, clock=clock)
    for _ in range(5):
        with pytest.raises(Unavailable, match="user, password, project or domain") as raised:
            login.token()
        assert raised.value.code == "link_login"
        assert "wrong-secret" not in str(raised.value) + repr(raised.value.__cause__)
    assert len(west.logins) == 1
    clock.now += 1
    with pytest.raises(Unavailable):
        login.token()
    assert len(west.logins) == 2


@pytest.mark.parametrize("said", [
    answer(300, {"versions": {}}), answer(404), answer(500), answer(503), answer(201, {"token": {}}),
    answer(201, {}, X_Subject_Token="bad\ttoken")])
def test_what_is_no_identity_service(said: bytes, west: Double) -> None:
    west.on_login = lambda request: said
    with pytest.raises(Unavailable) as raised:
        Login(west.link(), QUICK).token()
    assert raised.value.code == "link_login"


def test_an_identity_service_that_hangs(west: Double) -> None:
    west.on_login = hang
    with pytest.raises(Unavailable):
        Login(west.link(), Links(deadline=0.2, connect=0.2)).token()


@pytest.mark.parametrize(("suffix", "path"), [
    ("/identity/v3", "/identity/v3/auth/tokens"), ("/identity/v3/", "/identity/v3/auth/tokens"),
    ("", "/v3/auth/tokens"), ("/identity", "/identity/v3/auth/tokens")])
def test_auth_urls_with_and_without_version(suffix: str, path: str, west: Double) -> None:
    Login(west.link(auth_url=west.url + suffix), QUICK).token()
    assert west.logins[0].path == path


def test_who_logs_in(west: Double) -> None:
    def scope(request: Request) -> object:
        return request.json()["auth"]
    Login(west.link(domain="Users", project="f" * 32), QUICK).token()
    assert scope(west.logins[0]) == {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "top", "password": PASSWORD, "domain": {"name": "Users"}}}},
        "scope": {"project": {"id": "f" * 32}}}


def test_a_link_does_not_show_its_password(west: Double) -> None:
    assert PASSWORD not in repr(west.link())
