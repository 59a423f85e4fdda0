"""kombu transport of `memory://`: the broker is this process.

kombu's own transport of that name polls, which costs either latency or CPU; here a consumer sleeps
until a message comes. Queues, bounds, expiry, fan-out and acknowledgements are as RabbitMQ has them.
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from amqp.protocol import queue_declare_ok_t
from kombu.transport import base


class Stored(NamedTuple):
    """A message in a queue, and when (monotonic clock) it expires."""

    body: bytes
    properties: dict[str, Any]
    expires: float


class Delivered(NamedTuple):
    """A message as a consumer gets it: named as py-amqp names it."""

    body: bytes
    properties: dict[str, Any]
    delivery_tag: int


@dataclass
class Queue:
    """One queue. `bells` are those of the connections that consume from it."""

    max_length: int
    ttl: float
    expires: float
    auto_delete: bool
    used: float
    messages: deque[Stored] = field(default_factory=deque)
    bells: list[threading.Event] = field(default_factory=list)


class Broker:
    """All queues and fan-out exchanges. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, Queue] = {}
        self._exchanges: dict[str, set[str]] = {}

    def declare(self, name: str, arguments: dict[str, Any], auto_delete: bool) -> int:
        """Make the queue unless it is there; how many messages it holds."""
        now = time.monotonic()
        with self._lock:
            for other in [key for key, queue in self._queues.items()
                          if not queue.bells and now - queue.used > queue.expires]:
                self._delete(other)
            queue = self._queues.setdefault(name, Queue(
                arguments.get("x-max-length", 1 << 30), arguments.get("x-message-ttl", 1 << 40) / 1000,
                arguments.get("x-expires", 1 << 40) / 1000, auto_delete, now))
            queue.used = now
            return len(queue.messages)

    def declare_exchange(self, name: str) -> None:
        """Make the fan-out exchange unless it is there."""
        with self._lock:
            self._exchanges.setdefault(name, set())

    def bind(self, queue: str, exchange: str) -> None:
        """From now on the queue gets what is sent to the exchange."""
        with self._lock:
            self._exchanges[exchange].add(queue)

    def put(self, body: bytes, properties: dict[str, Any], exchange: str, routing_key: str) -> None:
        """Send to the queues that it reaches; to none when there is none."""
        now = time.monotonic()
        own = float(properties.get("expiration", 1 << 40)) / 1000
        with self._lock:
            for name in self._exchanges.get(exchange, ()) if exchange else (routing_key,):
                queue = self._queues.get(name)
                if queue is None:
                    continue
                if len(queue.messages) >= queue.max_length:
                    queue.messages.popleft()
                queue.messages.append(Stored(body, properties, now + min(own, queue.ttl)))
                for bell in queue.bells:
                    if not bell.is_set():
                        bell.set()

    def take(self, name: str) -> Stored | None:
        """The queue's oldest message that has not expired."""
        now = time.monotonic()
        with self._lock:
            queue = self._queues.get(name)
            while queue is not None and queue.messages:
                message = queue.messages.popleft()
                if message.expires > now:
                    return message
        return None

    def give_back(self, name: str, messages: list[Stored]) -> None:
        """Put messages that were taken, and not dealt with, where they were."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is not None:
                queue.messages.extendleft(reversed(messages))
                for bell in queue.bells:
                    bell.set()

    def attach(self, name: str, bell: threading.Event) -> None:
        """Ring the bell whenever a message comes."""
        with self._lock:
            self._queues[name].bells.append(bell)
            bell.set()

    def detach(self, name: str, bell: threading.Event) -> None:
        """The consumer of that bell is gone, and so is a queue of its own."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None or bell not in queue.bells:
                return
            queue.bells.remove(bell)
            queue.used = time.monotonic()
            if queue.auto_delete and not queue.bells:
                self._delete(name)

    def _delete(self, name: str) -> None:
        del self._queues[name]
        for bound in self._exchanges.values():
            bound.discard(name)


