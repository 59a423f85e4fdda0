"""The bus as the house uses it. Nothing here waits for the broker, except an answer that is asked for."""

import time
from collections.abc import Callable
from typing import Any

from zones.bus import names, session
from zones.bus.asker import Asker
from zones.bus.publisher import Publisher
from zones.bus.session import Letter, Session
from zones.bus.subscription import Handler, Received, Subscription
from zones.bus.tally import State, Tally
from zones.protocol import Message, encode

MESSAGE_LIFE = 30.0
"""Seconds after which a message that nobody took is gone: the durable rows are sent again by then."""

QUEUE_LIFE = 600.0
"""Seconds after which a queue that nobody consumes is gone."""

QUEUE_LENGTH = 20_000
FANOUT_LENGTH = 100_000

Reply = Callable[[Message], None]
"""Answers one question; from any thread, now or later, without blocking."""

Answerer = Callable[[Message, Reply], None]
"""Takes one question. Runs in the consumer's thread: it may reply at once or hand both on."""


class Bus:
    """One process's part of its zone's bus, at `amqp://`, `amqps://` or `memory://`.

    Several brokers of a cluster are separated by `;`. `process` is a name for people. Each consumer and
    the publisher have a thread and a connection of their own; all reconnect for ever by themselves.
    Queues are given by the names of `zones.bus.names`; the zone's name is added here.
    """

    def __init__(self, url: str, zone: str, process: str, *, capacity: int = 10_000) -> None:
        self._urls = session.parse(url)
        self._zone = zone
        self._exchange = names.fanout_name(zone)
        self.process = process
        self._tally = Tally()
        self._subscriptions: list[Subscription] = []
        self._publisher = Publisher(self._urls, self._exchange, self._tally, capacity)
        self._asker = Asker(self._listen_for_answers)
        self._publisher.link.start()

    # ------------------------------------------------------------------ out

    def publish(self, queue: str, message: Message) -> bool:
        """Send to one consumer of `queue`; False when the broker is away or too much waits for it."""
        return self._send(names.queue_name(self._zone, queue), encode(message))

    def fanout(self, message: Message) -> bool:
        """Send to every `listen`er of the zone, here and elsewhere. False as in `publish`."""
        return self._send("", encode(message), self._exchange)

    def ask(self, queue: str, message: Message, deadline: float) -> Message:
        """The answer of a consumer of `queue`. Raises `Unknown` after `deadline` seconds at the latest."""
        target, body = names.queue_name(self._zone, queue), encode(message)
        return self._asker.ask(lambda reply_to, correlation: self._send(
            target, body, life=deadline, reply_to=reply_to, correlation_id=correlation), deadline)

    def _send(self, queue: str, body: bytes, exchange: str = "", life: float = MESSAGE_LIFE,
              **properties: str) -> bool:
        return self._publisher.offer(Letter(
            exchange, queue, body, {**properties, "delivery_mode": 1, "expiration": str(int(life * 1000))},
            time.monotonic() + life))

    # ------------------------------------------------------------------ in

    def consume(self, queue: str, handler: Handler, *, batch: int = 64,
                answer: Answerer | None = None) -> Subscription:
        """Give the messages of `queue` to `handler`, up to `batch` at a time, shared with other consumers.

        A message that was sent by `ask` goes to `answer(message, reply)` instead, where that is given.
        """
        name = names.queue_name(self._zone, queue)

        def declare(opened: Session) -> str:
            # durable, though its messages are not: RabbitMQ 4 has no other queues that several may share
            opened.channel.queue_declare(
                queue=name, durable=True, exclusive=False, auto_delete=False,
                arguments={"x-expires": int(QUEUE_LIFE * 1000), "x-max-length": QUEUE_LENGTH,
                           "x-message-ttl": int(MESSAGE_LIFE * 1000)})
            return name

        return self._start(Subscription(
            queue, self._urls, self._tally, declare, handler, batch=batch, ack=True,
            received=self._questions(answer) if answer is not None else None))

    def listen(self, handler: Handler, *, batch: int = 256) -> Subscription:
        """Give everything that is fanned out in the zone to `handler`, up to `batch` at a time."""
        def declare(opened: Session) -> str:
            opened.channel.exchange_declare(
                exchange=self._exchange, type="fanout", durable=False, auto_delete=False)
            queue = _own_queue(opened)
            opened.channel.queue_bind(queue=queue, exchange=self._exchange)
            return queue

        return self._start(Subscription(
            "fan-out", self._urls, self._tally, declare, handler, batch=batch, ack=False))

    def _listen_for_answers(self, received: Received) -> Subscription:
        return self._start(Subscription(
            "answers", self._urls, self._tally, _own_queue, _nobody, batch=64, ack=False, received=received))

    def _questions(self, answer: Answerer) -> Received:
        def received(message: Message, properties: dict[str, Any]) -> bool:
            if "reply_to" not in properties:
                return False
            answer(message, lambda value: self._answer(value, properties))
            return True
        return received

    def _answer(self, value: Message, question: dict[str, Any]) -> None:
        self._send(question["reply_to"], encode(value), correlation_id=question["correlation_id"])

    def _start(self, subscription: Subscription) -> Subscription:
        self._subscriptions = [each for each in self._subscriptions if not each.link.ended] + [subscription]
        subscription.link.start()
        return subscription

    # ------------------------------------------------------------------ health

    @property
    def connected(self) -> bool:
        """Whether the publisher and every consumer are connected now."""
        return self._publisher.link.up and all(
            each.connected for each in self._subscriptions if not each.link.ended)

    def state(self) -> State:
        """What there is to know for `/readyz` and metrics."""
        counts = dict(self._tally.counts)
        return State(connected=self.connected, queued=len(self._publisher), **counts)

    def close(self, timeout: float = 5.0) -> None:
        """Send what is queued, then end all threads; takes `timeout` seconds at most."""
        end = time.monotonic() + timeout
        for subscription in self._subscriptions:
            subscription.link.stop()
        self._publisher.flush(min(1.0, timeout / 2))
        self._publisher.link.stop()
        for link in [self._publisher.link, *(each.link for each in self._subscriptions)]:
            link.join(max(0.0, end - time.monotonic()))


def _own_queue(opened: Session) -> str:
    """A queue with a name that the broker makes: an old connection's may linger at the broker for a while."""
    declared = opened.channel.queue_declare(
        queue="", durable=False, exclusive=True, auto_delete=True,
        arguments={"x-max-length": FANOUT_LENGTH, "x-message-ttl": int(MESSAGE_LIFE * 1000)})
    return str(declared.queue)


def _nobody(messages: list[Message]) -> None:
    """The handler of the reply queue: each answer has found its asker, or none waits any more."""
