"""What the handlers of the Image API work with, and what several of them do."""

from dataclasses import dataclass
from typing import Any

from zones.api.wsgi import Call
from zones.db.image import ImageRows
from zones.errors import Forbidden
from zones.image.embedded import EmbeddedImages

Row = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """The collaborators of every image handler, as `Call.parts`."""

    images: EmbeddedImages
    rows: ImageRows
    page: int = 25
    max_page: int = 1000


def seen(call: Call) -> Row:
    """The image in the path, if the caller may see it. Raises `NotFound`."""
    row: Row = call.parts.images.visible(call.caller, call.params["image_id"])
    return row


def owned(call: Call, extra_rule: str = "image:any_owner") -> Row:
    """The image in the path, if the caller may change it. Raises `NotFound`, `Forbidden`."""
    row = seen(call)
    if row["owner"] != call.caller.project_id and not call.may(extra_rule):
        raise Forbidden(f"You are not permitted to change image {row['id']}.", code="not_owner")
    return row
