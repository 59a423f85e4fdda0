"""Bodies that are too large to be held: read as they arrive."""

from collections.abc import Iterator
from typing import Any

import webob

from zones.errors import Invalid
from zones.image.files import PIECE


def pieces(request: webob.Request) -> Iterator[bytes]:
    """The body as it arrives. Raises `Invalid` when it ends early."""
    source = request.environ["wsgi.input"]
    left = request.content_length
    chunked = request.environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    while left is None and chunked:
        piece = _read(source, PIECE)
        if not piece:
            return
        yield piece
    while left:
        piece = _read(source, min(left, PIECE))
        if not piece:
            raise Invalid(f"The upload ended {left} bytes early.", code="short_upload")
        left -= len(piece)
        yield piece


def _read(source: Any, size: int) -> bytes:
    try:
        piece: bytes = source.read(size)
    except (OSError, ValueError) as error:
        raise Invalid(f"The upload broke off: {error}", code="short_upload") from error
    return piece
