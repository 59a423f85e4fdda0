"""The links of one process as its rows in the database tell of them: the table, and what is in flight.

Pure: rows and times come as arguments. A summary is decoded only when another one has come.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from zones import states
from zones.capabilities.host_row import Version
from zones.capabilities.inflight import InFlight
from zones.capabilities.link_table import LinkState, LinkTable
from zones.capabilities.room import Capacity
from zones.capabilities.summary import OLDEST, Entry, from_plain
from zones.errors import Invalid

Row = Mapping[str, Any]


class _Heard(NamedTuple):
    """The last summary of a link that was taken: what tells it from others, and what it says."""

    mark: tuple[Any, ...]
    epoch: str | None
    version: Version
    generation: int
    heard_at: float
    entries: Mapping[str, Entry] | None
    memo: dict[Any, Any]


class LinkView:
    """What this process knows of the neighbours. Not locked: its owner holds a lock for each call."""

    def __init__(self, own_uuid: str) -> None:
        self.table = LinkTable()
        self.inflight = InFlight(self.table)
        self._own = own_uuid
        self._rows: dict[str, Row] = {}
        self._heard: dict[str, _Heard] = {}
        self._answered: dict[str, tuple[str, float]] = {}

    def stale(self, rows: Iterable[Row]) -> list[int]:
        """The ids of the links with a summary that was not taken yet, of which `take` needs it."""
        found = []
        for row in self._linked(rows):
            known = self._heard.get(row["zone_uuid"])
            if row["summary_at"] is not None and (known is None or known.mark != _mark(row)):
                found.append(row["id"])
        return found

    def take(self, rows: Iterable[Row], summaries: Mapping[int, tuple[Any, float | None]],
             now: float) -> list[str]:
        """The links as they are now; what was wrong with a summary, in words.

        A row has the columns of table `link`, and `age`: seconds since its `summary_at`.
        """
        self._rows = {row["zone_uuid"]: row for row in self._linked(rows)}
        for uuid in [link.zone_uuid for link in self.table if link.zone_uuid not in self._rows]:
            self.table.remove(uuid)
            self._heard.pop(uuid, None)
        wrong = []
        for uuid, row in self._rows.items():
            try:
                heard = self._hear(row, summaries.get(row["id"]), now)
            except Invalid as error:
                wrong.append(f"the summary of zone {row['name']} is not taken: {error.message}")
                heard = self._heard.get(uuid) or _nothing(row, now)
            self._heard[uuid] = heard
            self.table.apply(_state(row, heard))
        self._forget_what_no_summary_reaches()
        return wrong

    def _linked(self, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row["zone_uuid"] not in (None, self._own)]

    def _hear(self, row: Row, summary: tuple[Any, float | None] | None, now: float) -> _Heard:
        known = self._heard.get(row["zone_uuid"])
        if summary is None or summary[0] is None or summary[1] is None:
            return known or _nothing(row, now)
        # The summary was read after the row: it may be a younger one, and then counts more than it says.
        age = max(0.0, row["age"] + row["summary_at"] - summary[1])
        entries = {uuid: entry for uuid, entry in from_plain(summary[0]).items() if uuid != self._own}
        feed = known.version[0] if known else 0
        if known is not None and known.epoch is not None and known.epoch != row["epoch"]:
            feed += 1
        return _Heard(_mark(row), row["epoch"], (feed, row["feed_head"]), row["generation"], now - age,
                      entries, {})

    # -------------------------------------------------------------- what is in flight

    def know(self, attempt: Row, now: float) -> None:
        """An attempt at a link, as its row is. `counted_seq`: the feed's `seq` from which on it counts."""
        if attempt["state"] in (states.REFUSED, states.CANCELLED):
            self.inflight.drop(attempt["id"])
            return
        uuid, counted = attempt["target"], None
        if attempt["counted_seq"]:
            feed, _ = self.table.version_of(uuid) or (0, 0)
            counted = (feed, attempt["counted_seq"])
        self.inflight.add(attempt["id"], uuid,
                          Capacity(attempt["vcpus"], attempt["ram"], attempt["disk"]), counted)
        if counted is not None and attempt["id"] in self.inflight:
            self._answered.setdefault(attempt["id"], (uuid, now))

    def _forget_what_no_summary_reaches(self) -> None:
        """An answer of an older feed may name a seq that the present one reaches in a year.

        A summary that came so long after the answer counts that server, if it is still there.
        """
        for attempt, (uuid, at) in list(self._answered.items()):
            heard = self._heard.get(uuid)
            if heard is not None and heard.entries is not None and heard.heard_at > at + OLDEST:
                self.inflight.drop(attempt)
            if attempt not in self.inflight:
                del self._answered[attempt]

    # -------------------------------------------------------------- what is asked

    def is_up(self, zone_uuid: str) -> bool:
        """Whether there is a link to that zone, and polling finds it there."""
        row = self._rows.get(zone_uuid)
        return row is not None and bool(row["is_active"])

    def name_of(self, zone_uuid: str) -> str:
        """The name of the link to that zone; its UUID when there is none."""
        row = self._rows.get(zone_uuid)
        return zone_uuid if row is None else str(row["name"])

    def silent(self) -> frozenset[str]:
        """The linked zones that polling does not find."""
        return frozenset(uuid for uuid, row in self._rows.items() if not row["is_active"])

    def all_polled(self) -> bool:
        """Whether every link was polled once, with whatever outcome."""
        return all(row["polled_at"] is not None for row in self._rows.values())


def _mark(row: Row) -> tuple[Any, ...]:
    return row["id"], row["epoch"], row["generation"], row["summary_at"], row["feed_head"]


def _nothing(row: Row, now: float) -> _Heard:
    return _Heard((), row["epoch"], (0, 0), 0, now, None, {})


def _state(row: Row, heard: _Heard) -> LinkState:
    closed = "" if row["state"] == "enabled" else row["state"]
    return LinkState(
        zone_uuid=row["zone_uuid"], name=row["name"], relation=row["relation"],
        weight_offset=row["weight_offset"], weight_scale=row["weight_scale"],
        closed=closed if row["is_active"] else "inactive", entries=heard.entries,
        heard_at=heard.heard_at, version=heard.version,
        generation=heard.generation, memo=heard.memo)
