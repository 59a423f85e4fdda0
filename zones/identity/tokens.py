"""Tokens that prove themselves: sealed, so that any worker checks one without a database.

What can't stand in a token, that it was revoked, is a small set that each worker reads every few
seconds (`refresh`), and at once where the revocation happens.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from zones.errors import Unauthorized, ZonesError
from zones.identity.keys import KeyRing
from zones.identity.store import Store
from zones.protocol import Caller

LOG = logging.getLogger(__name__)
MAX_TOKEN = 8192
CACHED = 10000


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What a token says. Times are whole seconds since the epoch; `project_id` "" is unscoped."""

    user_id: str
    user_name: str
    project_id: str
    project_name: str
    roles: tuple[str, ...]
    methods: tuple[str, ...]
    issued: int
    expires: int
    audit_ids: tuple[str, ...]
    app_credential: str = ""
    restricted: bool = False
    """True for an application credential that may not manage credentials."""


def keys_of(token: Token) -> tuple[str, ...]:
    """The revocation keys that void this token: itself, its parent, its user, its credential."""
    keys = (*token.audit_ids, f"user:{token.user_id}")
    return (*keys, f"app:{token.app_credential}") if token.app_credential else keys


def audit_id() -> str:
    """A fresh audit id: 128 bits in 22 characters."""
    return secrets.token_urlsafe(16)


class Tokens:
    """Issue, check and revoke tokens. `ttl` in seconds."""

    def __init__(self, ring: KeyRing, store: Store, *, ttl: int,
                 clock: Callable[[], float] = time.time) -> None:
        self.ttl = ttl
        self._ring = ring
        self._store = store
        self._clock = clock
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Token)
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._known: OrderedDict[bytes, tuple[Token, Caller]] = OrderedDict()
        self._fresh = False
        self._revoked: set[str] = set()
        self._from: dict[str, int] = {}

    def seal(self, token: Token) -> str:
        """The token as the client carries it."""
        return self._ring.seal(self._encoder.encode(token))

    def check(self, text: str) -> Token:
        """What a token says, if it is ours and valid now. Raises `Unauthorized`."""
        return self._checked(text)[0]

    def caller(self, text: str) -> Caller:
        """On whose behalf a request with this token is. Raises `Unauthorized`."""
        return self._checked(text)[1]

    def _checked(self, text: str) -> tuple[Token, Caller]:
        if not text or len(text) > MAX_TOKEN:
            raise _invalid()
        if not self._fresh:
            self.refresh()
        digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=20).digest()
        with self._lock:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
        if known is None:
            known = self._read(text, digest)
        token = known[0]
        if token.expires <= self._clock() or self._is_void(token):
            raise _invalid()
        return known

    def _read(self, text: str, digest: bytes) -> tuple[Token, Caller]:
        plain = self._ring.open(text) if text.isascii() else None
        if plain is None:
            raise _invalid()
        try:
            token = self._decoder.decode(plain)
        except msgspec.MsgspecError as error:
            raise _invalid() from error
        known = token, Caller(
            user_id=token.user_id, project_id=token.project_id, roles=frozenset(token.roles),
            user_name=token.user_name, project_name=token.project_name)
        with self._lock:
            self._known[digest] = known
            while len(self._known) > CACHED:
                self._known.popitem(last=False)
        return known

    def _is_void(self, token: Token) -> bool:
        if token.issued < self._from.get(token.user_id, 0):
            return True
        return not self._revoked.isdisjoint(keys_of(token))

    def revoke(self, token: Token) -> None:
        """End this token and those that were made from it, here at once and elsewhere within seconds."""
        self.revoke_key(token.audit_ids[0], token.expires)

    def revoke_key(self, key: str, expires: float | None = None) -> None:
        """End every token that has `key` among its `keys_of`; `expires` None means in `ttl` seconds."""
        self._store.revoke(key, self._clock() + self.ttl if expires is None else expires)
        self.refresh()

    def expel(self, user_ids: list[str]) -> None:
        """End every token that these users have now."""
        self._store.expel(user_ids)
        self.refresh()

    def refresh(self) -> None:
        """Learn what was revoked elsewhere, and of rotated keys."""
        with self._refreshing:  # else an older answer could replace a newer one
            self._revoked, self._from = self._store.revocations(self._clock() - self.ttl)
            self._ring.reload()
            self._fresh = True

    def watch(self, stop: threading.Event, interval: float = 3.0) -> None:
        """`refresh` every `interval` seconds until `stop` is set; a failure is logged and repeated."""
        while not stop.wait(interval):
            try:
                self.refresh()
            except (ZonesError, OSError) as error:
                LOG.warning("revoked tokens could not be read: %s", error)


def _invalid() -> Unauthorized:
    return Unauthorized("The request you have made requires authentication.", code="bad_token")
