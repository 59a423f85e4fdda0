"""The keys that tokens are sealed with: one file in the data folder, newest key first.

Every API worker of a zone reads the same file, and reads it again when it has changed: that is how
a rotation (`zones.sealing.rotate`) reaches them. Older keys only open what they sealed.
"""

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from zones.sealing import keys_in


class KeyRing:
    """Seal and open with the keys of one file, which is made (0600) when it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        keys_in(path)
        self._load()

    def _load(self) -> None:
        self._stamp = self._path.stat().st_mtime_ns  # before the read: a change meanwhile is read again
        self._fernet = MultiFernet([Fernet(key) for key in keys_in(self._path)])

    def reload(self) -> bool:
        """Read the file again if it has changed; whether it had."""
        if self._path.stat().st_mtime_ns == self._stamp:
            return False
        self._load()
        return True

    def seal(self, plain: bytes) -> str:
        """`plain`, encrypted and signed with the newest key."""
        return self._fernet.encrypt(plain).decode()

    def open(self, sealed: str) -> bytes | None:
        """What was sealed with any of the keys; None for anything else."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return self.open(sealed) if self.reload() else None
