"""Boots handed to neighbours: what is sent there, and what its answers mean here.

An answer counts only from the zone that the attempt was made at. A batch is one transaction; nothing is
acknowledged, for whatever was not heard is asked for again.
"""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from zones import states
from zones.db import attempts, changes, links, work
from zones.db.engine import Connection, now
from zones.db.later import Later
from zones.errors import ZonesError
from zones.protocol import ServerSpec, decode_spec
from zones.protocol.neighbours import Answered, Handover
from zones.servers import steps
from zones.servers.core import Core, Row
from zones.servers.steps import Batch, Counted, Said, Told

LOG = logging.getLogger(__name__)
MOST = 500
"""Answers in one transaction."""

WANTED = "wanted"
"""The answer that is neither yes nor no: the image is missing there."""

LONGEST_CODE, LONGEST_MESSAGE = 64, 1000


def handover_of(core: Core, row: Row, zone_uuid: str, attempt_id: str, spec: ServerSpec,
                request_id: str = "") -> Handover:
    """An attempt at a neighbour as it is sent there; `row` counts it already.

    What is known here only (hosts' names, ids of images, whose peer it is) stays here.
    """
    group, image, link = spec.group, spec.image, core.neighbours.name_of(zone_uuid)
    return Handover(attempt_id, msgspec.structs.replace(
        spec, owner_peer="", project_id=row["project_id"], path=[*spec.path, core.zone_uuid],
        hops_left=spec.hops_left - 1, attempts_left=max(1, spec.attempts_left - row["attempts"] + 1),
        availability_zone=_below(spec.availability_zone, link), hints=_hints(spec.hints, link),
        force_host=None, admin_pass=None if spec.admin_pass is None else core.unseal(spec.admin_pass),
        group=None if group is None else msgspec.structs.replace(group, members=[]),
        image=None if image is None else msgspec.structs.replace(image, local_id=None)),
        request_id=request_id)


def _below(availability_zone: str | None, link: str) -> str | None:
    """The neighbour's own word for `link` (any of its zones) or `link/az`."""
    if availability_zone == link:
        return None
    return availability_zone.removeprefix(f"{link}/") if availability_zone else availability_zone


def _hints(hints: dict[str, Any], link: str) -> dict[str, Any]:
    """The neighbour may call itself otherwise than our link does: a server meant for it just stays there."""
    if hints.get("zone") not in (link, [link]):
        return hints
    return {**{name: value for name, value in hints.items() if name != "zone"}, "local_zone_only": True}


def answered(core: Core, zone_uuid: str, answers: Sequence[Answered],
             told: Told = lambda attempt: None) -> None:
    """Apply what a neighbour answers to boots and recalls; then tell `told` of each attempt."""
    for start in range(0, len(answers), MOST):
        tell(core.db.run(_apply, core, zone_uuid, answers[start:start + MOST]), told)


def tell(applied: Batch, told: Told) -> None:
    """What follows the commit of a batch of answers, or of documents."""
    for attempt in applied.attempts.values():
        told(attempt)
    steps.after(applied)


def pushed(core: Core, zone_uuid: str, server_id: str) -> None:
    """An image has come to a neighbour that wanted it for this server: its boot is repeated at once."""
    core.db.run(_pushed, zone_uuid, server_id)
    core.wires.wake()


def push_failed(core: Core, zone_uuid: str, server_id: str, error: ZonesError) -> None:
    """An image can never come to a neighbour that wanted it: the boot is recalled there.

    Only its confirmation places the server elsewhere: the content may have come there on another way.
    """
    core.db.run(_push_failed, zone_uuid, server_id, error)
    core.wires.wake()


def hurry_zone(core: Core, zone_uuid: str) -> None:
    """A neighbour is back: all that waits for it is due now, first what it is to remove."""
    core.db.run(_hurry_zone, zone_uuid)
    core.wires.wake()


def at_zone(view: Batch, zone_uuid: str, attempt_id: str) -> Row | None:
    """The attempt, if it was made at that zone: nobody else's word on it counts."""
    attempt = view.attempts.get(attempt_id)
    if attempt is None or (attempt["kind"], attempt["target"]) != ("link", zone_uuid):
        LOG.warning("zone %s speaks of attempt %.40r, which was not made there", zone_uuid, attempt_id)
        return None
    return attempt


def place_again(view: Batch, attempt: Row, row: Row, said: Said) -> None:
    """The neighbour has nothing of it: users see it build, as they did."""
    building = {"vm_state": states.BUILDING, "task_state": "scheduling", "fault": None}
    steps.refused(
        view, attempt, row, said, zone_uuid=None, host_path=None, addresses={},
        power_state=states.NOSTATE, availability_zone=decode_spec(row["spec"]).availability_zone,
        **(building if row["vm_state"] in (states.BUILDING, states.ERROR) else {}))
    work.drop(view.later, row["id"], ["push"])


def refusal(code: str | None, message: str, as_of: Counted) -> Said:
    """A neighbour's no. Where it is for want of room, it holds until a summary comes of a later
    generation, for any reason, that counts no less than `as_of`: see `scheduler.choose`."""
    return Said(states.REFUSED, (code or "refused")[:LONGEST_CODE], message[:LONGEST_MESSAGE], as_of)


