"""Users, projects, roles and credentials: changes to them, and what each change does to tokens.

Whoever loses something (a role, a project, its password, its account) loses its tokens too: a token
carries its roles, so nothing else would take them back before it expires.
"""

import secrets
import time
import uuid
from collections.abc import Callable

from zones.errors import Conflict, Forbidden, Invalid, NotFound
from zones.identity.passwords import Passwords
from zones.identity.store import Row, Store
from zones.identity.tokens import Token, Tokens


class Directory:
    """Reads and changes of the embedded identity. Ids are 32 hexadecimal digits."""

    def __init__(self, store: Store, tokens: Tokens, passwords: Passwords,
                 clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._tokens = tokens
        self._passwords = passwords
        self._clock = clock

    def rows(self, noun: str, where: Row | None = None) -> list[Row]:
        """The rows of a noun, by name."""
        return self._store.rows(noun, where or {})

    def get(self, noun: str, row_id: str) -> Row:
        """One row. Raises `NotFound`."""
        found = self._store.rows(noun, {"id": row_id})
        if not found:
            raise missing(noun, row_id)
        return found[0]

    def assignments(self, where: Row) -> list[Row]:
        """Role assignments with the names of user, project and role."""
        return self._store.assignments(where)

    def projects_of(self, user_id: str) -> list[Row]:
        """The enabled projects on which the user has a role."""
        mine = {row["project_id"] for row in self._store.assignments({"user_id": user_id})}
        return [row for row in self._store.rows("project", {"enabled": True}) if row["id"] in mine]

    # ---------------------------------------------------------------- users

    def create_user(self, name: str, password: str | None, *, enabled: bool = True,
                    default_project_id: str | None = None, email: str | None = None,
                    description: str | None = None) -> Row:
        """A new user; without a password it can't log in. Raises `Conflict`."""
        hashed = self._passwords.hash(password) if password is not None else None
        return self._store.add("user", {
            "id": uuid.uuid4().hex, "name": name, "password_hash": hashed, "enabled": enabled,
            "default_project_id": default_project_id, "email": email, "description": description,
            "tokens_from": 0, "created_at": self._clock()})

    def change_user(self, user_id: str, values: Row) -> Row:
        """Change columns of a user; `password` is hashed. Raises `NotFound`, `Conflict`."""
        self.get("user", user_id)
        columns = {key: value for key, value in values.items() if key != "password"}
        if values.get("password") is not None:
            columns["password_hash"] = self._passwords.hash(values["password"])
        row = self._store.change("user", user_id, columns) if columns else self.get("user", user_id)
        if "password_hash" in columns or columns.get("enabled") is False:
            self._tokens.expel([user_id])
        return row

    def remove_user(self, user_id: str) -> None:
        """Delete a user, its roles and credentials. Raises `NotFound`."""
        self.get("user", user_id)
        self._tokens.revoke_key(f"user:{user_id}")
        self._store.remove("user", user_id)

    # ---------------------------------------------------------------- projects and roles

    def create_project(self, name: str, *, enabled: bool = True, description: str = "") -> Row:
        """A new project. Raises `Conflict`."""
        return self._store.add("project", {
            "id": uuid.uuid4().hex, "name": name, "enabled": enabled, "description": description,
            "created_at": self._clock()})

    def change_project(self, project_id: str, values: Row) -> Row:
        """Change columns of a project. Raises `NotFound`, `Conflict`."""
        row = self._store.change("project", project_id, values) if values else self.get(
            "project", project_id)
        if values.get("enabled") is False:
            self._expel_from({"project_id": project_id})
        return row

    def remove_project(self, project_id: str) -> None:
        """Delete a project with its assignments and credentials. Raises `NotFound`."""
        self.get("project", project_id)
        self._expel_from({"project_id": project_id}, lambda: self._store.remove("project", project_id))

    def create_role(self, name: str) -> Row:
        """A new role. Raises `Conflict`."""
        return self._store.add("role", {"id": uuid.uuid4().hex, "name": name})

    def remove_role(self, role_id: str) -> None:
        """Delete a role and take it from everybody. Raises `NotFound`."""
        self.get("role", role_id)
        self._expel_from({"role_id": role_id}, lambda: self._store.remove("role", role_id))

    def grant(self, user_id: str, project_id: str, role_id: str) -> None:
        """Give a user a role on a project. Raises `NotFound` when one of them is not there."""
        self._check_all(user_id, project_id, role_id)
        self._store.grant(user_id, project_id, role_id)

    def withdraw(self, user_id: str, project_id: str, role_id: str) -> None:
        """Take a role from a user. Raises `NotFound`."""
        self._check_all(user_id, project_id, role_id)
        self._store.withdraw(user_id, project_id, role_id)
        self._tokens.expel([user_id])

    def _check_all(self, user_id: str, project_id: str, role_id: str) -> None:
        for noun, row_id in (("user", user_id), ("project", project_id), ("role", role_id)):
            self.get(noun, row_id)

    def _expel_from(self, where: Row, change: Callable[[], None] = lambda: None) -> None:
        users = sorted({row["user_id"] for row in self._store.assignments(where)})
        change()
        self._tokens.expel(users)

    # ---------------------------------------------------------------- application credentials

    def create_credential(self, token: Token, name: str, *, secret: str | None, roles: list[str] | None,
                          expires_at: float | None, unrestricted: bool,
                          description: str | None) -> tuple[Row, str]:
        """A credential for the token's user and project, and its secret, which is shown only now.

        `roles` are ids and default to the token's own. Raises `Invalid` for one that it has not.
        """
        self.check_may_manage(token)
        if not token.project_id:
            raise Invalid("An application credential needs a token that is scoped to a project.",
                          code="unscoped")
        given = self._store.assignments({"user_id": token.user_id, "project_id": token.project_id})
        own = [row["role_id"] for row in given if row["role_name"] in token.roles]
        if roles is not None and not set(roles) <= set(own):
            raise Invalid("A role of the credential is not one of yours on this project.",
                          code="bad_role")
        if expires_at is not None and expires_at <= self._clock():
            raise Invalid("expires_at is in the past.", code="bad_expiry")
        secret = secret if secret is not None else secrets.token_urlsafe(48)
        row = self._store.add("app_credential", {
            "id": uuid.uuid4().hex, "user_id": token.user_id, "project_id": token.project_id,
            "name": name, "secret_hash": self._passwords.hash(secret), "roles": roles or own,
            "unrestricted": unrestricted, "description": description, "expires_at": expires_at,
            "created_at": self._clock()})
        return row, secret

    def remove_credential(self, token: Token, user_id: str, credential_id: str) -> None:
        """Delete a credential and end its tokens. Raises `NotFound`, `Forbidden`."""
        self.check_may_manage(token)
        if self.get("app_credential", credential_id)["user_id"] != user_id:
            raise missing("app_credential", credential_id)
        self._store.remove("app_credential", credential_id)
        self._tokens.revoke_key(f"app:{credential_id}")

    def check_may_manage(self, token: Token) -> None:
        """Raises `Forbidden` when the token comes from a restricted credential."""
        if token.restricted:
            raise Forbidden("This application credential may not manage credentials.",
                            code="restricted_credential")

    # ---------------------------------------------------------------- the first ones

    def ensure(self, noun: str, name: str) -> Row:
        """The project or role of that name, made when it is missing."""
        found = self._store.rows(noun, {"name": name})
        if found:
            return found[0]
        try:
            return self.create_project(name) if noun == "project" else self.create_role(name)
        except Conflict:  # another process that starts at this moment was first
            return self._store.rows(noun, {"name": name})[0]

    def ensure_user(self, name: str, password: str, project: str, roles: list[str]) -> Row:
        """The user of that name with this password and these roles on `project`, all made when missing."""
        found = self._store.rows("user", {"name": name})
        target = self.ensure("project", project)
        if not found:
            user = self.create_user(name, password, default_project_id=target["id"])
        elif self._passwords.verify(password, found[0]["password_hash"]):
            user = found[0]
        else:
            user = self.change_user(found[0]["id"], {"password": password})
        for role in roles:
            self._store.grant(user["id"], target["id"], self.ensure("role", role)["id"])
        return user


_CALLED = {"app_credential": "application credential"}


def missing(noun: str, row_id: str) -> NotFound:
    """The error for a row that is not there, in Keystone's words."""
    return NotFound(f"Could not find {_CALLED.get(noun, noun)}: {row_id[:64]}.", code=f"no_such_{noun}")
