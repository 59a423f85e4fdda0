"""Who gets which token."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from zones.db.engine import Database, here
from zones.db.identity import IdentityStore
from zones.errors import Invalid, Unauthorized, ZonesError
from zones.identity.bootstrap import ROLES, EmbeddedIdentity, bootstrap, embedded_identity
from zones.identity.login import Auth
from zones.identity.tokens import Token


@pytest.fixture
def identity(tmp_path: Path, sqlite_database: Database) -> Iterator[EmbeddedIdentity]:
    built = embedded_identity(IdentityStore(sqlite_database), tmp_path, here, token_ttl=600)
    bootstrap(built.directory, "secret")
    built.directory.ensure_user("ann", "ann", "blue", ["member", "reader"])
    yield built


def _log_in(identity: EmbeddedIdentity, proofs: dict[str, object], scope: object = None) -> tuple[str, Token]:
    body = {"identity": {"methods": list(proofs), **proofs}, "scope": scope}
    return identity.log_in.log_in(msgspec.convert(body, Auth), "10.0.0.1")


def _ann(password: str = "ann") -> dict[str, object]:
    return {"password": {"user": {"name": "ann", "domain": {"id": "default"}, "password": password}}}


def _project(name: str) -> dict[str, object]:
    return {"project": {"name": name, "domain": {"name": "Default"}}}


def test_bootstrap_tells_the_password_once(tmp_path: Path, sqlite_database: Database) -> None:
    directory = embedded_identity(IdentityStore(sqlite_database), tmp_path, here, token_ttl=60).directory
    password = bootstrap(directory)
    assert password is not None and len(password) >= 20
    assert bootstrap(directory) is None
    assert bootstrap(directory, "another") is None
    assert {row["name"] for row in directory.rows("role")} == set(ROLES)
    assert {row["role_name"] for row in directory.assignments({})} == {"admin", "member", "reader"}


def test_ensure_user_ends_in_what_was_asked(identity: EmbeddedIdentity) -> None:
    before = _log_in(identity, _ann())[0]
    again = identity.directory.ensure_user("ann", "ann", "blue", ["member"])
    identity.tokens.check(before)
    changed = identity.directory.ensure_user("ann", "new", "green", ["admin"])
    assert again["id"] == changed["id"]
    with pytest.raises(Unauthorized):
        identity.tokens.check(before)
    assert _log_in(identity, _ann("new"), _project("green"))[1].roles == ("admin",)


def test_scopes(identity: EmbeddedIdentity) -> None:
    assert _log_in(identity, _ann(), _project("blue"))[1].roles == ("member", "reader")
    assert _log_in(identity, _ann())[1].project_name == "blue"
    assert _log_in(identity, _ann(), "unscoped")[1].project_id == ""
    assert _log_in(identity, _ann(), {"unscoped": {}})[1].roles == ()
    for refused in (_project("admin"), _project("nowhere"), {"system": {"all": True}},
                    {"domain": {"id": "default"}}):
        with pytest.raises(Unauthorized):
            _log_in(identity, _ann(), refused)
    for nonsense in ("everything", {}):
        with pytest.raises(Invalid):
            _log_in(identity, _ann(), nonsense)


def test_another_domain_has_nobody(identity: EmbeddedIdentity) -> None:
    with pytest.raises(Unauthorized):
        _log_in(identity, {"password": {"user": {
            "name": "ann", "domain": {"name": "other"}, "password": "ann"}}})


@pytest.mark.parametrize("proofs", [
    {"password": None}, {"token": None}, {"application_credential": None}, {}])
def test_a_method_without_its_proof_is_invalid(
        identity: EmbeddedIdentity, proofs: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        _log_in(identity, proofs)


def test_a_new_scope_keeps_the_end(identity: EmbeddedIdentity) -> None:
    text, first = _log_in(identity, _ann(), "unscoped")
    second_text, second = _log_in(identity, {"token": {"id": text}}, _project("blue"))
    third = _log_in(identity, {"token": {"id": second_text}}, "unscoped")[1]
    assert second.expires == third.expires == first.expires
    assert second.audit_ids[1] == third.audit_ids[1] == first.audit_ids[0]
    assert second.methods == ("password", "token")
    assert second.roles == ("member", "reader")


def test_two_methods_must_agree(identity: EmbeddedIdentity) -> None:
    admin = {"password": {"user": {"name": "admin", "password": "secret"}}}
    text = _log_in(identity, admin)[0]
    with pytest.raises(Unauthorized):
        _log_in(identity, {**_ann(), "token": {"id": text}})
    assert _log_in(identity, {**admin, "token": {"id": text}})[1].user_name == "admin"


def test_who_is_disabled_is_out(identity: EmbeddedIdentity) -> None:
    text, token = _log_in(identity, _ann())
    identity.directory.change_user(token.user_id, {"enabled": False})
    with pytest.raises(Unauthorized):
        identity.tokens.check(text)
    with pytest.raises(Unauthorized):
        _log_in(identity, _ann())


@pytest.mark.parametrize("loss", ["project_disabled", "project", "role", "withdrawn", "user"])
def test_every_loss_ends_the_token(identity: EmbeddedIdentity, loss: str) -> None:
    text, token = _log_in(identity, _ann())
    directory = identity.directory
    role = directory.rows("role", {"name": "reader"})[0]["id"]
    {
        "project_disabled": lambda: directory.change_project(token.project_id, {"enabled": False}),
        "project": lambda: directory.remove_project(token.project_id),
        "role": lambda: directory.remove_role(role),
        "withdrawn": lambda: directory.withdraw(token.user_id, token.project_id, role),
        "user": lambda: directory.remove_user(token.user_id),
    }[loss]()
    with pytest.raises(Unauthorized):
        identity.tokens.check(text)


def test_wrong_passwords_are_counted_and_then_not_even_checked(identity: EmbeddedIdentity) -> None:
    codes = []
    for _ in range(12):
        with pytest.raises(ZonesError) as caught:
            _log_in(identity, _ann("wrong"))
        codes.append(caught.value.code)
    assert codes == ["bad_credentials"] * 10 + ["too_many_failures"] * 2


class TestApplicationCredentials:
    """A secret for a program: one project, some of the roles."""

    def _make(self, identity: EmbeddedIdentity, **changes: object) -> tuple[dict[str, object], Token]:
        token = _log_in(identity, _ann())[1]
        reader = identity.directory.rows("role", {"name": "reader"})[0]["id"]
        given: dict[str, object] = {"secret": None, "roles": [reader], "expires_at": None,
                                    "unrestricted": False, "description": None, **changes}
        row, secret = identity.directory.create_credential(token, "robot", **given)  # type: ignore[arg-type]
        return {"application_credential": {"id": row["id"], "secret": secret}}, token

    def test_it_is_its_project_and_its_roles(self, identity: EmbeddedIdentity) -> None:
        proof, owner = self._make(identity)
        text, token = _log_in(identity, proof)
        assert (token.project_id, token.roles) == (owner.project_id, ("reader",))
        again = _log_in(identity, {"token": {"id": text}}, _project("blue"))[1]
        assert (again.roles, again.app_credential, again.restricted) == (
            ("reader",), token.app_credential, True)
        for elsewhere in (_project("admin"), _project("nowhere")):
            with pytest.raises(Unauthorized):
                _log_in(identity, {"token": {"id": text}}, elsewhere)
        with pytest.raises(Unauthorized):
            _log_in(identity, proof, _project("blue"))

    def test_by_name_and_user(self, identity: EmbeddedIdentity) -> None:
        _, owner = self._make(identity, secret="own choice")
        named = {"application_credential": {"name": "robot", "user": {"id": owner.user_id},
                                            "secret": "own choice"}}
        assert _log_in(identity, named)[1].user_name == "ann"
        with pytest.raises(Unauthorized):
            _log_in(identity, {"application_credential": {"name": "robot", "secret": "own choice"}})

    def test_a_wrong_secret(self, identity: EmbeddedIdentity) -> None:
        proof, _ = self._make(identity)
        with pytest.raises(Unauthorized):
            _log_in(identity, {"application_credential": {**proof["application_credential"],  # type: ignore[dict-item]
                                                          "secret": "wrong"}})

    def test_it_ends_with_its_role_and_with_itself(self, identity: EmbeddedIdentity) -> None:
        proof, owner = self._make(identity)
        text, token = _log_in(identity, proof)
        identity.directory.remove_credential(owner, owner.user_id, token.app_credential)
        with pytest.raises(Unauthorized):
            identity.tokens.check(text)
        proof, owner = self._make(identity)
        reader = identity.directory.rows("role", {"name": "reader"})[0]["id"]
        identity.directory.withdraw(owner.user_id, owner.project_id, reader)
        with pytest.raises(Unauthorized):
            _log_in(identity, proof)

    def test_an_expired_one(self, identity: EmbeddedIdentity) -> None:
        with pytest.raises(Invalid):
            self._make(identity, expires_at=1.0)
