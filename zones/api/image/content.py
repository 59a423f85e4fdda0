"""/v2/images/{image_id}/file: content in and out, streamed."""

from collections.abc import Iterator
from typing import Any

import webob

from zones.api.image.parts import Parts, owned, seen
from zones.api.wsgi import Call, Reply
from zones.errors import Invalid
from zones.image.files import PIECE


def upload(call: Call) -> Reply:
    """PUT: the content of a queued image. A service may do it for any owner (snapshots)."""
    parts: Parts = call.parts
    row = owned(call, "image:upload_for_any")
    kind = call.request.content_type
    if kind != "application/octet-stream":
        raise Invalid(f"The content must be application/octet-stream, not {kind[:64] or 'nothing'}.",
                      code="unsupported_media")
    for name in ("disk_format", "container_format"):
        if row[name] is None:
            raise Invalid("Properties disk_format, container_format must be set prior to saving data.",
                          code="no_format")
    parts.images.fill(row, _pieces(call.request), call.request.content_length)
    return Reply(204)


def download(call: Call) -> Reply:
    """GET: 204 while there is none."""
    parts: Parts = call.parts
    row = seen(call)
    content = parts.images.content(row)
    if content is None:
        return Reply(204)
    headers = {"Content-Length": str(row["size"]), "Content-Type": "application/octet-stream"}
    if row["checksum"]:
        headers["Content-MD5"] = row["checksum"]
    return Reply(200, content, headers)


def _pieces(request: webob.Request) -> Iterator[bytes]:
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
