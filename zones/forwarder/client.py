"""One neighbour over HTTP: logged in, with deadlines and bounds; every failure is an error of the house."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from zones.config import Links
from zones.errors import Conflict, Unavailable, Unknown, ZonesError
from zones.forwarder.connections import Body, Connections, Patience, within
from zones.forwarder.link import Link
from zones.forwarder.login import Login
from zones.forwarder.refusals import error_of
from zones.protocol.neighbours import ASKER, MEANT

MAX_ANSWER = 32 * 1024 * 1024
MAX_REFUSAL = 64 * 1024
IDLE = 60.0
"""Seconds without progress after which a stream is given up."""
PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Requests to one link's endpoint as its user. A path is appended to the link's `api_url`."""

    def __init__(self, link: Link, config: Links, own_uuid: str, *,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self._config = config
        self._own_uuid = own_uuid
        self._login = Login(link, config, clock=clock)
        self._connections = Connections(f"zone {link.name}", link.api_url, link.cacert, config)

    def request(self, method: str, path: str, *, headers: Mapping[str, str] | None = None,
                body: Body = None, deadline: float | None = None, repeat: bool = True) -> Answer:
        """The answer, of any status below 500 but no redirect and no 401.

        `deadline`: seconds for all of it. `repeat`: carrying it out twice is harmless. Raises
        `Unavailable` when it was surely not carried out, `Unknown` when it may have been.
        """
        patience = within(self._config.deadline if deadline is None else deadline)
        connection, answer = self._send(method, path, headers, body, patience, repeat)
        found = Answer(answer.status, answer.headers, self._read(connection, answer, patience))
        if answer.status >= 500 or (300 <= answer.status < 400 and answer.status != 304):
            raise self.refusal(found)
        return found

    def stream(self, method: str, path: str, *,
               headers: Mapping[str, str] | None = None) -> "Stream":
        """The answer's body piece by piece. Raises the error that the answer is, as `refusal` does."""
        patience = _Idle(self._config.deadline)
        connection, answer = self._send(method, path, headers, None, patience, True)
        if answer.status >= 300:
            raise self.refusal(Answer(answer.status, answer.headers,
                                      self._read(connection, answer, patience, MAX_REFUSAL)))
        if answer.status == 204:
            self._connections.keep(connection, answer)
            raise Conflict("there is no content yet", code="image_not_active")
        patience.seconds = IDLE
        return Stream(self._connections, connection, answer)

    def push(self, method: str, path: str, body: Iterator[bytes], *, headers: Mapping[str, str]) -> Answer:
        """Send a body piece by piece: no deadline for the whole, only for each time that nothing moves."""
        patience = _Idle(max(IDLE, self._config.deadline))
        connection, answer = self._send(method, path, headers, body, patience, False)
        found = Answer(answer.status, answer.headers, self._read(connection, answer, patience, MAX_REFUSAL))
        if answer.status >= 300:
            raise self.refusal(found)
        return found

    def refusal(self, answer: Answer) -> ZonesError:
        """The error that an answer of status 300 or more is."""
        return error_of(self._connections.name, answer.status, answer.headers, answer.body)

    def close(self) -> None:
        """Close what is idle; calls under way end as they would."""
        self._connections.close()
        self._login.close()

    def _send(self, method: str, path: str, headers: Mapping[str, str] | None, body: Body,
              patience: Patience, repeat: bool) -> tuple[HTTPConnection, HTTPResponse]:
        """A head that is no 401: one new login and one repeat, then `Unavailable`."""
        token = self._login.token()
        for attempt in (1, 2):
            connection, answer = self._connections.send(
                method, self._connections.path + path,
                {"X-Auth-Token": token, ASKER: self._own_uuid, MEANT: self.link.zone_uuid,
                 **(headers or {})}, body, patience, repeat=repeat)
            if answer.status != 401:
                return connection, answer
            self._read(connection, answer, patience, MAX_REFUSAL)
            token = self._login.renew(token)
            if attempt == 1 and isinstance(body, Iterator):
                raise Unavailable(f"the login at zone {self.link.name} had ended: try again",
                                  code="link_login", retry_after=1)
        raise Unavailable(f"zone {self.link.name} does not accept the token of the link's login: are its "
                          "auth URL and user right?", code="link_login")

    def _read(self, connection: HTTPConnection, answer: HTTPResponse, patience: Patience,
              limit: int = MAX_ANSWER) -> bytes:
        done = False
        try:
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and len(length) < 9 and int(length) <= limit:
                body = answer.read()
            else:
                body = answer.read(limit + 1)
            done = True
        except (OSError, HTTPError) as error:
            raise self._connections.broken(error) from error
        finally:
            if not done:
                connection.close()
        self._connections.keep(connection, answer)
        if len(body) > limit:
            raise Unknown(f"zone {self.link.name} answered with more than {limit} bytes", code="bad_answer")
        return body


class Stream:
    """The pieces of a body; `close` it when it is abandoned. Raises `Unknown` when it breaks off."""

    def __init__(self, connections: Connections, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self._connections = connections
        self._connection = connection
        self._answer = answer
        self._pieces = answer.stream(PIECE)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._connections.keep(self._connection, self._answer)
            raise
        except (OSError, HTTPError) as error:
            self._connection.close()
            raise self._connections.broken(error) from error

    def close(self) -> None:
        """End; a connection with something left to read is of no more use."""
        if not self._answer.closed:
            self._connection.close()


class _Idle:
    """Patience that begins anew with every wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds
