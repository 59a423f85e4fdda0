"""What one row of work means for its server: where it may be placed, what is written of that choice, and
when patience ends. Called by `worker` inside its transactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from zones import states
from zones.db import action_log, changes, work
from zones.db.engine import Connection
from zones.protocol import ImageValue, ServerSpec, decode_spec
from zones.scheduler.choose import Choice
from zones.scheduler.explain import Explanation, explain, render
from zones.scheduler.request import PlacementRequest
from zones.servers import handover
from zones.servers.core import Core, Row
from zones.servers.steps import fault

NOWHERE = "No valid zone or host was found: "


@dataclass(frozen=True)
class Due:
    """One row of work with what is needed to do it."""

    item: dict[str, Any]
    row: Row | None
    attempts: list[dict[str, Any]]
    request: PlacementRequest | None = None
    asked: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Hosts and zones that refused this server for want of room, as of which (boot, seq)."""
    let_go: bool = False
    """A target that it could go to still holds an earlier attempt, whose tombstone is on its way."""


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


def spec_of(row: Row) -> ServerSpec:
    """What is built: as it was booted, or, in this zone alone, of its snapshot where it is shelved."""
    spec, snapshot = decode_spec(row["spec"]), row["shelved_image_id"]
    return msgspec.structs.replace(spec, image=ImageValue(id=snapshot), hops_left=0) if snapshot else spec


def current_attempt(due: Due) -> dict[str, Any] | None:
    """The attempt that a boot waits for an answer to, if any."""
    for attempt in due.attempts:
        if due.row is not None and attempt["id"] == due.row["attempt_id"] and attempt["state"] in (
                states.OPEN, states.ACCEPTED):
            return attempt
    return None


def to_place(conn: Connection, item: dict[str, Any], row: Row, tried: list[dict[str, Any]],
              at: float) -> Due:
    """A boot that waits for no answer, with all that a choice needs to know."""
    spec = spec_of(row)
    this_boot = tried[len(tried) - row["attempts"]:] if row["attempts"] else []
    refused = [attempt for attempt in this_boot if attempt["state"] == states.REFUSED]
    if refused and spec.group:
        changes.free_anchor(conn, spec.group.id)  # the group is not tied to a host that took none of it
    asked = {attempt["target"]: (attempt["counted_boot"], attempt["counted_seq"])
             for attempt in refused if (attempt["reason"] or {}).get("code") in states.ROOM_REASONS}
    held = {attempt["target"] for attempt in refused if (attempt["reason"] or {}).get("code") == "held"}
    holding = held and held & {other["zone_uuid"] or other["host"]
                               for other in work.of_server(conn, row["id"])}
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


def lose_patience(conn: Connection, core: Core, due: Due, at: float) -> None:
    """Nobody answered for long: say so. The attempt stays open, and later news wins."""
    if due.item["kind"] == "boot" and due.row is None:
        work.remove_row(conn, due.item["id"])
        return
    current = current_attempt(due)
    if (current is not None and due.row is not None and due.row["vm_state"] == states.BUILDING
            and current["state"] == states.OPEN
            and current["created_at"] < at - core.timing.unknown_after):
        changes.change(conn, due.row["id"], at, vm_state=states.ERROR, task_state=None, fault=fault(
            f"{_where(core, current)} does not say what became of this server; nothing else is "
            "tried until it does, or until an operator settles it.", "unknown_at_zone", at))


def _where(core: Core, attempt: Row) -> str:
    if attempt["kind"] == "link":
        return f"Zone {core.neighbours.name_of(attempt['target'])}"
    return f"Host {attempt['target']}"


def anchored(conn: Connection, one: Placed) -> bool:
    """Whether an affinity group agrees with the host or zone; its first member sets it."""
    group, target = one.spec.group, one.choice.target
    if group is None or group.policy != "affinity" or target is None:
        return True
    return changes.anchor_group(conn, group.id, target) == target


def attempt_row(one: Placed, at: float) -> dict[str, Any]:
    """The attempt to insert."""
    need = one.choice.request.need
    return {"id": one.attempt, "server_id": one.spec.id, "n": len(one.due.attempts) + 1,
            "kind": one.choice.kind, "target": one.choice.target, "state": states.OPEN,
            "maybe": one.choice.maybe, "vcpus": need.vcpus, "ram": need.ram, "disk": need.disk,
            "explanation": one.explanation(), "created_at": at, "updated_at": at}


def fail(conn: Connection, core: Core, one: Placed, at: float, exhausted: bool) -> None:
    """It fits nowhere: ERROR with the reasons; a shelved server stays shelved. A peer that booted it is
    told no instead, for it may place it elsewhere."""
    row = one.due.row
    if row is None:
        return
    explanation = None if exhausted else one.explanation()  # which would say where it was to be tried next
    message = f"{NOWHERE}{_why(core, one, row, explanation)}"
    work.drop(conn, row["id"], ["boot", "push"])
    if row["vm_state"] == states.SHELVED_OFFLOADED:
        changes.change(conn, row["id"], at, task_state=None)
        action_log.end(conn, at, server_id=row["id"], action="unshelve", result="Error",
                       message=message)
        return
    if row["peer_id"] and row["launched_at"] is None:
        handover.refuse(conn, core, row, at, "no_valid_host", message, explanation)
        return
    changes.change(conn, row["id"], at, vm_state=states.ERROR, task_state=None, fault=fault(
        message, "no_valid_host", at) | ({"explanation": explanation} if explanation else {}))
    action_log.end(conn, at, server_id=row["id"], action="create", result="Error", message=message)


def _why(core: Core, one: Placed, row: Row, explanation: Explanation | None) -> str:
    """What was decided here last, and the last refusal. A neighbour's stands first: it knows the cause."""
    why = (f"All {row['attempts']} attempts were refused." if explanation is None
           else render(explanation).removeprefix("No valid host: "))
    refused = [attempt for attempt in one.due.attempts if attempt["state"] == states.REFUSED]
    if not refused or not refused[-1]["reason"]:
        return why
    last = refused[-1]
    said = last["reason"]["message"].removeprefix(NOWHERE).rstrip(".")
    if last["kind"] == "link":
        return f"zone {core.neighbours.name_of(last['target'])}: {said}. {why}"
    return f"{why} Last refusal: {last['target']}: {said}."
