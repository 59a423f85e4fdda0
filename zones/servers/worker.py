"""Do the work that is due: place servers, and repeat what was sent until it is answered.

Many workers, in many processes, take rows from one table; a row is leased, so a worker that dies
only delays it. The attempt is committed, under that lease, before anything is sent.
"""

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from zones import states
from zones.db import action_log, attempts, changes, work
from zones.db.engine import Connection, now
from zones.errors import ZonesError
from zones.protocol import Act, Boot, ImageValue, Message, Remove, ServerSpec, decode_spec
from zones.scheduler.choose import Choice
from zones.scheduler.explain import Explanation, explain, render
from zones.scheduler.request import PlacementRequest
from zones.servers.core import Core, Row
from zones.servers.steps import fault

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


@dataclass(frozen=True)
class Due:
    """One row of work with what is needed to do it."""

    item: dict[str, Any]
    row: Row | None
    attempts: list[dict[str, Any]]
    request: PlacementRequest | None = None
    asked: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Hosts that refused this server for want of room, as of which (boot, seq)."""
    let_go: bool = False
    """A host that it could go to still holds an earlier attempt, whose tombstone is on its way."""


@dataclass(frozen=True)
class Placed:
    """A choice for one row of work, not committed yet."""

    due: Due
    attempt: str
    choice: Choice

    @property
    def spec(self) -> ServerSpec:
        """What is placed."""
        return self.choice.request.spec

    def explanation(self) -> Explanation:
        """Why it is placed there, or nowhere."""
        return explain(self.choice.decision, self.choice.target)


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
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                busy = self._view.warm() and self.round()
            except ZonesError as error:
                LOG.warning("a round of work was broken off: %s", error)
                busy = False
            except Exception:
                LOG.exception("a round of work failed; what was taken is taken again")
                busy = False
            if not busy:
                self._woken.wait(self._core.timing.poll_work)

    def round(self) -> bool:
        """Do up to `BATCH` rows that are due; whether there may be more."""
        taken = self._core.db.run(_take, self._core, self._name)
        if not taken:
            return False
        placed = [self._place(due, due.request) for due in taken if due.request is not None]
        made = self._core.db.run(_commit, self._core, self._name, taken, placed)
        for one in placed:
            if one.attempt not in made:
                self._view.dropped(one.attempt)
        for service_host, message in self._messages(taken, placed, made):
            self._send(service_host, message)
        return len(taken) == BATCH

    def _place(self, due: Due, request: PlacementRequest) -> Placed:
        attempt = str(uuid.uuid4())
        return Placed(due, attempt, self._view.choose(request, due.asked, attempt))

    def _send(self, host: str, message: Message) -> None:
        service = self._core.service_of(host)
        if service is not None:
            self._core.wires.send(service, message)

    def _messages(self, taken: Sequence[Due], placed: Sequence[Placed],
                  made: set[str]) -> list[tuple[str, Message]]:
        messages: list[tuple[str, Message]] = [
            (one.choice.target, Boot(one.attempt, one.choice.target, self._open(one.spec)))
            for one in placed if one.choice.target is not None and one.attempt in made]
        for due in taken:
            message = self._repeat(due)
            if message is not None:
                messages.append((message.host, message))
        return messages

    def _repeat(self, due: Due) -> Boot | Act | Remove | None:
        item = due.item
        if item["kind"] == "remove":
            return Remove(item["server_id"], item["args"]["attempts"], item["host"])
        if item["kind"] == "act":
            args = item["args"]["args"]
            if args.get("admin_pass"):
                args = {**args, "admin_pass": self._core.unseal(args["admin_pass"])}
            return Act(item["op"], item["server_id"], item["attempt_id"], item["host"],
                       item["args"]["action"], args)
        current = current_attempt(due)
        if current is None or due.row is None:
            return None
        return Boot(current["id"], current["target"], self._open(spec_of(due.row)))

    def _open(self, spec: ServerSpec) -> ServerSpec:
        if spec.admin_pass is None:
            return spec
        return msgspec.structs.replace(spec, admin_pass=self._core.unseal(spec.admin_pass))


def spec_of(row: Row) -> ServerSpec:
    """What is built: as it was booted, or of its snapshot where it is shelved."""
    spec, snapshot = decode_spec(row["spec"]), row["shelved_image_id"]
    return msgspec.structs.replace(spec, image=ImageValue(id=snapshot)) if snapshot else spec


def current_attempt(due: Due) -> dict[str, Any] | None:
    """The attempt that a boot waits for an answer to, if any."""
    for attempt in due.attempts:
        if due.row is not None and attempt["id"] == due.row["attempt_id"] and attempt["state"] in (
                states.OPEN, states.ACCEPTED):
            return attempt
    return None


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
            due = _to_place(conn, item, due.row, due.attempts, at)
        found.append(due)
    return found


def _to_place(conn: Connection, item: dict[str, Any], row: Row, tried: list[dict[str, Any]],
              at: float) -> Due:
    spec = spec_of(row)
    this_boot = tried[len(tried) - row["attempts"]:] if row["attempts"] else []
    refused = [attempt for attempt in this_boot if attempt["state"] == states.REFUSED]
    if refused and spec.group:
        changes.free_anchor(conn, spec.group.id)  # the group is not tied to a host that took none of it
    asked = {attempt["target"]: (attempt["counted_boot"], attempt["counted_seq"])
             for attempt in refused if (attempt["reason"] or {}).get("code") in states.ROOM_REASONS}
    held = {attempt["target"] for attempt in refused if (attempt["reason"] or {}).get("code") == "held"}
    holding = held and held & {other["host"] for other in work.of_server(conn, row["id"])}
    request = PlacementRequest(
        spec=spec, age=at - item["created_at"],
        excluded=frozenset(attempt["target"] for attempt in refused) - asked.keys() - (held - holding),
        same_hosts=_hosts(conn, spec.hints.get("same_host")),
        different_hosts=_hosts(conn, spec.hints.get("different_host")) or frozenset(),
        group_hosts=tuple(changes.group_hosts(conn, spec.group.id)) if spec.group else ())
    return Due(item, row, tried, request, asked, bool(holding))


def _hosts(conn: Connection, hint: Any) -> frozenset[str] | None:
    """The hosts of the servers that a hint names; None without the hint."""
    if not hint:
        return None
    ids = [hint] if isinstance(hint, str) else [str(name) for name in hint]
    return frozenset(changes.hosts_of(conn, ids).values())


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
            _fail(conn, one, at, exhausted)
        elif not _anchored(conn, one):
            later[item] = at
        else:
            new.append(one)
            later[item] = at + core.timing.resend
    attempts.insert(conn, [_attempt_row(one, at) for one in new])
    changes.change_many(conn, [
        {"b_id": one.spec.id, "updated_at": at, "attempt_id": one.attempt, "news_version": 0,
         "attempts": (one.due.row or {}).get("attempts", 0) + 1} for one in new])
    for due in taken:
        if due.item["id"] in held and due.request is None:
            later[due.item["id"]] = at + _again(core, due)
            _lose_patience(conn, core, due, at)
    work.put_off(conn, holder, later)
    return {one.attempt for one in new}


def _again(core: Core, due: Due) -> float:
    return core.timing.resend if due.item["tries"] < PATIENT_TRIES else PATIENT


def _lose_patience(conn: Connection, core: Core, due: Due, at: float) -> None:
    """Nobody answered for long: say so. The attempt stays open, and later news wins."""
    if due.item["kind"] == "boot" and due.row is None:
        work.remove_row(conn, due.item["id"])
        return
    current = current_attempt(due)
    if (current is not None and due.row is not None and due.row["vm_state"] == states.BUILDING
            and current["state"] == states.OPEN
            and current["created_at"] < at - core.timing.unknown_after):
        changes.change(conn, due.row["id"], at, vm_state=states.ERROR, task_state=None, fault=fault(
            f"Host {current['target']} does not say what became of this server; nothing else is "
            "tried until it does, or until an operator settles it.", "unknown_at_zone", at))


def _anchored(conn: Connection, one: Placed) -> bool:
    """Whether an affinity group agrees with the host; its first member sets it."""
    group, target = one.spec.group, one.choice.target
    if group is None or group.policy != "affinity" or target is None:
        return True
    return changes.anchor_group(conn, group.id, target) == target


def _attempt_row(one: Placed, at: float) -> dict[str, Any]:
    need = one.choice.request.need
    return {"id": one.attempt, "server_id": one.spec.id, "n": len(one.due.attempts) + 1,
            "kind": "host", "target": one.choice.target, "state": states.OPEN,
            "maybe": one.choice.maybe, "vcpus": need.vcpus, "ram": need.ram, "disk": need.disk,
            "explanation": one.explanation(), "created_at": at, "updated_at": at}


def _fail(conn: Connection, one: Placed, at: float, exhausted: bool) -> None:
    """It fits nowhere: ERROR with the reasons; a shelved server stays shelved."""
    row = one.due.row
    if row is None:
        return
    explanation = one.explanation()
    why = render(explanation).removeprefix("No valid host: ")
    refused = [attempt for attempt in one.due.attempts if attempt["state"] == states.REFUSED]
    if refused and refused[-1]["reason"]:
        why += f" Last refusal: {refused[-1]['target']}: {refused[-1]['reason']['message']}."
    if exhausted:
        why = f"All {row['attempts']} attempts were refused. {why}"
    message = f"No valid zone or host was found: {why}"
    work.drop(conn, row["id"], ["boot"])
    if row["vm_state"] == states.SHELVED_OFFLOADED:
        changes.change(conn, row["id"], at, task_state=None)
        action_log.end(conn, at, server_id=row["id"], action="unshelve", result="Error",
                       message=message)
        return
    changes.change(conn, row["id"], at, vm_state=states.ERROR, task_state=None,
                   fault={**fault(message, "no_valid_host", at),
                          "explanation": explanation})
    action_log.end(conn, at, server_id=row["id"], action="create", result="Error", message=message)
