"""A neighbour as it should not be met: an HTTP server in a thread that does to each request what a test says.

It logs in whom it knows at `/identity/v3/auth/tokens` and runs `behaviour` for everything else.
"""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from zones.config import Links
from zones.forwarder.link import Link

PASSWORD = "pa55word-of-the-link"
QUICK = Links(connect=2.0, deadline=5.0, breaker=0.1)
UUID = "0b5b9e0c-9d43-4a10-9d2c-1a9de3e6a7a1"
OWN = "11c80d2a-c5dd-4b63-8c3a-0c0d0f6a1e11"


@dataclass
class Request:
    """One request as it was read, and the raw connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket
    nth: int
    """How many requests came before it on this connection."""
    stopping: threading.Event

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[Request], "bytes | None"]
"""The raw answer; None: the connection is ended as it is."""


def answer(status: int = 200, body: Any = b"", **headers: str) -> bytes:
    """A whole answer; `body` is bytes or JSON-able; `_` in a header's name is `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Length": str(len(content)), "Content-Type": "application/json",
             **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    return f"HTTP/1.1 {status} So\r\n{head}\r\n".encode() + content


def fault(status: int, code: str, message: str = "No.", **headers: str) -> bytes:
    """An error answer as a zone gives it."""
    return answer(status, {"conflictingRequest": {"code": status, "message": message}},
                  X_Zone_Error=code, **headers)


def hang(request: Request) -> None:
    """Say nothing until the test is over or the caller has gone."""
    request.connection.settimeout(0.05)
    while not request.stopping.is_set():
        try:
            if not request.connection.recv(1):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def reset(request: Request) -> None:
    """End the connection with a RST."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(request: Request) -> None:
    """A header line that never ends, a byte now and then: no single wait is long."""
    _drip(request, b"HTTP/1.1 200 OK\r\nX-Slow: ")


def drip_body(request: Request) -> None:
    """A body that comes a byte now and then."""
    _drip(request, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


def _drip(request: Request, head: bytes) -> None:
    try:
        request.connection.sendall(head)
        while not request.stopping.wait(0.02):
            request.connection.sendall(b"x")
    except OSError:
        return


@dataclass
class Double:
    """The server. `seen`: the requests but logins; `logins`: those; `connections`: how many were made."""

    tls: ssl.SSLContext | None = None
    behaviour: Behaviour = field(default=lambda request: answer(200, {"path": request.path}))
    seen: list[Request] = field(default_factory=list)
    logins: list[Request] = field(default_factory=list)
    connections: int = 0
    life: float = 3600.0
    on_login: Behaviour | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def link(self, **given: Any) -> Link:
        return Link(**{"id": 1, "zone_uuid": UUID, "name": "west", "api_url": f"{self.url}/v2.1",
                       "auth_url": f"{self.url}/identity/v3", "username": "top", "password": PASSWORD,
                       **given})

    def script(self, *answers: "bytes | Behaviour") -> None:
        """One answer or behaviour for each request, in order; the last one for all after it."""
        left = list(answers)

        def behave(request: Request) -> bytes | None:
            with self._lock:
                each = left.pop(0) if len(left) > 1 else left[0]
            return each if isinstance(each, bytes) else each(request)
        self.behaviour = behave

    def drop_connections(self) -> None:
        """Close every open connection from this side."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        connection = raw
        try:
            raw.settimeout(20)
            if self.tls is not None:
                connection = self.tls.wrap_socket(raw, server_side=True)
            with connection.makefile("rb") as reader:
                nth = 0
                while (request := self._read(reader, connection, nth)) is not None:
                    nth += 1
                    said = self._say(request)
                    if said is None:
                        return
                    connection.sendall(said)
        except OSError:
            return
        finally:
            with self._lock:
                self._open.discard(raw)
            connection.close()

    def _read(self, reader: Any, connection: socket.socket, nth: int) -> Request | None:
        first = reader.readline().decode("latin-1")
        if first.count(" ") != 2:
            return None
        method, path, _ = first.split(" ")
        headers = {}
        while line := reader.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", "0")))
        return Request(method, path, headers, body, connection, nth, self._stop)

    def _say(self, request: Request) -> bytes | None:
        if request.path.endswith("/auth/tokens"):
            with self._lock:
                self.logins.append(request)
                number = len(self.logins)
            return self._log_in(request, number) if self.on_login is None else self.on_login(request)
        with self._lock:
            self.seen.append(request)
        return self.behaviour(request)

    def _log_in(self, request: Request, number: int) -> bytes:
        user = request.json()["auth"]["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            return answer(401, {"error": {"code": 401, "message": "no"}})
        hours, rest = divmod(int(self.life), 3600)
        return answer(201, {"token": {
            "issued_at": "2030-01-01T00:00:00.000000Z",
            "expires_at": f"2030-01-01T{hours:02}:{rest // 60:02}:{rest % 60:02}.000000Z"}},
            X_Subject_Token=f"token-{number}")


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, 20 seconds at the most."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def double(**given: Any) -> Iterator[Double]:
    made = Double(**given)
    try:
        yield made
    finally:
        made.close()
