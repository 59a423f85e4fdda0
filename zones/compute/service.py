"""One compute service: it owns its hosts alone, takes boots and actions, and recovers what it promised.

    queue ─▶ dispatch ─▶ ledger (claim, tombstone, operation) ─▶ workers ─▶ driver
                                │                                   │
                                └────────▶ herald ─▶ news ◀─────────┘
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from zones import states
from zones.compute.book import Book, Ledger
from zones.compute.builder import Builder, ImageSink
from zones.compute.driver import ComputeDriver
from zones.compute.herald import Herald
from zones.compute.monitor import Monitor
from zones.compute.reporter import Reporter
from zones.compute.room import Room
from zones.config import Compute, Placement, Timing
from zones.errors import Unavailable
from zones.protocol import Act, Answer, Ask, Boot, Claim, Heard, Message, Remove, Solicit

LOG = logging.getLogger(__name__)
QUESTIONS_AT_ONCE = 16


class Lease(Protocol):
    """The zone's record of this service: who owns it now, and that it lives."""

    def acquire(self, hosts: list[str]) -> int:
        """Become the owner of these hosts; the new boot number, greater than any before."""

    def renew(self, hosts: list[str]) -> bool:
        """Still here, with these hosts; False when a newer process owns the service."""


class Wire(Protocol):
    """The bus as this service uses it."""

    def news(self, message: Message) -> bool:
        """To the zone's news queue."""

    def fanout(self, message: Message) -> bool:
        """To everyone in the zone."""


