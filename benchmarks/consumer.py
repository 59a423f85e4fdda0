"""The process that takes host reports in from RabbitMQ: as a zone does, or with kombu alone.

    python -m benchmarks.consumer bus|kombu URL ZONE COUNT

It prints `ready` when messages can come, holds the first one until a line comes on stdin (by then
all are sent, and sender and receiver do not share the CPU), and prints seconds and CPU seconds for
`COUNT` of them.
"""

# ruff: noqa: E402 - the patch comes first
from zones import green

green.patch()

import sys
import threading
import time
from collections.abc import Collection
from typing import Any

from kombu import entity, messaging
from kombu.connection import Connection

from zones.bus.bus import Bus
from zones.bus.names import fanout_name
from zones.config import Placement, Timing
from zones.protocol import Message
from zones.zone_manager import ZoneManager

PATIENCE = 60.0


class NoRecords:
    """A zone without servers: what a zone manager reads of the database."""

    def live_services(self) -> dict[str, dict[str, Any]]:
        """None."""
        return {}

    def attempts_since(self, seconds: float) -> list[dict[str, Any]]:
        """None."""
        return []

    def service_of_host(self, host: str) -> str | None:
        """None."""
        return None

    def may_have_hosts(self) -> bool:
        """It has."""
        return True

    def host_zones(self) -> dict[str, str]:
        """None."""
        return {}

    def links(self) -> list[dict[str, Any]]:
        """None."""
        return []

    def link_summaries(self, ids: Collection[int]) -> dict[int, tuple[Any, float | None]]:
        """None."""
        return {}


class Meter:
    """Counts messages from the first one on, which it holds until it is told to go."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.done = threading.Event()
        self._began = (0.0, 0.0)
        self._going = False

    def gate(self) -> None:
        """Called before each piece of work: the first time it waits, and holds up the whole process."""
        if not self._going:
            self._going = True
            sys.stdin.readline()
            self._began = (time.perf_counter(), time.process_time())

    def count(self, number: int) -> None:
        """So many more were taken in."""
        self.left -= number
        if self.left <= 0 and not self.done.is_set():
            print(time.perf_counter() - self._began[0], time.process_time() - self._began[1], flush=True)
            self.done.set()


def bus(url: str, zone: str, meter: Meter) -> None:
    """Through `Bus.listen` into `ZoneManager.heard`: the host table is up to date after it."""
    view = ZoneManager(Placement(), Timing(), {}, NoRecords(), lambda message: True)
    line = Bus(url, zone, "benchmark")

    def heard(messages: list[Message]) -> None:
        meter.gate()
        view.heard(messages)
        meter.count(len(messages))

    assert line.listen(heard).wait(10.0)
    print("ready", flush=True)
    assert meter.done.wait(PATIENCE)
    line.close()


def kombu(url: str, zone: str, meter: Meter) -> None:
    """A kombu consumer that does nothing but decode the JSON."""
    def took(body: Any, message: Any) -> None:
        meter.count(1)

    with Connection(url) as connection:
        exchange = entity.Exchange(fanout_name(zone), "fanout", durable=False)
        queue = entity.Queue("", exchange, durable=False, exclusive=True, auto_delete=True)
        with messaging.Consumer(connection, queue, callbacks=[took], accept=["json"], no_ack=True):
            print("ready", flush=True)
            meter.gate()
            while not meter.done.is_set():
                connection.drain_events(timeout=PATIENCE)


if __name__ == "__main__":
    {"bus": bus, "kombu": kombu}[sys.argv[1]](sys.argv[2], sys.argv[3], Meter(int(sys.argv[4])))
