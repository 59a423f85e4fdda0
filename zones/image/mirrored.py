"""Images whose content is in a neighbour: made of servers there, known here, fetched when they are read."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from zones.errors import Invalid
from zones.image import credible
from zones.image.embedded import LIVE, new_row
from zones.image.store import ACTIVE, DELETED, ImageStore, Row
from zones.protocol.neighbours import ImageDoc

LOG = logging.getLogger(__name__)
_KEPT = ("name", "status", "size", "checksum", "os_hash_algo", "os_hash_value", "disk_format",
         "container_format", "min_disk", "min_ram")


class Rows(ImageStore, Protocol):
    """The rows, and which of those that were deleted here a neighbour still has to forget."""

    def forgotten(self, limit: int) -> list[Row]:
        """Deleted images whose content a neighbour may still have."""

    def forget(self, image_id: str) -> None:
        """That neighbour has deleted it."""


def hear(rows: ImageStore, zone_uuid: str, docs: Sequence[ImageDoc], at: float,
         owner_of: Callable[[str], str | None]) -> None:
    """Bring the rows of images that are in that neighbour up to what it says of them. Harmless twice.

    One that is not known here is added for its project, unless it was deleted here; one that is from
    elsewhere is never touched. `owner_of` names the peer whose project it is, "" for our own, None for
    one that nobody here ever had: its images are not heard, nor are those that no row can hold.
    """
    for doc in docs:
        if not _is_credible(doc):
            LOG.warning("zone %s tells of image %.40r what can't be kept", zone_uuid, doc.id)
            continue
        row, said = rows.get(doc.id), {name: getattr(doc, name) for name in _KEPT}
        if row is None:
            owner = owner_of(doc.project_id)
            if doc.status != DELETED and owner is not None:
                rows.add(new_row(doc.id, doc.project_id, doc.created_at or at, {
                    **said, "visibility": "private", "properties": doc.properties,
                    "zone_uuid": zone_uuid, "peer_id": owner}))
        elif row["zone_uuid"] == zone_uuid:
            changed: dict[str, Any] = {
                name: value for name, value in said.items() if value is not None and row[name] != value}
            if changed:
                rows.change(doc.id, {**changed, "updated_at": at}, LIVE)


def _is_credible(doc: ImageDoc) -> bool:
    try:
        credible.check(doc)
    except Invalid:
        return False
    return doc.status in (*LIVE, DELETED) and (doc.status != ACTIVE or doc.size is not None)


def forget(rows: Rows, tell: Callable[[str, str], object], limit: int = 50) -> int:
    """Tell neighbours of images that were deleted here: `tell(zone_uuid, image_id)` raises when it did
    not reach them, and they are told again. How many were forgotten."""
    gone = rows.forgotten(limit)
    for row in gone:
        tell(row["zone_uuid"], row["id"])
        rows.forget(row["id"])
    return len(gone)
