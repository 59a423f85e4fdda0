"""Do the work that is due: place servers, and repeat what was sent until it is answered.

Many workers, in many processes, take rows from one table; a row is leased, so a worker that dies
only delays it. The attempt is committed, under that lease, before anything is sent.
"""

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from zones import states
from zones.db import action_log, attempts, changes, work
from zones.db.engine import Connection, now
from zones.errors import ZonesError
from zones.protocol import Act, Boot, ImageValue, Message, Remove, ServerSpec
from zones.scheduler.choose import Choice
from zones.scheduler.request import PlacementRequest
from zones.servers import elsewhere, placing
from zones.servers.core import Core, Row
from zones.servers.forward import handover_of
from zones.servers.placing import Due, Placed, current_attempt, spec_of
from zones.servers.steps import ASK_AGAIN

LOG = logging.getLogger(__name__)
BATCH = 64
PATIENT_TRIES = 12
PATIENT = 30.0
"""Seconds between repeats once `PATIENT_TRIES` went unanswered."""

LOOK_AGAIN = 0.5
"""Seconds after which a boot looks again that found only hosts which had just refused others like it."""


class View(Protocol):
    """What a worker decides on: the zone manager of its process."""

    def warm(self) -> bool:
        """Whether every live service has reported since this process started."""

    def choose(self, request: PlacementRequest, asked: Mapping[str, tuple[int, int]],
               attempt: str) -> Choice:
        """Decide, and count the choice as in flight under that attempt."""

    def dropped(self, attempt: str) -> None:
        """That attempt was not made after all."""


class Worker:
    """One loop over due work. `woken` is set by whoever made something due in this process."""

    def __init__(self, core: Core, view: View, woken: threading.Event) -> None:
        self._core = core
        self._view = view
        self._woken = woken
        self._name = f"worker-{uuid.uuid4()}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Take nothing more; finish the round under way."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        busy = True
        while not self._stopping.is_set():
            if not busy and not self._rest():
                continue
            try:
                busy = self._view.warm() and self.round()
            except ZonesError as error:
                LOG.warning("a round of work was broken off: %s", error)
                busy = False
            except Exception:
                LOG.exception("a round of work failed; what was taken is taken again")
                busy = False

    def _rest(self) -> bool:
        """Wait until something may be due; False when another worker has gone for what woke both."""
        if self._woken.wait(self._core.timing.poll_work) and not self._woken.is_set():
            return False
        self._woken.clear()  # before the look: what comes after it wakes again
        return True

    def round(self) -> bool:
        """Do up to `BATCH` rows that are due; whether there may be more."""
        taken = self._core.db.run_lightly(_take, self._core, self._name)
        if not taken:
            return False
        if len(taken) == BATCH:
            self._woken.set()  # there may be more: for another worker
        placed = [self._place(due, due.request) for due in taken if due.request is not None]
        made = self._core.db.run(_commit, self._core, self._name, taken, placed)
        for one in placed:
            if one.attempt not in made:
                self._view.dropped(one.attempt)
        self._boot([(one.choice.kind, one.choice.target, one.attempt, _counted(one.due.row), one.spec)
                    for one in placed if one.choice.target is not None and one.attempt in made])
        self._repeat(taken)
        return len(taken) == BATCH

    def _place(self, due: Due, request: PlacementRequest) -> Placed:
        attempt = str(uuid.uuid4())
        return Placed(due, attempt, self._view.choose(request, due.asked, attempt))

    def _send(self, host: str, message: Message) -> None:
        service = self._core.service_of(host)
        if service is not None:
            self._core.wires.send(service, message)

    def _boot(self, boots: Sequence[tuple[str, str, str, Row, ServerSpec]]) -> None:
        """Send attempts (kind, target, id) at hosts, or hand them to neighbours."""
        handed = [row["id"] for kind, _, _, row, _ in boots if kind == "link"]
        requests = self._core.db.run(action_log.request_ids, handed) if handed else {}
        for kind, target, attempt, row, spec in boots:
            if kind == "link":
                self._core.neighbours.hand(target, handover_of(
                    self._core, row, target, attempt, spec, requests.get(row["id"], "")))
            else:
                self._send(target, Boot(attempt, target, self._open(spec)))

    def _repeat(self, taken: Sequence[Due]) -> None:
        boots = []
        for due in taken:
            current = current_attempt(due)
            if due.item["kind"] == "boot":
                if current is not None and due.row is not None:
                    boots.append((current["kind"], current["target"], current["id"], due.row,
                                  spec_of(due.row)))
            elif due.item["zone_uuid"] is not None:
                self._tell_zone(due.item)
            elif due.item["kind"] != elsewhere.HELD:
                message = self._message(due.item)
                self._send(message.host, message)
        self._boot(boots)

    def _tell_zone(self, item: Row) -> None:
        neighbours, zone, server = self._core.neighbours, item["zone_uuid"], item["server_id"]
        if item["kind"] == "remove":
            neighbours.recall(zone, server, item["args"]["attempts"])
        elif "failed" in item["args"]:
            neighbours.recall(zone, server, [item["attempt_id"]])
        else:
            image = msgspec.convert(item["args"]["image"], ImageValue)
            neighbours.push(zone, image, item["args"]["project_id"], server)

    def _message(self, item: Row) -> Act | Remove:
        if item["kind"] == "remove":
            return Remove(item["server_id"], item["args"]["attempts"], item["host"])
        args = item["args"]["args"]
        if args.get("admin_pass"):
            args = {**args, "admin_pass": self._core.unseal(args["admin_pass"])}
        return Act(item["op"], item["server_id"], item["attempt_id"], item["host"],
                   item["args"]["action"], args)

    def _open(self, spec: ServerSpec) -> ServerSpec:
        if spec.admin_pass is None:
            return spec
        return msgspec.structs.replace(spec, admin_pass=self._core.unseal(spec.admin_pass))


