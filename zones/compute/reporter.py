"""Publish every host's whole state: at once when it changed, and on a jittered timer.

The timer is stretched with the number of hosts, so that one service sends at most `MAX_RATE`
reports a second however many hosts it has.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from zones import states
from zones.compute.book import Book
from zones.compute.driver import ComputeDriver
from zones.protocol import HostReport, Message

LOG = logging.getLogger(__name__)
COALESCE = 0.05
"""Seconds within which the changes of a host become one report."""
BREATH = 25
"""Reports after which others may run: about a millisecond."""
MAX_RATE = 500.0
"""Reports a second on the timer of one service."""
OF_SNAPSHOTS = frozenset({"create_image", "shelve", "unshelve"})
"""Actions that the service makes of the driver's snapshots."""


class Reporter:
    """One thread that publishes; `report` makes one host's report with the next sequence number."""

    def __init__(self, service: str, boot: int, book: Book, driver: ComputeDriver,
                 publish: Callable[[Message], bool], interval: float) -> None:
        self._service = service
        self._boot = boot
        self._book = book
        self._driver = driver
        self._publish = publish
        self._interval = interval
        self._seq = 0
        self._guard = threading.Lock()
        self._dirty: dict[str, None] = {}
        self._wake = threading.Event()
        self._stopped = False
        self._next_host = 0
        self._due = random.random()  # so that services that start together do not report together
        self._failed: dict[str, int] = {}
        self._building: dict[str, int] = {}
        offered = driver.actions | (OF_SNAPSHOTS if driver.snapshots else frozenset())
        self._unsupported = sorted(frozenset(states.ACTIONS) - offered)
        self._thread = threading.Thread(target=self._run, name=f"reporter-{service}", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout)

    def touch(self, host: str) -> None:
        """Something on this host has changed."""
        for name in self._book.room.fellows(host):
            self._dirty[name] = None
        self._wake.set()

    def all(self) -> None:
        """Somebody has just started: publish every host now."""
        for inventory in self._book.room.hosts():
            self._dirty[inventory.name] = None
        self._wake.set()

    def building(self, host: str, change: int) -> None:
        """One build more, or less, is under way on the host."""
        self._building[host] = self._building.get(host, 0) + change

    def failed(self, host: str) -> None:
        """One build has failed on the host."""
        self._failed[host] = self._failed.get(host, 0) + 1

    def report(self, host: str) -> HostReport | None:
        """The host as it is now; None when the driver has no such host any more."""
        inventory = self._book.room.host(host)
        if inventory is None:
            return None
        with self._guard:
            self._seq += 1
            used, size = self._book.room.used(host), self._book.room.size(inventory)
            return HostReport(
                service=self._service, host=host, boot=self._boot, seq=self._seq,
                availability_zone=inventory.availability_zone, vcpus=size.vcpus,
                ram=size.ram, disk=size.disk, vcpus_used=used.vcpus, ram_used=used.ram,
                disk_used=used.disk, servers=used.servers, hypervisor=inventory.hypervisor,
                building=self._building.get(host, 0), failed_builds=self._failed.get(host, 0),
                capabilities=inventory.capabilities, live=inventory.live,
                unsupported=self._unsupported, interval=self.interval(),
                shares=inventory.shared.name if inventory.shared is not None else "")

    def interval(self) -> float:
        """Seconds between two reports of one host on the timer."""
        return max(self._interval, len(self._book.room) / MAX_RATE)

    def _run(self) -> None:
        tick = min(0.2, self._interval / 10)
        due = last = time.monotonic()
        while not self._stopped:
            self._wake.wait(max(0.0, due - time.monotonic()))
            try:
                if self._wake.is_set():
                    self._wake.clear()
                    time.sleep(COALESCE)
                    self.changed()
                now = time.monotonic()
                if now >= due:
                    elapsed, last, due = now - last, now, now + tick * random.uniform(0.8, 1.2)
                    self.passed(elapsed)
            except Exception:
                LOG.exception("reports of %s could not be published", self._service)

    def changed(self) -> None:
        """Publish every host that was touched since the last time."""
        self._send(list(self._dirty))

    def passed(self, seconds: float) -> None:
        """So much time has passed: publish the hosts whose turn it is, so that each has one an interval."""
        hosts = self._book.room.hosts()
        self._due = min(self._due + len(hosts) * seconds / self.interval(), len(hosts))
        number = int(self._due)
        self._due -= number
        first, self._next_host = self._next_host, self._next_host + number
        self._send([hosts[index % len(hosts)].name for index in range(first, first + number)])

    def _send(self, hosts: list[str]) -> None:
        for count, host in enumerate(hosts, 1):
            self._dirty.pop(host, None)  # before the report is made: what changes later is due again
            report = self.report(host)
            if report is not None:
                self._publish(report)
            if count % BREATH == 0:
                time.sleep(0)
