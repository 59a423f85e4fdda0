"""Images whose content is in a neighbour: made of servers there, known here, fetched when they are read."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from zones.image.embedded import LIVE, new_row
from zones.image.store import DELETED, ImageStore, Row
from zones.protocol.neighbours import ImageDoc

_KEPT = ("name", "status", "size", "checksum", "os_hash_algo", "os_hash_value", "disk_format",
         "container_format", "min_disk", "min_ram")


class Rows(ImageStore, Protocol):
    """The rows, and which of those that were deleted here a neighbour still has to forget."""

    def forgotten(self, limit: int) -> list[Row]:
        """Deleted images whose content a neighbour may still have."""

    def forget(self, image_id: str) -> None:
        """That neighbour has deleted it."""


def hear(rows: ImageStore, zone_uuid: str, docs: Sequence[ImageDoc], at: float,
         peer_of: Callable[[str], str]) -> None:
    """Bring the rows of images that are in that neighbour up to what it says of them. Harmless twice.

    One that is not known here is added for its project, unless it was deleted here; one that is from
    elsewhere is never touched. `peer_of` names the peer whose project it is, "" for our own.
    """
    for doc in docs:
        row, said = rows.get(doc.id), {name: getattr(doc, name) for name in _KEPT}
        if row is None:
            if doc.status != DELETED:
                rows.add(new_row(doc.id, doc.project_id, doc.created_at or at, {
                    **said, "visibility": "private", "properties": doc.properties,
                    "zone_uuid": zone_uuid, "peer_id": peer_of(doc.project_id)}))
        elif row["zone_uuid"] == zone_uuid:
            changed: dict[str, Any] = {
                name: value for name, value in said.items() if value is not None and row[name] != value}
            if changed:
                rows.change(doc.id, {**changed, "updated_at": at}, LIVE)


def forget(rows: Rows, tell: Callable[[str, str], object], limit: int = 50) -> int:
    """Tell neighbours of images that were deleted here: `tell(zone_uuid, image_id)` raises when it did
    not reach them, and they are told again. How many were forgotten."""
    gone = rows.forgotten(limit)
    for row in gone:
        tell(row["zone_uuid"], row["id"])
        rows.forget(row["id"])
    return len(gone)