def _counted(row: Row | None) -> Row:
    """The row as it is once its new attempt is counted."""
    row = row or {}
    return {**row, "attempts": row.get("attempts", 0) + 1}


# ------------------------------------------------------------------ transactions

def _take(conn: Connection, core: Core, holder: str) -> list[Due]:
    items = work.take(conn, holder, BATCH, core.timing.lease)
    boots = [item["server_id"] for item in items if item["kind"] == "boot"]
    rows = changes.read(conn, boots)
    tried = attempts.of_servers(conn, boots)
    found, at = [], now(conn)
    for item in items:
        due = Due(item, rows.get(item["server_id"]), tried.get(item["server_id"], []))
        if item["kind"] == "boot" and due.row is not None and current_attempt(due) is None:
            due = placing.to_place(conn, item, due.row, due.attempts, at)
        found.append(due)
    return found


def _commit(conn: Connection, core: Core, holder: str, taken: Sequence[Due],
            placed: Sequence[Placed]) -> set[str]:
    """Write down the attempts of the rows that are still ours; their ids."""
    at = now(conn)
    changes.lock(conn, [due.item["server_id"] for due in taken])  # before their work, as everybody does
    held = work.keep(conn, holder, [due.item["id"] for due in taken])
    later: dict[int, float] = {}
    new: list[Placed] = []
    for one in placed:
        row, item = one.due.row or {}, one.due.item["id"]
        if item not in held:
            continue
        exhausted = row.get("attempts", 0) >= one.spec.attempts_left
        waits = one.choice.wait or (
            one.due.let_go and one.choice.target is None
            and at - one.due.item["created_at"] < core.timing.unknown_after)
        if waits and not exhausted:
            later[item] = at + LOOK_AGAIN
        elif one.choice.target is None or exhausted:
            placing.fail(conn, core, one, at, exhausted)
        elif not placing.anchored(conn, one):
            later[item] = at
        else:
            new.append(one)
            later[item] = at + core.timing.resend
    attempts.insert(conn, [placing.attempt_row(one, at) for one in new])
    changes.change_many(conn, [
        {"b_id": one.spec.id, "updated_at": at, "attempt_id": one.attempt, "news_version": 0,
         "attempts": (one.due.row or {}).get("attempts", 0) + 1} for one in new])
    for due in taken:
        if due.item["id"] in held and due.item["kind"] == elsewhere.HELD:
            elsewhere.lapse(conn, due.item["server_id"])
            work.remove_row(conn, due.item["id"])
        elif due.item["id"] in held and due.request is None:
            later[due.item["id"]] = at + _again(core, due)
            placing.lose_patience(conn, core, due, at)
    work.put_off(conn, holder, later)
    return {one.attempt for one in new}


def _again(core: Core, due: Due) -> float:
    current = current_attempt(due)
    if current is not None and (current["kind"], current["state"]) == ("link", states.ACCEPTED):
        return ASK_AGAIN
    return core.timing.resend if due.item["tries"] < PATIENT_TRIES else PATIENT


