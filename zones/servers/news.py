"""Apply what compute services say of attempts and actions.

News is believed only from the server's current attempt, and only in a greater version than the last
one. A batch is one transaction; what it says is acknowledged after the commit, so a crash in
between only makes it come again.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from zones import states
from zones.db import attempts, changes, work
from zones.db.engine import Connection, now
from zones.db.later import Later
from zones.protocol import Done, Heard, Message, News
from zones.servers import outcome, steps
from zones.servers.core import Core, Row
from zones.servers.steps import Batch, Said, fault

LOG = logging.getLogger(__name__)


def hear(core: Core, messages: Sequence[Message],
         told: Callable[[Message, Row | None], None] = lambda message, attempt: None) -> None:
    """Apply a batch of `News` and `Done`, acknowledge it, and tell `told` (the view) of each, with the
    attempt's row."""
    batch = [message for message in messages if isinstance(message, News | Done)]
    if not batch:
        return
    applied = core.db.run(_apply, core, batch)
    heard: dict[str, list[str]] = {}
    for message in batch:
        heard.setdefault(message.service, []).append(message.id)
        told(message, applied.attempts.get(message.attempt))
    for service, ids in heard.items():
        core.wires.send(service, Heard(ids))
    steps.after(applied)


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
        steps.tombstoned(conn, view, attempt, exists=news.state != states.CANCELLED, gone=news.gone)
    elif steps.is_late(attempt, news.state):
        LOG.info("late news of attempt %s: %s after %s", news.attempt, news.state, attempt["state"])
    elif row is None or not steps.is_current(attempt, row):
        steps.note(view, attempt, _said(news))
    else:
        _STEPS[news.state](view, news, attempt, row)


def _said(news: News) -> Said:
    counted = (news.report.boot, news.report.seq) if news.report is not None else None
    return Said(news.state, news.reason, news.message, counted)


def _accepted(view: Batch, news: News, attempt: Row, row: Row) -> None:
    if steps.accepted(view, attempt, _said(news)) and row["news_version"] < news.version:
        spawning = {"task_state": "spawning"} if row["vm_state"] == states.BUILDING else {}
        view.change(row, host=news.host, availability_zone=news.availability_zone, **spawning)


def _refused(view: Batch, news: News, attempt: Row, row: Row) -> None:
    steps.refused(view, attempt, row, _said(news))


def _running(view: Batch, news: News, attempt: Row, row: Row) -> None:
    if attempt["state"] == states.ATTEMPT_RUNNING:
        if news.version > row["news_version"]:
            _observed(view, news, row)
        return
    steps.runs(view, attempt, row, _said(news), news.host)
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


def _gone_unasked(view: Batch, news: News, attempt: Row, row: Row) -> None:
    """Its host holds a tombstone that this zone does not know of (a database from a backup)."""
    steps.note(view, attempt, _said(news))
    if row["vm_state"] == states.BUILDING:
        view.change(row, attempt_id=None, host=None, news_version=0)
        work.hurry(view.later, [row["id"]], "boot", view.at)
        view.wake = True
    else:
        view.change(row, vm_state=states.ERROR, task_state=None,
                       fault=fault("its host says that it was deleted", "lost_by_hypervisor", view.at))


_STEPS: dict[str, Callable[[Batch, News, Row, Row], None]] = {
    states.ACCEPTED: _accepted, states.REFUSED: _refused, states.ATTEMPT_RUNNING: _running,
    states.CANCELLED: _gone_unasked,
}
