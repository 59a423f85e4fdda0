"""Apply what compute services say: the only place where an attempt's answer changes a server.

News is believed only from the server's current attempt, and only in a greater version than the last
one. A batch is one transaction; what it says is acknowledged after the commit, so a crash in
between only makes it come again.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zones import states
from zones.db import action_log, attempts, changes, work
from zones.db.engine import Connection, now
from zones.db.later import Later
from zones.protocol import Done, Heard, Message, News
from zones.servers import delete, outcome
from zones.servers.core import Core, Row

LOG = logging.getLogger(__name__)
ASK_AGAIN = 60.0
"""Seconds after which an accepted boot that was not heard of again is sent once more."""


@dataclass
class Batch:
    """One transaction's view: rows locked at its start, and what is to be done after its commit."""

    core: Core
    at: float
    servers: dict[str, Row]
    attempts: dict[str, dict[str, Any]]
    later: Later
    """Takes the writes of what most news say: sent together, for a batch is up to a hundred servers."""
    wake: bool = False
    discard_images: list[str] = field(default_factory=list)

    def change(self, row: Row, **values: Any) -> None:
        """Change a server, and this view of it for what comes later in the batch."""
        changes.change(self.later, row["id"], self.at, **values)
        row.update(values)


def hear(core: Core, messages: Sequence[Message],
         told: Callable[[Message, Row | None], None] = lambda message, attempt: None) -> None:
    """Apply a batch of `News` and `Done`, acknowledge it, and tell `told` (the view) of each, with the
    attempt's row."""
    batch = [message for message in messages if isinstance(message, News | Done)]
    if not batch:
        return
    after = core.db.run(_apply, core, batch)
    heard: dict[str, list[str]] = {}
    for message in batch:
        heard.setdefault(message.service, []).append(message.id)
        told(message, after.attempts.get(message.attempt))
    for service, ids in heard.items():
        core.wires.send(service, Heard(ids))
    if after.wake:
        core.wires.wake()
    for image_id in after.discard_images:
        core.images.discard(image_id)


def _apply(conn: Connection, core: Core, batch: list[News | Done]) -> Batch:
    view = Batch(core, now(conn), changes.lock(conn, [message.server for message in batch]),
                 attempts.read(conn, [message.attempt for message in batch]), Later(conn))
    written: set[str] = set()
    for message in batch:
        if isinstance(message, Done) or message.server in written:
            view.later.flush()
            written.clear()
        written.add(message.server)
        if isinstance(message, Done):
            outcome.done(conn, view, message)
        else:
            _news(conn, view, message)
    view.later.flush()
    return view


def _news(conn: Connection, view: Batch, news: News) -> None:
    attempt = view.attempts.get(news.attempt)
    if attempt is None:
        LOG.warning("host %s speaks of attempt %s of server %s, which this zone does not know",
                    news.host, news.attempt, news.server)
        return
    row = view.servers.get(news.server)
    if attempt["state"] == states.CANCELLED:
        view.later.flush()
        _cancelled(conn, view, news, attempt, row)
    elif news.state not in states.ATTEMPT_MOVES[attempt["state"]] | {attempt["state"]}:
        LOG.info("late news of attempt %s: %s after %s", news.attempt, news.state, attempt["state"])
    elif row is None or row["attempt_id"] != news.attempt or row["deleted"]:
        _note(view, attempt, news)
    else:
        _STEPS[news.state](view, news, attempt, row)


def _note(view: Batch, attempt: dict[str, Any], news: News) -> None:
    """Write the answer down with its attempt."""
    values: dict[str, Any] = {"state": news.state}
    if news.reason is not None:
        values["reason"] = {"code": news.reason, "message": news.message}
    if attempt["answered_at"] is None:
        values["answered_at"] = view.at
    if news.report is not None and not attempt["counted_seq"]:
        values.update(counted_boot=news.report.boot, counted_seq=news.report.seq)
    attempts.change(view.later, attempt["id"], view.at, **values)
    attempt.update(values)


