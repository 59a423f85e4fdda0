"""What `launch.py` changes in a process of a zone before it runs, as its environment says.

    ZONES_CHAOS_LATE       seconds by which it hears every host's report later than it is sent
    ZONES_CHAOS_STALE      seconds for which a summary of a neighbour is believed before another is read
    ZONES_CHAOS_APART      seconds between two looks for a server that a neighbour has no more
    ZONES_CHAOS_HELD       seconds that quota is held for what a neighbour may have done
    ZONES_CHAOS_PATIENT    seconds between two tries of what often went unanswered
    ZONES_CHAOS_PROTOCOL   `2-3`: the versions of the protocol that it says it speaks
    ZONES_CHAOS_NEWER      whatever it says to another zone has more members than any zone understands
"""

import os
import queue
import threading
import time
from dataclasses import replace
from typing import Any

import msgspec

from zones import protocol
from zones.api import wsgi
from zones.bus.bus import Bus
from zones.forwarder.neighbour import Neighbour
from zones.neighbours import poll
from zones.neighbours.keeper import Keeper
from zones.protocol import HostReport
from zones.servers import elsewhere, worker


def apply() -> None:
    """Change what the environment names."""
    for name, change in (("LATE", _late), ("STALE", _stale), ("APART", _apart), ("HELD", _held),
                         ("PATIENT", _patient)):
        value = os.environ.get(f"ZONES_CHAOS_{name}")
        if value:
            change(float(value))
    span = os.environ.get("ZONES_CHAOS_PROTOCOL")
    if span:
        protocol.OLDEST, protocol.VERSION = (int(number) for number in span.split("-"))
    if os.environ.get("ZONES_CHAOS_NEWER"):
        _newer()


def _late(seconds: float) -> None:
    """The host reports of the fan-out come that much later, in their order."""
    plain = Bus.listen

    def listen(self: Bus, handler: Any, **kwargs: Any) -> Any:
        late: queue.Queue[tuple[float, list[Any]]] = queue.Queue()

        def deliver() -> None:
            while True:
                due, messages = late.get()
                time.sleep(max(0.0, due - time.monotonic()))
                handler(messages)

        def sort_out(messages: list[Any]) -> None:
            late.put((time.monotonic() + seconds, [
                message for message in messages if isinstance(message, HostReport)]))
            handler([message for message in messages if not isinstance(message, HostReport)])
        threading.Thread(target=deliver, daemon=True).start()
        return plain(self, sort_out, **kwargs)
    Bus.listen = listen  # type: ignore[method-assign]


def _stale(seconds: float) -> None:
    """A poll says «nothing new» until what was heard is that old."""
    plain = poll.ask

    def ask(source: Any, row: Any, age: float | None, *args: Any) -> poll.Outcome:
        if age is not None and age < seconds:
            return poll.Same()
        return plain(source, row, age, *args)
    poll.ask = ask


def _apart(seconds: float) -> None:
    Keeper.__init__.__kwdefaults__["apart"] = seconds  # type: ignore[index]


def _held(seconds: float) -> None:
    elsewhere.PATIENCE = seconds


def _patient(seconds: float) -> None:
    worker.PATIENT = seconds


def _newer() -> None:
    plain_response, plain_ask = wsgi._response, Neighbour._ask

    def response(reply: wsgi.Reply, headers: Any) -> Any:
        body = reply.body
        if isinstance(body, bytes) and body[:1] == b"{":
            body = msgspec.json.decode(body)
        return plain_response(replace(reply, body=_with_more(body)), headers)

    def ask(self: Neighbour, *args: Any, body: Any = None, **kwargs: Any) -> Any:
        return plain_ask(self, *args, body=_with_more(msgspec.to_builtins(body)), **kwargs)
    wsgi._response = response
    Neighbour._ask = ask  # type: ignore[method-assign]


def _with_more(body: Any) -> Any:
    """The same with a strange member in each value of the contract; a map of users' words has none."""
    if isinstance(body, list):
        return [_with_more(one) for one in body]
    if not isinstance(body, dict):
        return body
    return {"newer": {"than": ["you", 1, None]}, **{
        key: _with_more(value) if key in VALUES else value for key, value in body.items()}}


VALUES = frozenset(("zone", "server", "image", "answers", "servers", "images", "boots", "spec", "flavor"))
"""Members that are values of the contract, or lists of such."""
