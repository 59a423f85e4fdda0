"""What must hold in zones that are linked and have come to rest: each for itself, and between them.

What a zone mirrors is what the zone below has under the same attempt; what was booted for another zone is
known there; and a server has one guest, wherever.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from tests.chaos.truth import Books, Row, Truth
from tests.zonekit import Zone, wait_for
from zones.db import tables

ALIKE = ("vm_state", "task_state", "power_state", "name", "hostname", "description", "metadata", "tags",
         "flavor", "addresses", "launched_at", "key_name", "locked", "config_drive")
"""Columns of a mirrored server that are those of the zone below."""


class Forest:
    """The books of zones, by the name of the zone. They may be read while zones are down."""

    def __init__(self, zones: Mapping[str, Zone]) -> None:
        self.books = {name: Books(zone) for name, zone in zones.items()}
        self.uuids = {name: _uuid(books) for name, books in self.books.items()}

    def read(self) -> dict[str, Truth]:
        """The truth of each zone; that below first, for what it says is mirrored later."""
        return {name: books.read() for name, books in reversed(self.books.items())}

    def wrong(self, truths: Mapping[str, Truth]) -> list[str]:
        """Everything that does not hold, in words."""
        found = []
        for name, truth in truths.items():
            found += [f"{name}: {line}" for line in self.books[name].wrong(truth)]
            for other, below in truths.items():
                found += [f"{name} → {other}: {line}" for line in _mirrors(truth, self.uuids[other], below)]
        guests = Counter(server for truth in truths.values() for server, _ in truth.guests.elements())
        return found + [f"{server} has {count} guests" for server, count in guests.items() if count > 1]

    def settle(self, seconds: float = 30.0) -> dict[str, Truth]:
        """The truths once everything holds; an assertion error with what does not, after `seconds`."""
        last: dict[str, Truth] = {}
        why: list[str] = []

        def settled() -> bool:
            last.update(self.read())
            doubles = [server for truth in last.values() for server in truth.doubles]
            assert not doubles, f"made twice: {doubles}"
            why[:] = [*self.wrong(last), *_unmirrored(last)]
            return not why
        try:
            wait_for("the books of all zones to agree", settled, seconds, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(why[:30])) from None
        return last


def _uuid(books: Books) -> str:
    with books.engine.connect() as conn:
        return str(conn.execute(sa.select(tables.zone.c.uuid)).scalar_one())


def _mirrors(above: Truth, uuid: str, below: Truth) -> Iterator[str]:
    """What a zone says of servers in another one, and that one does not."""
    for key, row in above.living.items():
        if row["zone_uuid"] != uuid or row["vm_state"] == "error":
            continue
        found = below.living.get(key)
        if found is None or found["origin_attempt"] != row["attempt_id"]:
            yield f"{key} ({row['vm_state']}) is not there by attempt {row['attempt_id']}"
            continue
        yield from (f"{column} of {key} is {row[column]!r}, there {found[column]!r}"
                    for column in ALIKE if row[column] != found[column])


def _unmirrored(truths: Mapping[str, Truth]) -> Iterator[str]:
    """Servers that were booted for another zone, of which no zone knows."""
    for name, truth in truths.items():
        for key, row in truth.living.items():
            if row["peer_id"] and not any(_has(other, key, row) for other in truths.values()):
                yield f"{name}: {key} ({row['vm_state']}) was booted for a zone that knows nothing of it"


def _has(truth: Truth, server: str, row: Row) -> bool:
    mirrored = truth.living.get(server)
    return mirrored is not None and mirrored["attempt_id"] == row["origin_attempt"]
