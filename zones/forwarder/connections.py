"""HTTP connections to one place, kept alive, with deadlines that hold, and errors in plain words.

The connections are urllib3's; its pool is not used, because a caller must know whether anything was
sent when a connection fails: that is the difference between `Unavailable` and `Unknown`.
"""

import http.client
import io
import os
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError

from zones.config import Links
from zones.errors import Invalid, Unavailable, Unknown
from zones.forwarder.breaker import Breaker

KEPT = 32
"""Idle connections that are kept; more are made when more calls are under way, and closed after use."""

_PLAIN = re.compile(r"[!-~]+")
"""No spaces, nothing to be encoded: a URL that was pasted with more than a URL is none."""

Body = bytes | Iterable[bytes] | None
Patience = Callable[[], float]
"""Seconds that the next wait may last, not above 0 when time is up."""


def within(seconds: float) -> Patience:
    """A deadline for the whole."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def context(cacert: str) -> ssl.SSLContext:
    """Trust in the certificates of this PEM text, a CA's or the neighbour's own; "" is the system's CAs.

    Raises `Invalid` when it is no PEM.
    """
    try:
        trust = ssl.create_default_context(cadata=cacert or None)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: it is not ASCII
        raise Invalid("the CA certificate (cacert) is not a certificate in PEM form",
                      code="bad_cacert") from error
    if cacert:
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who has the one certificate needs no CA
    return trust


class Connections:
    """Connections to the host of `url`; `name` is what errors call it. `path` is the path of the URL.

    Nothing is followed and nothing repeated, but for one case: a kept connection that the other side
    has closed at that very moment, when the caller says that a repeat is harmless.
    """

    def __init__(self, name: str, url: str, cacert: str, config: Links) -> None:
        self.name = name
        self.breaker = Breaker(config.breaker)
        self._connect = config.connect
        self._idle: deque[HTTPConnection] = deque()
        self._closed = False
        self._make, self.path = _maker(url, cacert)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: Body, patience: Patience,
             *, repeat: bool) -> tuple[HTTPConnection, HTTPResponse]:
        """Send a request and read the head of its answer. Give the connection to `keep` after the body.

        Raises `Unavailable` when nothing was sent, `Unknown` when there was no answer.
        """
        connection, kept = self._take()
        done = False
        try:
            if not kept:
                self._open(connection, patience)
            try:
                answer = _exchange(connection, method, path, headers, body, patience)
            except (ConnectionError, http.client.BadStatusLine) as error:
                if not (kept and repeat):
                    raise self.broken(error) from error
                connection.close()
                self._forget()
                self._open(connection, patience)
                answer = _exchange(connection, method, path, headers, body, patience)
            done = True
        except (OSError, http.client.HTTPException, HTTPError) as error:
            raise self.broken(error) from error
        finally:
            if not done:
                connection.close()
        self.breaker.succeeded()
        return connection, answer

    def keep(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        """Take a connection back: to be used again when its answer was read to the end."""
        if connection.sock is None:
            return
        if not answer.closed or self._closed or len(self._idle) >= KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    def broken(self, error: Exception) -> Unknown:
        """What to raise when an exchange broke after something was sent."""
        late = isinstance(error, TimeoutError) or "timed out" in str(error)
        how = "did not answer in time" if late else "broke off the connection"
        return Unknown(f"{self.name} {how}: the request may have been carried out or not",
                       code="zone_timeout" if late else "zone_broke_off")

    def close(self) -> None:
        """Close what is idle; connections in use are closed when they come back."""
        self._closed = True
        self._forget()

    def _take(self) -> tuple[HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_connected:
                return connection, True
            connection.close()
        return self._make(), False

    def _forget(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _open(self, connection: HTTPConnection, patience: Patience) -> None:
        turn = self.breaker.enter()
        if turn is None:
            raise self._unreachable("no connection was possible a moment ago")
        connection.timeout = max(0.001, min(self._connect, patience()))
        try:
            connection.connect()
        except (OSError, HTTPError, ssl.CertificateError) as error:
            self.breaker.failed(turn)
            raise self._unreachable(_why(error)) from error
        self.breaker.succeeded()

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(f"{self.name} can't be reached: {why}", code="zone_unreachable",
                           retry_after=1 + int(self.breaker.left()))


def _maker(url: str, cacert: str) -> tuple[Callable[[], HTTPConnection], str]:
    """What makes a connection to the host of a URL, and the URL's path."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid(f"{url!r} is no URL: {error}", code="bad_url") from error
    if parts.scheme not in ("http", "https") or not host or not _PLAIN.fullmatch(url):
        raise Invalid(f"{url!r} is no URL of the form https://host[:port]/path", code="bad_url")
    path = parts.path.rstrip("/")
    if parts.scheme == "http":
        return lambda: HTTPConnection(host, port), path
    trust = context(cacert)
    return lambda: HTTPSConnection(host, port, ssl_context=trust), path


def _exchange(connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: Body,
              patience: Patience) -> HTTPResponse:
    connection.timeout = max(0.001, patience())
    connection.response_class = lambda sock, **given: http.client.HTTPResponse(  # type: ignore[assignment]
        _Patient(sock, patience), **given)  # type: ignore[arg-type]
    with suppress(BrokenPipeError, ConnectionResetError):  # who refuses a long body may have said why
        connection.request(method, path, body=body, headers=headers, preload_content=False,
                           decode_content=False)
    connection.timeout = max(0.001, patience())
    return connection.getresponse()


class _Patient:
    """A socket as http.client reads from it, but no wait of a read is longer than patience lasts.

    The timeout of a socket is for each time that it waits: who sends a byte now and then would be
    heard for ever.
    """

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The reading side."""
        return io.BufferedReader(_Reader(self._sock, self._sock.makefile("rb", buffering=0), self._patience))


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: Any, patience: Patience) -> None:
        self._sock = sock
        self._raw = raw
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._patience()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


def _why(error: BaseException) -> str:
    """Why there is no connection, without addresses: users read it, too."""
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message} (name its CA as cacert)"
    if isinstance(cause, TimeoutError):
        return "it does not answer"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {(cause.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, NameResolutionError):
        return "its host name is not known"
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number).lower() if number else "the connection was closed"
