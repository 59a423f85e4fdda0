"""The token of a link's user: a password login at Keystone v3, one at a time, renewed before it ends.

A plain POST: what keystoneauth1 adds to it is discovery and a catalog, and a link has its URLs.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from urllib3.exceptions import HTTPError

from zones.config import Links
from zones.errors import Unavailable, Unknown, ZonesError
from zones.forwarder.connections import Connections, within
from zones.forwarder.link import Link

MAX_ANSWER = 1024 * 1024
UNTOLD = 300.0
"""Seconds that a token is used whose answer does not say how long it lives."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class _Held:
    token: str = field(repr=False)
    until: float


class Login:
    """`token()` of one link. Raises `Unavailable`, code `link_login` when the user is refused.

    A failure is remembered for a moment, so that a thousand requests are one login.
    """

    def __init__(self, link: Link, config: Links, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._config = config
        self._clock = clock
        self._connections = Connections(f"the identity service of zone {link.name}", link.auth_url,
                                        link.cacert, config)
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._failure: tuple[float, ZonesError] | None = None

    def token(self) -> str:
        """A token that should be good."""
        held = self._held
        return held.token if held and self._clock() < held.until else self._fresh("")

    def renew(self, refused: str) -> str:
        """Another token than the one that was just refused with 401."""
        return self._fresh(refused)

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    def _fresh(self, refused: str) -> str:
        if not self._lock.acquire(timeout=self._config.deadline):
            raise self._refused("the login takes too long")
        try:
            held = self._held
            if held and held.token != refused and self._clock() < held.until:
                return held.token
            if self._failure and self._clock() < self._failure[0]:
                raise _again(self._failure[1])
            self._held = self._failure = None
            try:
                self._held = self._log_in()
            except ZonesError as error:
                self._failure = (self._clock() + self._config.breaker, error)
                raise
            return self._held.token
        finally:
            self._lock.release()

    def _log_in(self) -> _Held:
        path = self._connections.path
        path = path if path.endswith("/v3") else f"{path}/v3"
        began = self._clock()
        patience = within(self._config.deadline)
        try:
            connection, answer = self._connections.send(
                "POST", f"{path}/auth/tokens",
                {"Content-Type": "application/json", "Accept": "application/json"},
                _request(self._link), patience, repeat=True)
            try:
                body = answer.read(MAX_ANSWER)
            finally:
                self._connections.keep(connection, answer)
        except (Unknown, HTTPError, OSError) as error:  # nothing was asked of the zone itself
            raise self._refused("its identity service does not answer") from error
        token = answer.headers.get("X-Subject-Token", "")
        if answer.status == 401:
            raise self._refused("user, password, project or domain of the link is not right")
        if answer.status != 201 or not token or not token.isascii() or not token.isprintable():
            raise self._refused(f"its identity service answered {answer.status}; is the link's auth URL "
                                "right?")
        return _Held(token, began + _use(body))

    def _refused(self, why: str) -> Unavailable:
        return Unavailable(f"can't log in at zone {self._link.name}: {why}", code="link_login")


def _request(link: Link) -> bytes:
    domain = {"id": "default"} if link.domain == "default" else _named(link.domain)
    scope = _named(link.project)
    user = {"name": link.username, "password": link.password, "domain": domain}
    return msgspec.json.encode({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": scope if "id" in scope else {**scope, "domain": domain}}}})


def _named(text: str) -> dict[str, str]:
    """By id when it looks like one: operators paste either."""
    return {"id" if _ID.fullmatch(text) else "name": text}


def _use(body: bytes) -> float:
    """Seconds that a token is used: its life by the server's clock, less a tenth or a minute."""
    try:
        told: Any = msgspec.json.decode(body)["token"]
        life = (datetime.fromisoformat(told["expires_at"])
                - datetime.fromisoformat(told["issued_at"])).total_seconds()
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
        return UNTOLD
    return max(life - min(60.0, life / 10), 1.0)


def _again(error: ZonesError) -> Unavailable:
    """The same words as another exception: one object raised by many threads grows a mixed traceback."""
    return Unavailable(error.message, code=error.code, retry_after=getattr(error, "retry_after", 5))
