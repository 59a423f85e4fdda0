"""What neighbours run for this zone, as rows of this zone: kept by the documents of their feeds.

A neighbour owns the truth about what it runs. It is believed of a server only under the attempt that was
made there and is the server's current one, and only in a greater version than the last; what was
deleted here stays deleted. Documents and the cursor behind them are committed together.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zones import states
from zones.db import action_log, attempts, changes, links, work
from zones.db.engine import Connection
from zones.protocol.neighbours import Changes, ImageDoc, ServerDoc
from zones.servers import adopt, credible, delete, elsewhere, forward, steps
from zones.servers.core import Core, Row
from zones.servers.steps import Batch, Said, Told, fault

LOG = logging.getLogger(__name__)
Images = Callable[[str, list[ImageDoc]], object]
"""Takes the images of a zone's feed; harmless when repeated."""

DELETED_THERE, LOST = "deleted_by_zone", "lost_by_zone"
_RESIZES = frozenset({"resize_prep", "resize_confirming", "resize_reverting"})
_AS_SAID = (
    "vm_state", "task_state", "power_state", "addresses", "metadata", "tags", "name", "hostname",
    "description", "flavor", "old_flavor", "fault", "locked", "locked_by", "locked_reason", "key_name",
    "user_data", "config_drive", "access_ip_v4", "access_ip_v6", "progress", "launched_at", "host_path")


def hear(core: Core, zone_uuid: str, heard: Changes, told: Told = lambda attempt: None,
         images: Images | None = None) -> None:
    """Apply what a neighbour's feed says, and keep its cursor; then tell `told` of each attempt.

    A cursor without a number means that all is read anew, perhaps of a neighbour that came back from a
    backup: then whatever differs counts, for its versions may have begun again.
    """
    if images is not None and heard.images:
        images(zone_uuid, heard.images)  # before the cursor: what fails here is heard again
    anew = not heard.cursor.rpartition(".")[2].isdecimal()
    docs = heard.servers
    for start in range(0, max(len(docs), 1), forward.MOST):
        last = start + forward.MOST >= len(docs)
        forward.tell(core.db.run(_apply, core, zone_uuid, docs[start:start + forward.MOST],
                                 heard.cursor if last else None, anew), told)


def document_heard(core: Core, zone_uuid: str, doc: ServerDoc,
                   told: Told = lambda attempt: None) -> None:
    """Apply one document that was fetched by itself."""
    forward.tell(core.db.run(_apply, core, zone_uuid, [doc], None, False), told)


def known(core: Core, zone_uuid: str) -> list[str]:
    """The ids of the servers that are there, as far as this zone knows."""
    return core.db.run(changes.at_zone, zone_uuid)


def lost(core: Core, zone_uuid: str, server_id: str, *, restored: bool,
         told: Told = lambda attempt: None) -> None:
    """A neighbour does not have this server any more. It was deleted there; or, when the neighbour was
    `restored` from a backup, nobody knows, and that is an error."""
    forward.tell(core.db.run(_lost, core, zone_uuid, server_id, restored), told)


# ------------------------------------------------------------------ transactions

def _apply(conn: Connection, core: Core, zone_uuid: str, docs: Sequence[ServerDoc], cursor: str | None,
           anew: bool) -> Batch:
    view = forward.view_of(conn, core, [doc.attempt for doc in docs], [doc.id for doc in docs])
    link = core.neighbours.name_of(zone_uuid)
    generation, head = forward.summary_of(conn, zone_uuid)
    written: set[str] = set()
    for doc in docs:
        if doc.id in written:
            view.later.flush()
        written.add(doc.id)
        values = _columns(doc, link)
        if not credible.can_be_kept(doc, values):
            LOG.warning("zone %s tells of server %.40r what can't be kept", link, doc.id)
            continue
        attempt = view.attempts.get(doc.attempt) or adopt.unknown(conn, view, zone_uuid, doc)
        if (attempt is not None and attempt["server_id"] == doc.id
                and forward.at_zone(view, zone_uuid, doc.attempt) is not None):
            _document(conn, view, _Heard(doc, values, (generation, max(head, doc.seq)), anew), attempt)
    view.later.flush()
    if cursor is not None:
        links.set_cursor(conn, zone_uuid, cursor)
    return view


@dataclass(frozen=True)
class _Heard:
    """A document, the columns that follow it, as of which summary it says no (see `forward.refusal`), and
    whether it counts whatever its version."""

    doc: ServerDoc
    values: Row
    as_of: steps.Counted
    anew: bool

    def is_newer(self, row: Row) -> bool:
        """Whether it says more than the row knows. A neighbour that came back from a backup may give a
        version that we know to something else."""
        if self.doc.version > row["news_version"]:
            return True
        return self.anew and (self.doc.version < row["news_version"] or self.doc.deleted or self.doc.refused
                              or any(row[name] != value for name, value in self.values.items()))


