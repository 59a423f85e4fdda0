"""What this zone says about itself and all below it, written by the leader for every process to serve."""

from collections.abc import Iterable
from typing import Any, Protocol

from zones.capabilities import summary
from zones.capabilities.room import Capacity, shape
from zones.db import flavors, leases, links
from zones.db.engine import Connection, Database, now


class View(Protocol):
    """What this process knows of the zone's hosts."""

    def warm(self) -> bool:
        """Whether every live service has reported, or had time to."""

    def tick(self) -> None:
        """Look at what other processes have placed, among other things."""

    def entry(self, name: str, shapes: Iterable[Capacity]) -> summary.Entry:
        """What this zone says of its own hosts."""

    def deducted(self, zone_uuid: str, entries: dict[str, summary.Entry]) -> dict[str, summary.Entry]:
        """What a neighbour said, less what is in flight to it."""

    def view_2011(self) -> dict[str, str]:
        """Its capabilities in the form of 2011."""


class Writer:
    """Writes the zone's summary. What links said is decoded once for each answer of theirs."""

    def __init__(self, db: Database, view: View, name: str, own_uuid: str) -> None:
        self._db = db
        self._view = view
        self._name = name
        self._own_uuid = own_uuid
        self._decoded: dict[int, tuple[float, dict[str, summary.Entry]]] = {}

    def write(self) -> None:
        """Write it, unless the hosts have not reported yet.

        The feed's head is read first: whatever was placed at or below it is then surely seen among
        the attempts, and so counted in the entry.
        """
        if not self._view.warm():
            return
        head, shapes = self._db.run(_head_and_shapes)
        self._view.tick()
        own = self._view.entry(self._name, shapes)
        entries = summary.merge(self._own_uuid, own, self._heard())
        self._db.run(leases.save_summary, {
            "zones": summary.to_plain(entries), "capabilities": self._view.view_2011(), "feed_head": head})

    def _heard(self) -> list[summary.Heard]:
        rows, at, fresh = self._db.run(_links, {link: told for link, (told, _) in self._decoded.items()})
        for link, (plain, told) in fresh.items():
            self._decoded[link] = (told, summary.from_plain(plain))
        for gone in self._decoded.keys() - {row["id"] for row in rows}:
            del self._decoded[gone]
        found = []
        for row in rows:
            told, entries = self._decoded[row["id"]]
            found.append(summary.Heard(row["zone_uuid"], self._view.deducted(row["zone_uuid"], entries),
                                       max(0.0, at - told), row["name"]))
        return found


def _head_and_shapes(conn: Connection) -> tuple[int, list[Capacity]]:
    return leases.feed_head(conn), [shape(flavor) for flavor in flavors.values(conn)]


def _links(conn: Connection, known: dict[int, float],
           ) -> tuple[list[dict[str, Any]], float, dict[int, tuple[Any, float]]]:
    """The links whose zones can be offered on, the time, and the summaries that are not known yet.

    What a link that is inactive or closed once said is left out: nothing could be placed there from here.
    """
    rows = [row for row in links.rows(conn) if row["zone_uuid"] and row["is_active"]
            and row["state"] == "enabled" and row["summary_at"] is not None]
    fresh = links.summaries(conn, [row["id"] for row in rows if known.get(row["id"]) != row["summary_at"]])
    return rows, now(conn), {link: (plain or {}, told) for link, (plain, told) in fresh.items()
                             if told is not None}
