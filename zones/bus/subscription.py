"""A thread that takes messages in, in batches of what is there already."""

import logging
import time
from collections.abc import Callable
from typing import Any

from zones.bus.link import Link
from zones.bus.session import TICK, Session
from zones.bus.tally import Seldom, Tally
from zones.errors import Invalid
from zones.protocol import Message, decode

LOG = logging.getLogger(__name__)
CLOSE_PATIENCE = 3.0

Declare = Callable[[Session], str]
"""Declare what is consumed, and name the queue."""

Received = Callable[[Message, dict[str, Any]], bool]
"""A look at each message and its properties; True when that was all, and the handler is not to get it."""

Handler = Callable[[list[Message]], None]
"""Takes a batch, in the order of arrival; never an empty one."""


class Subscription:
    """A consumer that goes on until it is closed. Whatever its handler raises is logged, and goes on.

    With `ack` messages that were taken and not handled, because this process died or lost the broker,
    are delivered again.
    """

    def __init__(self, name: str, urls: list[str], tally: Tally, declare: Declare, handler: Handler, *,
                 batch: int, ack: bool, received: Received | None = None) -> None:
        self._name = name
        self._tally = tally
        self._declare = declare
        self._handler = handler
        self._received = received
        self._batch = batch
        self._ack = ack
        self._got: list[Any] = []
        self._complain_message = Seldom(5.0)
        self._complain_handler = Seldom(1.0)
        self.queue = ""
        """The queue's name at the broker; another one after a reconnection when the broker made it."""
        self.link = Link(name, urls, tally, self._prepare, self._turn)

    @property
    def connected(self) -> bool:
        """Whether messages can arrive now."""
        return self.link.up

    def wait(self, timeout: float) -> bool:
        """Whether messages can arrive, within `timeout` seconds: what is sent before that may be lost."""
        return self.link.wait(timeout)

    def close(self) -> None:
        """Take no more messages; the batch that is being handled has some seconds to end."""
        self.link.stop()
        self.link.join(CLOSE_PATIENCE)

    def _prepare(self, session: Session) -> None:
        self._got = []
        self.queue = self._declare(session)
        if self._ack:
            session.channel.basic_qos(0, self._batch * 2, False)
        session.channel.basic_consume(
            queue=self.queue, no_ack=not self._ack, callback=self._got.append)

    def _turn(self, session: Session) -> None:
        session.gather(self._got, self._batch, TICK)
        if not self._got:
            return
        got = self._got[:]
        self._got.clear()
        self._handle(got)
        if self._ack:
            session.channel.basic_ack(got[-1].delivery_tag, multiple=True)
        time.sleep(0)  # let others run: a consumer that is always busy never waits

    def _handle(self, got: list[Any]) -> None:
        self._tally.add(consumed=len(got))
        try:
            messages = [message for raw in got if (message := self._message(raw)) is not None]
            if messages:
                self._handler(messages)
        except Exception:
            self._tally.add(failed=1)
            if self._complain_handler():
                LOG.exception("bus %s: the handler failed, %d messages are lost", self._name, len(got))

    def _message(self, raw: Any) -> Message | None:
        """What the handler is to get of it."""
        try:
            message = decode(raw.body)
        except Invalid as error:
            self._tally.add(undecodable=1)
            if self._complain_message():
                LOG.warning("bus %s: a message is dropped: %s", self._name, error)
            return None
        if self._received is not None and self._received(message, raw.properties):
            return None
        return message
