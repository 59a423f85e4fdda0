"""Do what was promised: build, remove and act on servers, each under the lock of its server.

The ledger was written before any of these runs; each can be run again after a crash.
"""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from zones import states
from zones.compute.book import Book, share_of
from zones.compute.driver import ComputeDriver, Guest
from zones.compute.reporter import Reporter
from zones.errors import NotFound, Unknown, Unsupported, ZonesError
from zones.protocol import Act, Answer, Ask, Claim, Done, FlavorValue

LOG = logging.getLogger(__name__)


class ImageSink(Protocol):
    """Where snapshots go."""

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> Any:
        """Give a reserved image its content. Harmless when repeated."""


class Builder:
    """The calls into the driver, and what each outcome means for claim and room."""

    def __init__(self, service: str, book: Book, driver: ComputeDriver, reporter: Reporter,
                 images: ImageSink, tell: Callable[[Done], None]) -> None:
        self._service = service
        self._book = book
        self._driver = driver
        self._reporter = reporter
        self._images = images
        self._tell = tell

    def build(self, attempt: str) -> None:
        """Build the server of an accepted claim, or refuse the attempt with the driver's reason."""
        claim = self._book.get(attempt)
        if claim is None:
            return
        with self._book.server(claim.server):
            claim = self._book.get(attempt)
            if claim is None or claim.state != states.ACCEPTED or claim.spec is None:
                return
            self._reporter.building(claim.host, +1)
            try:
                guest = self._driver.spawn(
                    claim.host, claim.spec, attempt,
                    lambda kind, name: self._book.ledger.record(attempt, kind, name))
            except Unknown as error:
                # It may come to be, so no other host may be told to build it: the claim stays, and
                # the same attempt is built again by whoever keeps house.
                LOG.warning("whether server %s is built on %s is unknown: %s", claim.server, claim.host,
                            error.message)
            except Exception as error:
                self._reporter.failed(claim.host)
                self._refuse(claim, error)
            else:
                self._book.change(attempt, state=states.ATTEMPT_RUNNING,
                                  power_state=guest.power_state, addresses=guest.addresses,
                                  launched_at=time.time())
            finally:
                self._reporter.building(claim.host, -1)

    def _refuse(self, claim: Claim, error: Exception) -> None:
        code, message = _reason(error, "spawn_failed")
        LOG.warning("server %s could not be built on %s: %s", claim.server, claim.host, message,
                    exc_info=not isinstance(error, ZonesError))
        foreign = code == "guest_exists"  # what another attempt built is not ours to destroy
        self._book.change(claim.attempt, state=states.REFUSED, reason=code, message=message,
                          gone=foreign)
        if not foreign:
            self._clear(claim)

    def remove(self, attempt: str) -> None:
        """Make nothing of a cancelled or refused attempt exist; its room is free after that."""
        claim = self._book.get(attempt)
        if claim is None:
            return
        with self._book.server(claim.server):
            claim = self._book.get(attempt)
            if claim is not None and not claim.gone and claim.state in (
                    states.CANCELLED, states.REFUSED):
                self._clear(claim)

    def _clear(self, claim: Claim) -> None:
        try:
            self._driver.destroy(claim.server, claim.host)
        except Exception as error:
            LOG.warning("server %s on %s is not destroyed yet: %s", claim.server, claim.host, error)
            return
        self._book.change(claim.attempt, gone=True)

    def act(self, act: Act) -> None:
        """Do one action and tell how it ended."""
        with self._book.server(act.server):
            claim = self._book.get(act.attempt)
            try:
                if claim is None or claim.state != states.ATTEMPT_RUNNING:
                    raise NotFound(f"server {act.server} does not run on {act.host}", code="not_here")
                claim, result = self._do(act, claim)
            except Exception as error:
                code, message = _reason(error, "action_failed")
                LOG.warning("%s of server %s failed: %s", act.action, act.server, message,
                            exc_info=not isinstance(error, ZonesError))
                done = self._done(act, claim, error=code, message=message)
                claim = None
            else:
                done = self._done(act, claim, result=result)
            self._book.finish(done, claim)
            self._tell(done)

    def _done(self, act: Act, claim: Claim | None, **fields: Any) -> Done:
        return Done(id=act.op, service=self._service, host=act.host, op=act.op, server=act.server,
                    attempt=act.attempt, version=claim.version if claim is not None else 0,
                    power_state=claim.power_state if claim is not None else states.NOSTATE,
                    addresses=claim.addresses if claim is not None else None, **fields)

    def _do(self, act: Act, claim: Claim) -> tuple[Claim, dict[str, Any]]:
        if act.action in ("create_image", "shelve") and self._driver.snapshots:
            return self._snapshot(act, claim)
        if act.action not in self._driver.actions:
            raise Unsupported(f"the {self._driver.name} driver can't {act.action.replace('_', ' ')}")
        if act.action == "resize":
            claim = self._grow(claim, msgspec.convert(act.args["flavor"], FlavorValue))
        try:
            guest = self._driver.action(act.server, act.host, act.action, act.args)
        except Exception:
            if act.action == "resize":
                self._book.room.put(claim.attempt, share_of(self._book.get(claim.attempt) or claim))
            raise
        if act.action in ("confirm_resize", "revert_resize"):
            claim = _with_flavor(claim, msgspec.convert(act.args["flavor"], FlavorValue))
            self._book.room.put(claim.attempt, share_of(claim))
        return _seen(claim, guest), {}

    def hold(self, act: Act) -> None:
        """Take again the room of an action that was under way when the process ended: it may be done.

        Where it is refused now it was refused before, so nothing was done.
        """
        claim = self._book.get(act.attempt)
        if act.action == "resize" and claim is not None and not claim.gone:
            larger = _larger(claim, msgspec.convert(act.args["flavor"], FlavorValue))
            self._book.room.take(claim.attempt, share_of(larger))

    def _grow(self, claim: Claim, flavor: FlavorValue) -> Claim:
        """The claim holds the larger of both flavors until the resize is confirmed or reverted."""
        larger = _larger(claim, flavor)
        refusal = self._book.room.take(claim.attempt, share_of(larger))
        if refusal is not None:
            raise ZonesError(f"no room to resize: {refusal[1]}", code="no_room")
        return larger

    def _snapshot(self, act: Act, claim: Claim) -> tuple[Claim, dict[str, Any]]:
        image = self._images.upload(act.args["image_id"],
                                    self._driver.snapshot(act.server, act.host))
        guest = self._driver.find(act.server, act.host)
        return (_seen(claim, guest) if guest is not None else claim), {
            "image_id": act.args["image_id"], "size": image.size}

    def answer(self, ask: Ask) -> Answer:
        """The answer to a question that changes nothing."""
        try:
            if ask.question == "console":
                return Answer(self._driver.console(ask.server, ask.host, ask.args.get("length")))
            if ask.question == "diagnostics":
                return Answer(self._driver.diagnostics(ask.server, ask.host))
            raise Unsupported(f"a compute service is not asked for {ask.question}")
        except ZonesError as error:
            return Answer(error=error.code, message=error.message)


def _reason(error: Exception, code: str) -> tuple[str, str]:
    if isinstance(error, ZonesError):
        return error.code, error.message
    return code, f"{type(error).__name__}: {error}"[:500]


def _seen(claim: Claim, guest: Guest) -> Claim:
    return msgspec.structs.replace(claim, version=claim.version + 1, power_state=guest.power_state,
                                   addresses=guest.addresses or claim.addresses)


def _larger(claim: Claim, flavor: FlavorValue) -> Claim:
    return msgspec.structs.replace(
        claim, vcpus=max(claim.vcpus, flavor.vcpus), ram=max(claim.ram, flavor.ram),
        disk=max(claim.disk, flavor.total_disk))


def _with_flavor(claim: Claim, flavor: FlavorValue) -> Claim:
    spec = msgspec.structs.replace(claim.spec, flavor=flavor) if claim.spec is not None else None
    return msgspec.structs.replace(claim, spec=spec, vcpus=flavor.vcpus, ram=flavor.ram,
                                   disk=flavor.total_disk)
