"""What neighbours boot here: accepted durably under their own attempts, or refused, at once or later.

An attempt is answered once. What refuses it for ever is its row in `incoming`, which is written in the
transaction that accepts, refuses or recalls it, and while no other one does that for the same server.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from zones import states
from zones.config import Quota
from zones.db import action_log, changes, incoming, peers, quotas, work
from zones.db.engine import Connection, now
from zones.errors import Conflict, Forbidden, Invalid, OverQuota, Unavailable
from zones.protocol import Caller, ServerSpec
from zones.protocol.neighbours import Answered, Handover
from zones.servers import delete
from zones.servers.boot import row_of
from zones.servers.core import Core, Row
from zones.servers.offered import MOST_HOPS, Offer, is_id, offers, projects, refusal, request_of
from zones.servers.steps import fault

MOST_BOOTS = 64
MOST_RECALLED = 200
_ANEW: Row = {
    "old_flavor": None, "hidden": False, "host": None, "zone_uuid": None, "locked": False, "locked_by": None,
    "locked_reason": None, "fault": None, "progress": 0, "launched_at": None, "terminated_at": None,
    "deleted": False, "attempt_id": None, "attempts": 0, "news_version": 0, "held_version": 0,
    "host_path": None, "shelved_image_id": None}
"""What a row has at its insert: a server that is booted once more has it again."""


def is_refused(row: Row) -> bool:
    """Whether the server was booted by a peer and refused to it: nothing of it is here."""
    return bool(row["peer_id"] and row["hidden"] and row["vm_state"] == states.ERROR
                and row["task_state"] is None and not row["deleted"])


# ------------------------------------------------------------------ accept

def accept(core: Core, caller: Caller, boots: list[Handover]) -> list[Answered]:
    """Take a peer's boots, or say no to them, each for itself; in the same order.

    Raises `Unavailable` when too much work waits, `TooLarge` and `Invalid` for what is no such call.
    """
    if len(boots) > MOST_BOOTS or not all(is_id(one.attempt) and is_id(one.spec.id) for one in boots):
        raise Invalid(f"at most {MOST_BOOTS} boots, whose attempts and servers have UUIDs", code="bad_boots")
    ours = core.db.run(_projects, caller.peer, boots)
    found = offers(core, caller, boots, ours)
    answers = core.db.run(_accept, core, caller, found)
    if any(answer.state == states.ACCEPTED for answer in answers):
        core.wires.wake()
    return answers


def _projects(conn: Connection, peer_id: str, boots: list[Handover]) -> dict[str, Any]:
    peer = peers.row(conn, peer_id)
    if peer is None:
        raise Forbidden("There is no record of this peer any more.", code="no_peer")
    return projects(conn, peer, {boot.spec.project_id for boot in boots})


@dataclass
class _Intake:
    """One transaction: what is known, which it adds to, and what is inserted at its end."""

    core: Core
    caller: Caller
    at: float
    known: dict[str, Row]
    servers: dict[str, Row]
    limits: dict[str, Quota] = field(default_factory=dict)
    new: list[Row] = field(default_factory=list)
    work: list[Row] = field(default_factory=list)
    actions: list[Row] = field(default_factory=list)
    answered: list[Row] = field(default_factory=list)


def _accept(conn: Connection, core: Core, caller: Caller, found: list[Offer]) -> list[Answered]:
    if work.is_full(conn, core.max_backlog):
        raise Unavailable(f"{core.max_backlog} requests wait already; try again shortly",
                          code="backlog", retry_after=5)
    ids = [one.boot.spec.id for one in found]
    incoming.hold(conn, ids)
    intake = _Intake(core, caller, now(conn),
                     incoming.read(conn, caller.peer, [one.boot.attempt for one in found]),
                     changes.lock(conn, ids))
    answers: dict[int, Answered] = {}
    for place, one in sorted(enumerate(found), key=lambda pair: (pair[1].project, pair[0])):
        answers[place] = _answer(conn, intake, one)  # by project: so all take quota in the same order
    incoming.add(conn, intake.answered)
    changes.insert_servers(conn, intake.new)
    work.add(conn, intake.work)
    if intake.actions:
        action_log.begin(conn, intake.actions)
    return [answers[place] for place in range(len(found))]


def _answer(conn: Connection, intake: _Intake, one: Offer) -> Answered:
    boot, core = one.boot, intake.core
    if core.zone_uuid in boot.spec.path:
        return refusal(boot.attempt, "loop", "the boot has come through this zone before")
    if boot.spec.hops_left < 1 or len(boot.spec.path) > MOST_HOPS:
        return refusal(boot.attempt, "too_many_hops", "the boot has passed through as many zones as it may")
    known = intake.known.get(boot.attempt)
    if known is not None:
        return _again(boot, known)
    answer = _held(intake, boot) or one.answer
    if answer is None and one.spec is not None:
        answer = _take(conn, intake, boot, one.spec)
    if answer is not None and answer.state != "wanted":
        row = {"peer_id": intake.caller.peer, "attempt_id": boot.attempt, "server_id": boot.spec.id,
               "state": answer.state, "code": (answer.code or "")[:64] or None, "message": answer.message,
               "created_at": intake.at, "updated_at": intake.at}
        intake.known[boot.attempt] = row
        intake.answered.append(row)
    assert answer is not None
    return answer


def _again(boot: Handover, known: Row) -> Answered:
    if known["server_id"] != boot.spec.id:
        return refusal(boot.attempt, "attempt_used", "this attempt was made for another server")
    return Answered(boot.attempt, known["state"], known["code"], known["message"] or "")


def _held(intake: _Intake, boot: Handover) -> Answered | None:
    """No to a second attempt at a server that is here; whose it is otherwise is not said."""
    row = intake.servers.get(boot.spec.id)
    if row is None or is_refused(row):  # by another way of a diamond it may fit now; who was refused
        return None                     # is told so by the attempt, too, when it asks again
    if row["deleted"] and row["peer_id"] == intake.caller.peer:
        return None
    return refusal(boot.attempt, "held", "a server of that id is in this zone")


def _take(conn: Connection, intake: _Intake, boot: Handover, spec: ServerSpec) -> Answered:
    """Everything that «accepted» promises."""
    caller, at = intake.caller, intake.at
    try:
        _reserve(conn, intake, spec)
    except OverQuota as error:
        return refusal(boot.attempt, "over_quota", error.message)
    if spec.group is not None:
        incoming.keep_group(conn, {
            "id": spec.group.id, "project_id": spec.project_id, "name": "of a neighbour's user",
            "policy": spec.group.policy, "rules": spec.group.rules, "anchor": None, "created_at": at})
    row = {**row_of(spec, at), "peer_id": caller.peer, "origin_attempt": boot.attempt}
    if spec.id in intake.servers:
        values = {name: value for name, value in row.items() if name not in ("id", "version", "updated_at")}
        changes.change(conn, spec.id, at, **{**_ANEW, **values})
    else:
        intake.new.append(row)
    intake.servers[spec.id] = {**_ANEW, **row}
    intake.work.append({"kind": "boot", "server_id": spec.id, "due_at": at, "created_at": at})
    intake.actions.append({
        "server_id": spec.id, "action": "create", "request_id": request_of(boot, caller),
        "user_id": spec.user_id, "project_id": spec.project_id, "start_time": at})
    return Answered(boot.attempt, states.ACCEPTED)


def _reserve(conn: Connection, intake: _Intake, spec: ServerSpec) -> None:
    project = spec.project_id
    if project not in intake.limits:
        intake.limits[project] = quotas.effective_limits(conn, project, intake.core.quota)
    quotas.reserve(conn, spec.owner_peer, project, intake.limits[project], 1, spec.flavor.vcpus,
                   spec.flavor.ram)


# ------------------------------------------------------------------ recall

def recall(core: Core, caller: Caller, server_id: str, attempts: list[str]) -> list[Answered]:
    """Refuse these attempts for ever, even never seen ones, and delete the server that is under one.

    `gone` once nothing of it is left. Raises `Invalid`; `Conflict` for attempts of another server.
    """
    if not 0 < len(attempts) <= MOST_RECALLED or not all(map(is_id, [server_id, *attempts])):
        raise Invalid(f"name 1 to {MOST_RECALLED} attempts of a server by their UUIDs", code="bad_recall")
    gone, going, shelved, snapshots = core.db.run(_recall, core, caller, server_id, attempts)
    if going:
        core.wires.wake()
    delete.discard(core, caller, server_id, shelved, snapshots)
    return [Answered(attempt, states.CANCELLED, gone=gone) for attempt in attempts]


def _recall(conn: Connection, core: Core, caller: Caller, server_id: str,
            attempts: list[str]) -> tuple[bool, bool, list[str], list[str]]:
    """Whether nothing is left; whether somebody is to be told; and the images, as `delete.begin` says."""
    incoming.hold(conn, [server_id])
    at, peer = now(conn), caller.peer
    row = changes.lock(conn, [server_id]).get(server_id)
    known = incoming.read(conn, peer, attempts)
    if any(one["server_id"] != server_id for one in known.values()):
        raise Conflict("such an attempt was made for another server", code="attempt_used")
    for attempt in known:
        incoming.change(conn, peer, attempt, at, state=states.CANCELLED)
    incoming.add(conn, [
        {"peer_id": peer, "attempt_id": attempt, "server_id": server_id, "state": states.CANCELLED,
         "created_at": at, "updated_at": at} for attempt in dict.fromkeys(attempts) if attempt not in known])
    if row is None or row["peer_id"] != peer or row["deleted"] or row["origin_attempt"] not in attempts:
        return True, False, [], []
    if is_refused(row):
        left = any(item["kind"] == "remove" for item in work.of_server(conn, server_id))
        return not left, left, [], []
    if row["task_state"] == "deleting":
        return False, True, [], []
    who = msgspec.structs.replace(caller, user_id=row["user_id"], project_id=row["project_id"])
    going, shelved, snapshots = delete.begin(conn, core, who, row, at)
    return not going, going, shelved, snapshots


# ------------------------------------------------------------------ refuse

def refuse(conn: Connection, core: Core, row: Row, at: float, code: str, message: str,
           explanation: Any = None) -> None:
    """A locked server that a peer booted, and that never ran, is not to be had here: tell it no.

    It is in no list any more, and its document says so. Harmless when repeated.
    """
    if is_refused(row) or row["deleted"] or row["task_state"] == "deleting":
        return
    work.drop(conn, row["id"], ["boot", "act", "push"])
    why = fault(message, code, at)
    values: Row = {
        "hidden": True, "vm_state": states.ERROR, "task_state": None, "power_state": states.NOSTATE,
        "host": None, "zone_uuid": None, "host_path": None, "addresses": {}, "attempt_id": None,
        "terminated_at": at, "fault": why if explanation is None else {**why, "explanation": explanation}}
    changes.change(conn, row["id"], at, **values)
    row.update(values)
    incoming.change(conn, row["peer_id"], row["origin_attempt"], at, state=states.REFUSED, code=code[:64],
                    message=message)
    quotas.release(conn, row["owner_peer"], row["project_id"], 1, row["quota_cores"], row["quota_ram"])
    action_log.end(conn, at, server_id=row["id"], action="create", result="Error", message=message)
    if row["group_id"]:
        changes.free_anchor(conn, row["group_id"])
