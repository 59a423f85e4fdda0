"""What the embedded image service needs of a database. The rows are those of `zones.db.tables`."""

from typing import Any, Protocol

Row = dict[str, Any]

QUEUED, SAVING, ACTIVE, DEACTIVATED, DELETED = "queued", "saving", "active", "deactivated", "deleted"


class ImageStore(Protocol):
    """Rows of images. Every call is one transaction; deleted images are not seen."""

    def get(self, image_id: str) -> Row | None:
        """One image."""

    def add(self, row: Row) -> bool:
        """Insert; False when there is, or was, one with that id."""

    def change(self, image_id: str, values: Row, was: tuple[str, ...]) -> bool:
        """Update if the status is one of `was`; whether it was."""

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        """An active image with this content that is public or that project's own, and is here."""

    def saving(self) -> list[str]:
        """The ids of the images that are being uploaded, or were when a process died."""

    def member(self, image_id: str, project_id: str) -> Row | None:
        """The member row of a project that an image is shared with."""
