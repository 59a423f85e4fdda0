"""The embedded identity as one object, and what a new zone starts with: roles, a project, its admin."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from zones.errors import Conflict
from zones.identity.directory import Directory
from zones.identity.keys import KeyRing
from zones.identity.login import LogIn
from zones.identity.passwords import Guesses, Lane, Passwords
from zones.identity.store import Store
from zones.identity.tokens import Tokens

ROLES = ("admin", "member", "reader", "service", "zone_peer")
ADMIN_ROLES = ("admin", "member", "reader")
KEY_FILE = "token.keys"


@dataclass(frozen=True)
class EmbeddedIdentity:
    """The parts of an embedded identity. `tokens.watch` must run in the background."""

    tokens: Tokens
    log_in: LogIn
    directory: Directory


def embedded_identity(store: Store, data_dir: Path, lane: Lane, *, token_ttl: int) -> EmbeddedIdentity:
    """Put the parts together; token keys are in `data_dir`, passwords are hashed in `lane`."""
    tokens = Tokens(KeyRing(data_dir / KEY_FILE), store, ttl=token_ttl)
    passwords = Passwords(lane)
    return EmbeddedIdentity(
        tokens, LogIn(store, tokens, passwords, Guesses()), Directory(store, tokens, passwords))


def bootstrap(directory: Directory, password: str = "") -> str | None:
    """Make roles, project `admin` and user `admin` where they are missing. Harmless when repeated.

    The admin's password, if the user was made now (`password`, or a random one); else None.
    """
    roles = {name: directory.ensure("role", name) for name in ROLES}
    project = directory.ensure("project", "admin")
    users = directory.rows("user", {"name": "admin"})
    made = None
    if not users:
        chosen = password or secrets.token_urlsafe(18)
        try:
            users = [directory.create_user("admin", chosen, default_project_id=project["id"])]
            made = chosen
        except Conflict:  # another process that starts at this moment was first
            users = directory.rows("user", {"name": "admin"})
    for name in ADMIN_ROLES:
        directory.grant(users[0]["id"], project["id"], roles[name]["id"])
    return made
