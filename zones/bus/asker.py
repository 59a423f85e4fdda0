"""Questions under way: who waits for which answer."""

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from zones.bus.subscription import Received, Subscription
from zones.errors import Unknown
from zones.protocol import Message


class Asker:
    """Matches answers with those who wait for them.

    `subscribe(received)` starts to listen at a reply queue of this process, once, when the first
    question is asked; `send(reply_to, correlation_id)` in `ask` sends the question.
    """

    def __init__(self, subscribe: Callable[[Received], Subscription]) -> None:
        self._subscribe = subscribe
        self._lock = threading.Lock()
        self._replies: Subscription | None = None
        self._waiting: dict[str, Future[Message]] = {}

    def ask(self, send: Callable[[str, str], bool], deadline: float) -> Message:
        """The answer. Raises `Unknown` when none came within `deadline` seconds, or none can."""
        end = time.monotonic() + deadline
        with self._lock:
            if self._replies is None:
                self._replies = self._subscribe(self._answered)
        if not self._replies.wait(deadline):
            raise Unknown("the message broker is away", code="broker_away")
        correlation, answer = uuid.uuid4().hex, Future[Message]()
        self._waiting[correlation] = answer
        try:
            if not send(self._replies.queue, correlation):
                raise Unknown("the message broker is away", code="broker_away")
            return answer.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise Unknown(f"no answer within {deadline:g} seconds", code="deadline") from None
        finally:
            del self._waiting[correlation]

    def _answered(self, message: Message, properties: dict[str, Any]) -> bool:
        answer = self._waiting.get(properties.get("correlation_id", ""))
        if answer is not None and not answer.done():
            answer.set_result(message)
        return True
