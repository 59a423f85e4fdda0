"""Logging in: from what a client shows (password, token, application credential) to a token.

The request types are those of `POST /v3/auth/tokens`. Everything that fails is the same 401, so that
an answer does not tell which user, project or credential there is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from zones.errors import Invalid, Unauthorized
from zones.identity.passwords import Guesses, Passwords
from zones.identity.store import Row, Store
from zones.identity.tokens import Token, Tokens, audit_id

DOMAIN = {"id": "default", "name": "Default"}
"""The one domain of an embedded identity."""


class Ref(msgspec.Struct, frozen=True):
    """A user, project or domain, by id or by name within a domain."""

    id: str | None = None
    name: str | None = None
    domain: "Ref | None" = None


class UserProof(Ref, frozen=True):
    """A user and its password."""

    password: str = ""


class ByPassword(msgspec.Struct, frozen=True):
    """`identity.password`."""

    user: UserProof


class ByToken(msgspec.Struct, frozen=True):
    """`identity.token`."""

    id: str


class ByAppCredential(msgspec.Struct, frozen=True):
    """`identity.application_credential`: by id, or by name and user."""

    secret: str
    id: str | None = None
    name: str | None = None
    user: Ref | None = None


class Proofs(msgspec.Struct, frozen=True):
    """`auth.identity`."""

    methods: list[str]
    password: ByPassword | None = None
    token: ByToken | None = None
    application_credential: ByAppCredential | None = None


class Scope(msgspec.Struct, frozen=True):
    """`auth.scope`. Only projects can be a scope here; `unscoped` asks for no scope at all."""

    project: Ref | None = None
    domain: Ref | None = None
    system: dict[str, Any] | None = None
    unscoped: dict[str, Any] | None = None


class Auth(msgspec.Struct, frozen=True):
    """`auth`."""

    identity: Proofs
    scope: Scope | str | None = None


@dataclass(frozen=True)
class _Proved:
    """Who it is, and what limits the token that may be issued."""

    user: Row
    parent: Token | None = None
    credential: Row | None = None


class LogIn:
    """Turns proofs into tokens."""

    def __init__(self, store: Store, tokens: Tokens, passwords: Passwords, guesses: Guesses,
                 clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._tokens = tokens
        self._passwords = passwords
        self._guesses = guesses
        self._clock = clock

    def log_in(self, auth: Auth, address: str) -> tuple[str, Token]:
        """The sealed token and what it says. Raises `Unauthorized`, `Invalid`, `Unavailable`."""
        methods = list(dict.fromkeys(auth.identity.methods))
        if not methods or len(methods) > 3:
            raise Invalid("auth.identity.methods must name a method.", code="bad_auth")
        proved = [self._prove(method, auth.identity, address) for method in methods]
        if len({one.user["id"] for one in proved}) != 1:
            raise _refused()
        parent = next((one.parent for one in proved if one.parent), None)
        credential = next((one.credential for one in proved if one.credential), None)
        token = self._token(methods, _Proved(proved[0].user, parent, credential), auth.scope)
        return self._tokens.seal(token), token

    def _prove(self, method: str, proofs: Proofs, address: str) -> _Proved:
        if method == "password" and proofs.password:
            return self._by_password(proofs.password.user, address)
        if method == "token" and proofs.token:
            return self._by_token(proofs.token.id)
        if method == "application_credential" and proofs.application_credential:
            return self._by_credential(proofs.application_credential, address)
        if method in ("password", "token", "application_credential"):
            raise Invalid(f"auth.identity.{method} is missing.", code="bad_auth")
        raise Unauthorized(f"Attempted to authenticate with an unsupported method: {method[:64]}.",
                           code="bad_method")

    def _by_password(self, proof: UserProof, address: str) -> _Proved:
        user = self._find("user", proof)
        return _Proved(self.verify(user, proof.password, (address, (proof.id or proof.name or "").lower())))

    def verify(self, user: Row | None, password: str, guesser: tuple[str, str]) -> Row:
        """The user, if the password is its own and it is enabled. Raises `Unauthorized`."""
        self._guesses.check(guesser)
        matches = self._passwords.verify(password, user["password_hash"] if user else None)
        if user is None or not matches or not user["enabled"]:
            self._guesses.wrong(guesser)
            raise _refused()
        return user

    def _by_token(self, text: str) -> _Proved:
        token = self._tokens.check(text)
        return _Proved(self._enabled_user(token.user_id), parent=token)

    def _by_credential(self, proof: ByAppCredential, address: str) -> _Proved:
        guesser = (address, f"app:{proof.id or proof.name}")
        self._guesses.check(guesser)
        credential = self._credential(proof)
        matches = self._passwords.verify(proof.secret, credential["secret_hash"] if credential else None)
        if credential is None or not matches:
            self._guesses.wrong(guesser)
            raise _refused()
        expires = credential["expires_at"]
        if expires is not None and expires <= self._clock():
            raise _refused()
        return _Proved(self._enabled_user(credential["user_id"]), credential=credential)

    def _credential(self, proof: ByAppCredential) -> Row | None:
        if proof.id is not None:
            return _one(self._store.rows("app_credential", {"id": proof.id}))
        user = self._find("user", proof.user) if proof.user else None
        if proof.name is None or user is None:
            return None
        return _one(self._store.rows("app_credential", {"user_id": user["id"], "name": proof.name}))

    def _enabled_user(self, user_id: str) -> Row:
        user = _one(self._store.rows("user", {"id": user_id}))
        if user is None or not user["enabled"]:
            raise _refused()
        return user

    def _find(self, noun: str, ref: Ref) -> Row | None:
        if ref.id is not None:
            return _one(self._store.rows(noun, {"id": ref.id}))
        if ref.name is None:
            raise Invalid(f"The {noun} needs an id or a name.", code="bad_auth")
        return _one(self._store.rows(noun, {"name": ref.name})) if _is_default(ref.domain) else None

    def _token(self, methods: list[str], proved: _Proved, scope: Scope | str | None) -> Token:
        project, roles = self._scope(proved, scope)
        user, parent, credential = proved.user, proved.parent, proved.credential
        # Whole seconds: a user whose tokens were just ended gets one that counts as newer.
        issued = max(int(self._clock()), user["tokens_from"])
        if parent:
            methods = list(dict.fromkeys((*parent.methods, *methods)))
        return Token(
            user_id=user["id"], user_name=user["name"], roles=tuple(roles), methods=tuple(methods),
            project_id=project["id"] if project else "",
            project_name=project["name"] if project else "",
            issued=issued, expires=parent.expires if parent else issued + self._tokens.ttl,
            audit_ids=(audit_id(), parent.audit_ids[-1]) if parent else (audit_id(),),
            app_credential=credential["id"] if credential else parent.app_credential if parent else "",
            restricted=not credential["unrestricted"] if credential
            else parent.restricted if parent else False)

    def _scope(self, proved: _Proved, scope: Scope | str | None) -> tuple[Row | None, list[str]]:
        if proved.credential is not None:
            if scope is not None:
                raise Unauthorized("Application credentials cannot request a scope.", code="bad_scope")
            only = frozenset(proved.credential["roles"])
            return self._project(proved.user, Ref(id=proved.credential["project_id"]), only)
        if proved.parent is not None and proved.parent.app_credential:
            return self._scope_of_credential_token(proved.parent, scope)
        if isinstance(scope, str):
            if scope != "unscoped":
                raise Invalid("auth.scope must be an object or \"unscoped\".", code="bad_scope")
            return None, []
        if scope is None:
            return self._default_scope(proved.user, proved.parent)
        if scope.project is not None:
            return self._project(proved.user, scope.project)
        if scope.unscoped is not None:
            return None, []
        if scope.domain is None and scope.system is None:
            raise Invalid("auth.scope names nothing.", code="bad_scope")
        raise Unauthorized("You have no role on that scope.", code="no_role")

    def _scope_of_credential_token(
            self, parent: Token, scope: Scope | str | None) -> tuple[Row, list[str]]:
        """A credential's token stays what it is: it may only be renewed for its own project."""
        asked = scope.project if isinstance(scope, Scope) else None
        project = self._find("project", asked or Ref(id=parent.project_id))
        if project is None or project["id"] != parent.project_id or not project["enabled"]:
            raise _refused()
        return project, list(parent.roles)

    def _default_scope(self, user: Row, parent: Token | None) -> tuple[Row | None, list[str]]:
        default = user["default_project_id"]
        if parent is not None or not default:
            return None, []
        try:
            return self._project(user, Ref(id=default))
        except Unauthorized:
            return None, []  # as in Keystone: a default that can't be had gives an unscoped token

    def _project(self, user: Row, ref: Ref,
                 only: frozenset[str] | None = None) -> tuple[Row, list[str]]:
        project = self._find("project", ref)
        if project is None or not project["enabled"]:
            raise _refused()
        given = self._store.assignments({"user_id": user["id"], "project_id": project["id"]})
        roles = sorted(row["role_name"] for row in given if only is None or row["role_id"] in only)
        if not roles:
            raise _refused()
        return project, roles


def _is_default(domain: Ref | None) -> bool:
    if domain is None or (domain.id is None and domain.name is None):
        return True
    if domain.id is not None:
        return domain.id == DOMAIN["id"]
    return (domain.name or "").lower() == DOMAIN["name"].lower()


def _one(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def _refused() -> Unauthorized:
    return Unauthorized("The request you have made requires authentication.", code="bad_credentials")
