"""/v2/images/{image_id}/file: content in and out, streamed."""

from zones.api.image.parts import Parts, owned, seen
from zones.api.streams import pieces
from zones.api.wsgi import Call, Reply
from zones.errors import Invalid


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
    parts.images.fill(row, pieces(call.request), call.request.content_length)
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