class Channel(base.StdChannel):
    """The part of AMQP's channel that the bus uses; names and meaning are py-amqp's."""

    def __init__(self, broker: Broker, bell: threading.Event) -> None:
        self._broker = broker
        self._bell = bell
        self._consumers: list[tuple[str, bool, Callable[[Delivered], None]]] = []
        self._unacked: dict[int, tuple[str, Stored]] = {}
        self._tag = 0

    def exchange_declare(self, exchange: str, **_: Any) -> None:
        """A fan-out exchange."""
        self._broker.declare_exchange(exchange)

    def queue_declare(self, queue: str = "", *, auto_delete: bool = False,
                      arguments: dict[str, Any] | None = None, **_: Any) -> Any:
        """A queue; one without a name gets one."""
        name = queue or f"amq.gen-{uuid.uuid4().hex}"
        return queue_declare_ok_t(name, self._broker.declare(name, arguments or {}, auto_delete), 0)

    def queue_bind(self, queue: str, exchange: str, **_: Any) -> None:
        """Let what is sent to the exchange reach the queue."""
        self._broker.bind(queue, exchange)

    def basic_qos(self, *_: Any, **__: Any) -> None:
        """Messages are taken one by one: none is prefetched."""

    def basic_consume(self, queue: str, *, no_ack: bool, callback: Callable[[Delivered], None],
                      **_: Any) -> None:
        """Take messages from the queue whenever events are drained."""
        self._consumers.append((queue, no_ack, callback))
        self._broker.attach(queue, self._bell)

    def prepare_message(self, body: bytes, *, properties: dict[str, Any], **_: Any) -> Any:
        """What `basic_publish` takes."""
        return body, properties

    def basic_publish(self, message: tuple[bytes, dict[str, Any]], exchange: str = "",
                      routing_key: str = "", **_: Any) -> None:
        """Send it."""
        self._broker.put(*message, exchange, routing_key)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Forget the message, or all up to it."""
        for tag in [tag for tag in self._unacked if tag <= delivery_tag] if multiple else [delivery_tag]:
            self._unacked.pop(tag, None)

    def deliver(self) -> bool:
        """Hand one message to its consumer; False when there is none."""
        for queue, no_ack, callback in self._consumers:
            message = self._broker.take(queue)
            if message is not None:
                self._tag += 1
                if not no_ack:
                    self._unacked[self._tag] = queue, message
                callback(Delivered(message.body, message.properties, self._tag))
                return True
        return False

    def close(self) -> None:
        """Stop consuming; what was not acknowledged goes back."""
        for queue, _, _ in self._consumers:
            self._broker.give_back(queue, [
                message for name, message in self._unacked.values() if name == queue])
            self._broker.detach(queue, self._bell)
        self._consumers.clear()
        self._unacked.clear()


class Connection:
    """A connection to the broker in this process; for one thread."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bell = threading.Event()
        self._channels: list[Channel] = []

    def channel(self) -> Channel:
        """A new channel."""
        self._channels.append(Channel(self._broker, self._bell))
        return self._channels[-1]

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for one message and handle it. Raises `TimeoutError`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._bell.clear()  # before the look: what comes after it rings again
            if self.more():
                return
            if not self._bell.wait(None if end is None else max(0.0, end - time.monotonic())):
                raise TimeoutError

    def more(self) -> bool:
        """Handle one message if one is there."""
        return any(channel.deliver() for channel in self._channels)

    def hurry(self, seconds: float) -> None:
        """Closing takes no time here."""

    def close(self) -> None:
        """Close all channels."""
        while self._channels:
            self._channels.pop().close()


class Transport(base.Transport):
    """kombu's transport for `memory://`."""

    driver_type = driver_name = "memory"
    broker = Broker()
    """One for the process: that is what the URL says. Names carry the zone, so zones do not mix."""

    def establish_connection(self) -> Connection:
        """A new connection."""
        return Connection(self.broker)

    def create_channel(self, connection: Connection) -> Channel:
        """A new channel on it."""
        return connection.channel()

    def close_connection(self, connection: Connection) -> None:
        """Close it."""
        connection.close()