class ComputeService:
    """The running parts of one service. `fenced` is called when a newer process took over."""

    def __init__(self, config: Compute, placement: Placement, timing: Timing, *, driver: ComputeDriver,
                 ledger: Ledger, lease: Lease, wire: Wire, images: ImageSink,
                 fenced: Callable[[], None]) -> None:
        self._config = config
        self._timing = timing
        self._driver = driver
        self._ledger = ledger
        self._lease = lease
        self._wire = wire
        self._images = images
        self._fenced = fenced
        self._room = Room(placement)
        self._jobs: queue.Queue[tuple[Callable[..., None], tuple[object, ...]] | None] = queue.Queue()
        self._under_way: set[str] = set()
        self._stop = threading.Event()
        self._questions = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)
        self._threads: list[threading.Thread] = []
        self.ready = False

    def start(self) -> None:
        """Recover, then run by itself. May raise; then nothing runs."""
        self.recover()
        for number in range(self._config.concurrency):
            self._thread(self._work, f"builder-{number}")
        self._thread(self._watch_house, "compute-keeper")
        self.herald.start()
        self.reporter.start()
        self.monitor.start()

    def recover(self) -> None:
        """Take the lease and what the ledger holds; from then on messages are taken.

        Nothing runs by itself yet: who drives the service step by step calls `do_one`, `keep_house`,
        and the rounds of its parts.
        """
        self._room.set_hosts(self._driver.hosts())
        boot = self._lease.acquire([host.name for host in self._room.hosts()])
        self.book = Book(self._ledger, self._room, self._claim_changed)
        self.reporter = Reporter(self._config.name, boot, self.book, self._driver,
                                 self._wire.fanout, self._timing.capability_interval)
        self.herald = Herald(self._config.name, self._wire.news, self.book.get,
                             self.reporter.report, min(2.0, self._timing.resend))
        self.builder = Builder(self._config.name, self.book, self._driver, self.reporter,
                               self._images, self.herald.done)
        self.monitor = Monitor(self.book, self._driver, self._timing.monitor)
        self._take_over()
        self.reporter.all()
        self.ready = True

    def _take_over(self) -> None:
        for claim in self.book.load():
            if claim.heard < claim.version:
                self.herald.claim(claim.attempt)
        self._resume_claims()
        for operation in self._ledger.operations():
            if operation.done is not None:
                self.herald.done(operation.done)
            else:
                self.builder.hold(operation.act)
                self._once(operation.act.op, self.builder.act, operation.act)

    def _resume_claims(self) -> None:
        for claim in self.book.claims():
            if claim.state == states.ACCEPTED:
                self._once(claim.attempt, self.builder.build, claim.attempt)
            elif not claim.gone and claim.state in (states.CANCELLED, states.REFUSED):
                self._once(claim.attempt, self.builder.remove, claim.attempt)

    def stop(self, timeout: float) -> None:
        """Take nothing more, finish what is under way as far as `timeout` seconds allow."""
        if not self.ready:
            return
        self.ready = False
        deadline = time.monotonic() + timeout
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stop.set()
        for _ in range(self._config.concurrency):
            self._jobs.put(None)
        self.monitor.stop(1.0)
        self.reporter.stop(1.0)
        self.herald.stop(1.0)
        self._driver.close()

    # -------------------------------------------------------------- messages in

    def take(self, messages: list[Message]) -> None:
        """Messages from this service's queue; what is lost here is sent again by the zone."""
        if not self.ready:
            return
        boots = [message for message in messages if isinstance(message, Boot)]
        acts = [message for message in messages if isinstance(message, Act)]
        if boots:
            for claim, new in self.book.take(boots):
                if new:
                    self._once(claim.attempt, self.builder.build, claim.attempt)
        if acts:
            for operation, new in self._ledger.begin(acts):
                if new:
                    self._once(operation.act.op, self.builder.act, operation.act)
                elif operation.done is not None:
                    self.herald.done(operation.done)
        for message in messages:
            if isinstance(message, Remove):
                self._remove(message)
            elif isinstance(message, Heard):
                self.book.heard(message.news)
                self.herald.heard(message.news)

    def _remove(self, message: Remove) -> None:
        for claim in self.book.cancel(message.server, message.host, message.attempts):
            if not claim.gone:
                self._once(claim.attempt, self.builder.remove, claim.attempt)

    def asked(self, message: Message, reply: Callable[[Message], None]) -> None:
        """A question, answered from a thread of its own; too many at once are refused."""
        if not isinstance(message, Ask):
            return
        if not self._questions.acquire(blocking=False):
            reply(Answer(error=Unavailable.code, message="too many questions at once"))
            return
        threading.Thread(target=self._answer, args=(message, reply), daemon=True).start()

    def _answer(self, ask: Ask, reply: Callable[[Message], None]) -> None:
        try:
            reply(self.builder.answer(ask))
        finally:
            self._questions.release()

    def heard_fanout(self, messages: list[Message]) -> None:
        """From the fan-out: somebody who has just started asks for everything."""
        if self.ready and any(isinstance(message, Solicit) for message in messages):
            self.reporter.all()

    # -------------------------------------------------------------- work

    def _claim_changed(self, claim: Claim) -> None:
        self.herald.claim(claim.attempt)
        self.reporter.touch(claim.host)

    def _once(self, key: str, job: Callable[..., None], *args: object) -> None:
        """Queue a job unless one of that key is queued or running already."""
        mark = f"{job.__name__}:{key}"
        if mark not in self._under_way:
            self._under_way.add(mark)
            self._jobs.put((self._run_job, (mark, job, args)))

    def _run_job(self, mark: str, job: Callable[..., None], args: tuple[object, ...]) -> None:
        try:
            job(*args)
        except Exception:
            LOG.exception("%s failed; it is tried again", mark)
        finally:
            self._under_way.discard(mark)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job[0](*job[1])

    def do_one(self) -> bool:
        """Do one job that waits, here and now; whether there was any."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        if job is not None:
            job[0](*job[1])
        return True

    def _watch_house(self) -> None:
        while not self._stop.wait(self._timing.service_down / 3):
            try:
                if not self.keep_house():
                    return
            except Exception:
                LOG.exception("housekeeping of %s failed", self._config.name)

    def keep_house(self) -> bool:
        """Heartbeat, the driver's hosts, and what a failed destroy or a crash of a job left to do.

        False when a newer process owns the service: then this one has ended.
        """
        try:
            for host in self._room.set_hosts(self._driver.hosts()):
                self.reporter.touch(host)
        except Exception as error:
            LOG.warning("%s does not say which hosts it has: %s", self._driver.name, error)
        if not self._lease.renew([host.name for host in self._room.hosts()]):
            LOG.error("a newer process owns compute service %s; this one ends", self._config.name)
            self.ready = False
            self._fenced()
            return False
        self._resume_claims()
        self._ledger.prune(time.time() - self._timing.retention * 7)
        return True

    def _thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