def summary_of(conn: Connection, zone_uuid: str) -> Counted:
    """The generation of a neighbour's last summary, and how far that counts its feed."""
    link = links.of_zone(conn, zone_uuid)
    return (0, 0) if link is None else (int(link["generation"]), int(link["feed_head"]))


# ------------------------------------------------------------------ transactions

def view_of(conn: Connection, core: Core, attempt_ids: Sequence[str],
            server_ids: Sequence[str]) -> Batch:
    """These attempts with their servers and those named beside, all locked."""
    named = attempts.read(conn, attempt_ids)
    locked = changes.lock(conn, [*server_ids, *(attempt["server_id"] for attempt in named.values())])
    return Batch(core, now(conn), locked, attempts.read(conn, attempt_ids), Later(conn))


def _apply(conn: Connection, core: Core, zone_uuid: str, answers: Sequence[Answered]) -> Batch:
    view = view_of(conn, core, [answer.attempt for answer in answers], [])
    as_of = summary_of(conn, zone_uuid)
    written: set[str] = set()
    for answer in answers:
        attempt = at_zone(view, zone_uuid, answer.attempt)
        if attempt is None:
            continue
        if attempt["server_id"] in written:
            view.later.flush()
            written.clear()
        written.add(attempt["server_id"])
        _answer(conn, view, answer, attempt, as_of)
    view.later.flush()
    return view


def _answer(conn: Connection, view: Batch, answer: Answered, attempt: Row, as_of: Counted) -> None:
    row = view.servers.get(attempt["server_id"])
    refused = answer.state == states.REFUSED
    if attempt["state"] == states.CANCELLED:
        steps.tombstoned(conn, view, attempt, gone=refused or answer.gone,
                         exists=answer.state in (states.ACCEPTED, states.ATTEMPT_RUNNING))
    elif row is None or not steps.is_current(attempt, row):
        LOG.info("a neighbour says %s of attempt %s, which is over", answer.state, answer.attempt)
    elif attempt["state"] == states.ATTEMPT_RUNNING:
        pass  # what it runs, or no longer does, is told by its documents
    elif answer.state == WANTED:
        _wanted(conn, view, attempt, row)
    elif answer.state in (states.ACCEPTED, states.ATTEMPT_RUNNING):
        if steps.accepted(view, attempt, Said(states.ACCEPTED)):
            work.drop(view.later, row["id"], ["push"])
            view.change(row, host=None, zone_uuid=attempt["target"])
    elif refused or answer.state == states.CANCELLED:
        _not_there(conn, view, answer, attempt, row, as_of)
    else:
        LOG.warning("zone %s answers %r to a boot", attempt["target"], answer.state[:LONGEST_CODE])


def _wanted(conn: Connection, view: Batch, attempt: Row, row: Row) -> None:
    """Once for each server: the boot waits until the image is there."""
    image = decode_spec(row["spec"]).image
    if image is None or attempt["state"] != states.OPEN:
        return
    view.later.flush()
    if not any(item["kind"] == "push" for item in work.of_server(conn, row["id"])):
        work.add(conn, [{"kind": "push", "server_id": row["id"], "zone_uuid": attempt["target"],
                         "attempt_id": attempt["id"], "due_at": view.at, "created_at": view.at,
                         "args": {"image": msgspec.to_builtins(image), "project_id": row["project_id"]}}])
        view.wake = True
    work.hurry(view.later, [row["id"]], "boot", view.at + view.core.timing.resend)


def _not_there(conn: Connection, view: Batch, answer: Answered, attempt: Row, row: Row,
               as_of: Counted) -> None:
    """A no; or our recall, of which what was accepted meanwhile must end first; or a tombstone that is
    not ours: we come from a backup."""
    failure = _failure(conn, row["id"]) if answer.state == states.CANCELLED else None
    if failure is None:
        place_again(view, attempt, row, refusal(answer.code or answer.state, answer.message, as_of))
    elif answer.gone:
        place_again(view, attempt, row, refusal(failure["code"], failure["message"], as_of))


def _failure(conn: Connection, server_id: str) -> dict[str, str] | None:
    """Why the image of a boot can't be brought to where it was sent."""
    return next((item["args"]["failed"] for item in work.of_server(conn, server_id)
                 if item["kind"] == "push" and "failed" in item["args"]), None)


def _push_failed(conn: Connection, zone_uuid: str, server_id: str, error: ZonesError) -> None:
    row = changes.lock(conn, [server_id]).get(server_id)
    for item in work.of_server(conn, server_id) if row else ():
        if item["kind"] == "push" and item["zone_uuid"] == zone_uuid:
            failed = {"code": error.code or "image_not_there", "message": error.message}
            work.replace_args(conn, item["id"], {**item["args"], "failed": failed})
            work.hurry(conn, [server_id], "push", now(conn))


def _pushed(conn: Connection, zone_uuid: str, server_id: str) -> None:
    changes.lock(conn, [server_id])
    waiting = [item for item in work.of_server(conn, server_id)
               if item["kind"] == "push" and item["zone_uuid"] == zone_uuid]
    for item in waiting:
        work.remove_row(conn, item["id"])
    if waiting:
        work.hurry(conn, [server_id], "boot", now(conn))


def _hurry_zone(conn: Connection, zone_uuid: str) -> None:
    work.hurry_zone(conn, zone_uuid, now(conn))
