"""What an answer means for a server, whoever gave it: a compute service (`news`) or a neighbour
(`forward`, `mirror`). Only these steps move an attempt.

An answer is believed only from the server's current attempt; what else is said is noted, or, where the
attempt is tombstoned, answered with the tombstone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zones import states
from zones.db import action_log, attempts, changes, work
from zones.db.engine import Connection
from zones.db.later import Later
from zones.servers import delete
from zones.servers.core import Core, Row

LOG = logging.getLogger(__name__)
ASK_AGAIN = 60.0
"""Seconds after which an accepted boot that was not heard of again is sent once more."""

Counted = tuple[int, int]
"""(boot, seq) of a host, or (0, seq of the feed) of a neighbour: what says so counts the attempt. Of a
neighbour's refusal (generation, seq): what its last summary was, and what the next one must count."""


@dataclass
class Batch:
    """One transaction's view: rows locked at its start, and what is to be done after its commit."""

    core: Core
    at: float
    servers: dict[str, Row]
    attempts: dict[str, Row]
    later: Later
    """Takes the writes of what most answers say: sent together, for a batch is up to a hundred servers."""
    wake: bool = False
    discard_images: list[str] = field(default_factory=list)

    def change(self, row: Row, **values: Any) -> None:
        """Change a server, and this view of it for what comes later in the batch."""
        changes.change(self.later, row["id"], self.at, **values)
        row.update(values)


@dataclass(frozen=True)
class Said:
    """An answer about an attempt: its new state, why, and from when on its target's reports count it."""

    state: str
    code: str | None = None
    message: str = ""
    counted: Counted | None = None


def is_late(attempt: Row, state: str) -> bool:
    """Whether an attempt has moved on, so that this answer is of before."""
    return state not in states.ATTEMPT_MOVES[attempt["state"]] | {attempt["state"]}


def is_current(attempt: Row, row: Row | None) -> bool:
    """Whether what is said of this attempt is said of its server."""
    return row is not None and row["attempt_id"] == attempt["id"] and not row["deleted"]


def note(view: Batch, attempt: Row, said: Said) -> None:
    """Write the answer down with its attempt."""
    values: dict[str, Any] = {"state": said.state}
    if said.code is not None:
        values["reason"] = {"code": said.code, "message": said.message}
    if attempt["answered_at"] is None:
        values["answered_at"] = view.at
    if said.counted is not None and (not attempt["counted_seq"] or said.state == states.REFUSED):
        values.update(counted_boot=said.counted[0], counted_seq=said.counted[1])
    attempts.change(view.later, attempt["id"], view.at, **values)
    attempt.update(values)


def tombstoned(conn: Connection, view: Batch, attempt: Row, *, exists: bool, gone: bool) -> None:
    """The attempt is cancelled here: either its target confirms, or it must be told (again)."""
    view.later.flush()
    if gone:
        delete.confirm(conn, view.servers.get(attempt["server_id"]), attempt, view.at)
    elif exists:
        waiting = [item for item in work.of_server(conn, attempt["server_id"])
                   if item["kind"] == "remove" and attempt["id"] in item["args"]["attempts"]]
        if not waiting:
            work.add(conn, [delete.removal(attempt["server_id"], attempt["kind"], attempt["target"],
                                           [attempt["id"]], view.at)])
        view.wake = True


def accepted(view: Batch, attempt: Row, said: Said) -> bool:
    """Its target has it and will say more; whether that is new. Its boot is not repeated soon."""
    if attempt["state"] != states.OPEN:
        return False
    note(view, attempt, said)
    work.hurry(view.later, [attempt["server_id"]], "boot", view.at + ASK_AGAIN)
    return True


def refused(view: Batch, attempt: Row, row: Row, said: Said, **values: Any) -> None:
    """Its target says no, for good: the server is placed again. `values` are columns to set as well."""
    if attempt["state"] == states.REFUSED:
        return
    note(view, attempt, said)
    if row["vm_state"] == states.BUILDING:
        values["task_state"] = "scheduling"
    view.change(row, attempt_id=None, host=None, news_version=0, **values)
    work.hurry(view.later, [row["id"]], "boot", view.at)
    view.wake = True


def runs(view: Batch, attempt: Row, row: Row, said: Said, host: str | None) -> None:
    """It exists: its boot, or its unshelving, is over."""
    note(view, attempt, said)
    work.drop(view.later, row["id"], ["boot"])
    action = "unshelve" if row["shelved_image_id"] else "create"
    if row["shelved_image_id"]:
        view.discard_images.append(row["shelved_image_id"])
    action_log.end(view.later, view.at, server_id=row["id"], action=action, host=host)


def after(view: Batch) -> None:
    """What follows a batch's commit beside its acknowledgement."""
    if view.wake:
        view.core.wires.wake()
    for image_id in view.discard_images:
        view.core.images.discard(image_id)


def fault(message: str, reason: str, at: float, code: int = 500) -> dict[str, Any]:
    """A server's fault as its row keeps it."""
    return {"code": code, "message": message[:255], "reason": reason, "created": at}


Told = Callable[[Row], object]
"""Is told, after the commit, of each attempt at a neighbour that was spoken of, as its row is now."""
