"""One open connection with one channel, to RabbitMQ or to the broker in this process."""

import time
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from kombu.connection import Connection

from zones.bus import memory, rabbit
from zones.errors import Invalid

CONNECT_TIMEOUT = 5.0
HEARTBEAT = 15
"""Seconds: a peer that is silent twice as long is gone."""

TICK = 0.25
"""Seconds after which a waiting thread looks around: at its connection's health, and for orders to stop."""

CLOSE_TIMEOUT = 1.0

_TRANSPORTS = {"memory": memory.Transport, "amqp": rabbit.Transport, "amqps": rabbit.Transport}


class Letter(NamedTuple):
    """What is sent: to an exchange, or with none to the queue named `routing_key`; until `expires`."""

    exchange: str
    routing_key: str
    body: bytes
    properties: dict[str, Any]
    expires: float
    """Monotonic clock."""


def parse(url: str) -> list[str]:
    """The broker URLs in `url` (several are separated by `;`). Raises `Invalid`."""
    urls = [part.strip() for part in url.split(";") if part.strip()]
    for part in urls:
        if part.partition("://")[0] not in _TRANSPORTS:
            raise Invalid("a broker URL is amqp://, amqps:// or memory://", code="bad_amqp_url")
        try:
            _ = urlsplit(part).port
        except ValueError as error:
            raise Invalid(f"broker URL: {error}", code="bad_amqp_url") from error
    if not urls:
        raise Invalid("there is no broker URL", code="bad_amqp_url")
    return urls


class Session:
    """An open connection; for one thread. Any call raises when it is lost, and then it is of no more use."""

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0]
        # by the URL's own name, which is what the certificate is checked against: kombu changes localhost
        tls = {"server_hostname": urlsplit(url).hostname} if scheme == "amqps" else False
        client: Any = Connection(  # type: ignore[no-untyped-call]
            url, transport=_TRANSPORTS[scheme], ssl=tls, connect_timeout=CONNECT_TIMEOUT, heartbeat=HEARTBEAT)
        self._transport: Any = client.create_transport()
        self._connection: Any = self._transport.establish_connection()
        self._looked = time.monotonic()
        try:
            self.channel: Any = self._transport.create_channel(self._connection)
        except BaseException:
            self._drop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._drop()

    def publish(self, letter: Letter) -> None:
        """Hand it to the broker; nothing tells whether it arrives."""
        message = self.channel.prepare_message(
            letter.body, content_type="application/json", properties=letter.properties)
        self.channel.basic_publish(message, exchange=letter.exchange, routing_key=letter.routing_key)

    def gather(self, got: list[Any], limit: int, timeout: float) -> None:
        """Wait for a message, then handle those that are there already: until `got` has `limit`.

        Consumers' callbacks append to `got`.
        """
        try:
            self._connection.drain_events(timeout=timeout)
            while len(got) < limit and self._connection.more():
                pass
        except TimeoutError:
            return

    def tick(self) -> None:
        """Keep the connection alive; to be called often. Raises when the broker has gone silent."""
        now = time.monotonic()
        if now - self._looked >= TICK:
            self._looked = now
            self._transport.heartbeat_check(self._connection)

    def close(self) -> None:
        """Take leave of the broker, which has a second to answer."""
        try:
            self._connection.hurry(CLOSE_TIMEOUT)
            self._transport.close_connection(self._connection)
        except Exception:
            self._drop()
            raise

    def _drop(self) -> None:
        """Give the socket back without a word; a connection in memory has none."""
        getattr(self._connection, "collect", self._connection.close)()
