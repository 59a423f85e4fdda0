"""Secrets at rest: sealed with Fernet, under keys that can be rotated without losing anything."""

import os
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from zones.errors import Unavailable

KEY_FILE = "seal.keys"
"""Its name in the data folder."""


class Sealer:
    """Seals with the newest key, opens with any. Keys stand in a file, newest first (mode 0600)."""

    def __init__(self, keys: list[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, secret: str) -> str:
        """The sealed form of a secret, as text."""
        return self._fernet.encrypt(secret.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """The secret. Raises `Unavailable` when no key of ours opens it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise Unavailable("a stored secret can't be opened with the keys of this zone",
                              code="sealed") from error


def keys_in(path: Path) -> list[bytes]:
    """The keys in this file, made with a first one when it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path, [Fernet.generate_key()])
        with suppress(FileExistsError):  # of several processes that start at once, one makes the key
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes().split()


def rotate(path: Path, keep: int = 3) -> None:
    """Put a new key in front; the last `keep` stay able to open what they sealed."""
    _write(path, [Fernet.generate_key(), *keys_in(path)][:keep])


def _write(path: Path, keys: list[bytes]) -> None:
    """Whole or not at all: a reader never sees half a file, a crash leaves the old one."""
    os.replace(_draft(path, keys), path)


def _draft(path: Path, keys: list[bytes]) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b"\n".join(keys) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return draft