def _cancelled(conn: Connection, view: Batch, news: News, attempt: dict[str, Any],
               row: Row | None) -> None:
    """The attempt is tombstoned here: either its host confirms, or it must be told (again)."""
    if news.gone:
        delete.confirm(conn, row, attempt, view.at)
    elif news.state != states.CANCELLED:
        waiting = [item for item in work.of_server(conn, news.server) if item["kind"] == "remove"
                   and news.attempt in item["args"]["attempts"]]
        if not waiting:
            work.add(conn, [{"kind": "remove", "server_id": news.server, "host": news.host,
                             "due_at": view.at, "created_at": view.at,
                             "args": {"attempts": [news.attempt]}}])
        view.wake = True


def _accepted(view: Batch, news: News, attempt: dict[str, Any], row: Row) -> None:
    if attempt["state"] != states.OPEN:
        return
    _note(view, attempt, news)
    values = {"host": news.host, "availability_zone": news.availability_zone}
    if row["vm_state"] == states.BUILDING:
        values["task_state"] = "spawning"
    if row["news_version"] < news.version:
        view.change(row, **values)
    work.hurry(view.later, [row["id"]], "boot", view.at + ASK_AGAIN)


def _refused(view: Batch, news: News, attempt: dict[str, Any], row: Row) -> None:
    if attempt["state"] == states.REFUSED:
        return
    _note(view, attempt, news)
    view.change(row, attempt_id=None, host=None, news_version=0,
                   **({"task_state": "scheduling"} if row["vm_state"] == states.BUILDING else {}))
    work.hurry(view.later, [row["id"]], "boot", view.at)
    view.wake = True


def _running(view: Batch, news: News, attempt: dict[str, Any], row: Row) -> None:
    if attempt["state"] == states.ATTEMPT_RUNNING:
        if news.version > row["news_version"]:
            _observed(view, news, row)
        return
    _note(view, attempt, news)
    work.drop(view.later, row["id"], ["boot"])
    if row["shelved_image_id"]:
        view.discard_images.append(row["shelved_image_id"])
        action_log.end(view.later, view.at, server_id=row["id"], action="unshelve", host=news.host)
    else:
        action_log.end(view.later, view.at, server_id=row["id"], action="create", host=news.host)
    values = {"vm_state": states.ACTIVE, "task_state": None, "host": news.host,
              "availability_zone": news.availability_zone, "power_state": news.power_state,
              "addresses": news.addresses, "launched_at": news.launched_at or view.at, "fault": None,
              "news_version": news.version, "progress": 100, "shelved_image_id": None}
    view.change(row, **values)


def _observed(view: Batch, news: News, row: Row) -> None:
    """What the host noticed by itself: power state and addresses, and the vm_state that follows.

    Also while an action is under way: it may fail just because of this, and it is not told twice.
    """
    values: dict[str, Any] = {"power_state": news.power_state, "news_version": news.version}
    if news.addresses:
        values["addresses"] = news.addresses
    if news.reason is not None:
        values.update(vm_state=states.ERROR, fault=fault(news.message, news.reason, view.at))
    elif row["vm_state"] == states.ERROR and (row["fault"] or {}).get("reason"):
        values.update(vm_state=states.observed(states.ACTIVE, news.power_state), fault=None)
    else:
        values["vm_state"] = states.observed(row["vm_state"], news.power_state)
    view.change(row, **values)


def _gone_unasked(view: Batch, news: News, attempt: dict[str, Any], row: Row) -> None:
    """Its host holds a tombstone that this zone does not know of (a database from a backup)."""
    _note(view, attempt, news)
    if row["vm_state"] == states.BUILDING:
        view.change(row, attempt_id=None, host=None, news_version=0)
        work.hurry(view.later, [row["id"]], "boot", view.at)
        view.wake = True
    else:
        view.change(row, vm_state=states.ERROR, task_state=None,
                       fault=fault("its host says that it was deleted", "lost_by_hypervisor", view.at))


def fault(message: str, reason: str, at: float, code: int = 500) -> dict[str, Any]:
    """A server's fault as its row keeps it."""
    return {"code": code, "message": message[:255], "reason": reason, "created": at}


_STEPS: dict[str, Callable[[Batch, News, dict[str, Any], Row], None]] = {
    states.ACCEPTED: _accepted, states.REFUSED: _refused, states.ATTEMPT_RUNNING: _running,
    states.CANCELLED: _gone_unasked,
}