def _document(conn: Connection, view: Batch, heard: _Heard, attempt: Row) -> None:
    doc, row = heard.doc, view.servers.get(heard.doc.id)
    there = not doc.refused and not doc.deleted
    if attempt["state"] == states.CANCELLED:
        if there and (attempt["reason"] or {}).get("code") in (DELETED_THERE, LOST):
            LOG.warning("server %s is there again in zone %s, which said that it is not", doc.id,
                        attempt["target"])
        else:
            steps.tombstoned(conn, view, attempt, exists=there, gone=not there)
    elif row is None or not steps.is_current(attempt, row):
        if there:
            _stray(conn, view, attempt)
    elif not heard.is_newer(row):
        LOG.debug("server %s was heard of in version %d already", doc.id, doc.version)
    elif doc.refused:
        if not steps.is_late(attempt, states.REFUSED):
            why = doc.fault or {}
            forward.place_again(view, attempt, row, forward.refusal(
                str(why.get("reason") or "refused"), str(why.get("message") or ""), heard.as_of))
    elif doc.deleted:
        _ended(conn, view, attempt, row, DELETED_THERE, "It was deleted in the zone that ran it.")
    else:
        _mirrored(conn, view, doc, attempt, row, heard.values)


def _stray(conn: Connection, view: Batch, attempt: Row) -> None:
    """A neighbour has what it said it would not: nothing else tells it that this is over."""
    attempts.change(conn, attempt["id"], view.at, state=states.CANCELLED, answered_at=None)
    attempt.update(state=states.CANCELLED, answered_at=None)
    steps.tombstoned(conn, view, attempt, exists=True, gone=False)


def _mirrored(conn: Connection, view: Batch, doc: ServerDoc, attempt: Row, row: Row, values: Row) -> None:
    _moved(view, doc, attempt, row)
    values = {**values, "news_version": doc.version, "host": None, "zone_uuid": attempt["target"],
              "image_id": doc.image_id or row["image_id"]}
    if doc.version >= row["held_version"] and doc.task_state not in _RESIZES:
        values.update(elsewhere.recount(conn, row, doc.flavor, doc.old_flavor))
    if doc.version >= row["held_version"] > row["news_version"]:
        work.drop(view.later, row["id"], [elsewhere.HELD])
    view.change(row, **values)


def _moved(view: Batch, doc: ServerDoc, attempt: Row, row: Row) -> None:
    """What the document says of the attempt. One that never ran is not over: its zone may still refuse."""
    counted = (0, doc.seq) if doc.placed else None
    in_doubt = doc.vm_state == states.ERROR and doc.launched_at is None
    if attempt["state"] == states.ATTEMPT_RUNNING:
        return
    if doc.vm_state != states.BUILDING and not in_doubt:
        steps.runs(view, attempt, row, Said(states.ATTEMPT_RUNNING, counted=counted), None)
    elif not steps.accepted(view, attempt, Said(states.ACCEPTED, counted=counted)) and (
            counted is not None and not attempt["counted_seq"]):
        steps.note(view, attempt, Said(states.ACCEPTED, counted=counted))
    work.drop(view.later, row["id"], ["push"])


def _columns(doc: ServerDoc, link: str) -> Row:
    """The columns of a server's row that follow its document."""
    return {**{name: getattr(doc, name) for name in _AS_SAID}, "flavor_id": doc.flavor.get("id"),
            "image_id": doc.image_id,
            "availability_zone": f"{link}/{doc.availability_zone}" if doc.availability_zone else link}


def _ended(conn: Connection, view: Batch, attempt: Row, row: Row, code: str, message: str) -> None:
    """Its zone has it no more, and nobody here asked for that: it is deleted here, too."""
    view.later.flush()
    values: Row = {"state": states.CANCELLED, "answered_at": view.at,
                   "reason": {"code": code, "message": message}}
    attempts.change(conn, attempt["id"], view.at, **values)
    attempt.update(values)
    action_log.begin(conn, [{
        "server_id": row["id"], "action": "delete", "request_id": "", "user_id": row["user_id"],
        "project_id": row["project_id"], "start_time": view.at}])
    if any(item["kind"] == "remove" for item in work.of_server(conn, row["id"])):
        work.drop(conn, row["id"], ["boot", "act", "push", "held"])
        view.change(row, task_state="deleting", hidden=True)  # an older attempt elsewhere is to be confirmed
    else:
        delete.finish(conn, row, view.at)


def _lost(conn: Connection, core: Core, zone_uuid: str, server_id: str, restored: bool) -> Batch:
    row = changes.lock(conn, [server_id]).get(server_id) or {}
    view = forward.view_of(conn, core, [row["attempt_id"]] if row.get("attempt_id") else [], [server_id])
    attempt = next(iter(view.attempts.values()), None)
    row = view.servers.get(server_id) or {}
    if (attempt is None or row["zone_uuid"] != zone_uuid or attempt["target"] != zone_uuid
            or not steps.is_current(attempt, row)):
        return view
    if attempt["state"] in (states.OPEN, states.ACCEPTED):
        work.hurry(conn, [server_id], "boot", view.at)  # the same attempt again: that asks for an answer
        view.wake = True
    elif attempt["state"] == states.ATTEMPT_RUNNING and restored:
        link = core.neighbours.name_of(zone_uuid)
        view.change(row, vm_state=states.ERROR, task_state=None, fault=fault(
            f"Zone {link} came back from a backup without this server.", LOST, view.at))
    elif attempt["state"] == states.ATTEMPT_RUNNING:
        _ended(conn, view, attempt, row, LOST, "The zone that ran it does not have it any more.")
    view.later.flush()
    return view
