"""Images between zones: offered by hash, pushed in ranges, fetched and forgotten by whoever they are for."""

import re

import msgspec

from zones.api.streams import pieces
from zones.api.wsgi import Call, Reply
from zones.db import peers
from zones.db.engine import Connection
from zones.errors import Forbidden, Invalid, NotFound, NotServed
from zones.image.arriving import Arriving
from zones.image.embedded import no_image
from zones.image.store import Row
from zones.protocol.neighbours import Offer

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


def offer(call: Call) -> Reply:
    """POST /os-zones/images `{"image": Offer}`: is it here, or from which byte on is it wanted?"""
    arriving = _arriving(call)
    body = call.json()
    try:
        wanted = msgspec.convert(body["image"] if isinstance(body, dict) and "image" in body else None, Offer)
    except msgspec.ValidationError as error:
        raise Invalid(f"not an offer of an image: {error}", code="bad_offer") from error
    project = call.parts.db.run(_project_of, _peer(call), wanted.project_id)
    return Reply(200, {"image": msgspec.to_builtins(arriving.offer(_peer(call), project, wanted))})


def upload(call: Call) -> Reply:
    """PUT /os-zones/images/{image_id}/file with `Content-Range: bytes a-b/total`."""
    arriving = _arriving(call)
    found = _RANGE.fullmatch(call.request.headers.get("Content-Range", ""))
    if found is None:
        raise Invalid("Content-Range must be of the form: bytes a-b/total", code="bad_range")
    start, _, total = map(int, found.groups())
    row = call.parts.core.images.row(call.params["image_id"])
    if call.parts.db.run(peers.their_project, _peer(call), row["owner"]) is None:
        raise no_image(row["id"])
    taken = arriving.take(row["owner"], row["id"], start, total, pieces(call.request))
    return Reply(200, {"image": msgspec.to_builtins(taken)})


def download(call: Call) -> Reply:
    """GET /os-zones/images/{image_id}/file: what a server here was made an image of."""
    row = image_of(call)
    content = call.parts.core.images.content(row)
    if content is None:
        return Reply(204)
    return Reply(200, content, {"Content-Length": str(row["size"])})


def delete(call: Call) -> Reply:
    """DELETE /os-zones/images/{image_id}: its owner has deleted it where it was made. Quiet when gone."""
    try:
        call.parts.core.images.discard(image_of(call)["id"])
    except NotFound:
        return Reply(204)
    return Reply(204)


def image_of(call: Call) -> Row:
    """The image in the path, if it is the calling peer's. Raises `NotFound`."""
    found: Row = call.parts.core.images.row(call.params["image_id"])
    if found["peer_id"] != _peer(call):
        raise no_image(found["id"])
    return found


def _project_of(conn: Connection, peer_id: str, their_id: str) -> str:
    whose = peers.row(conn, peer_id)
    if whose is None:
        raise Forbidden("This zone does not know that peer any more.", code="no_such_peer")
    return peers.project_of(conn, whose, their_id)


def _peer(call: Call) -> str:
    if not call.caller.peer:
        raise Forbidden("Only another zone may do that.", code="not_a_peer")
    return call.caller.peer


def _arriving(call: Call) -> Arriving:
    _peer(call)
    arriving: Arriving | None = call.parts.arriving
    if arriving is None:
        raise NotServed("This zone keeps its images elsewhere: push them there.", code="images_elsewhere")
    return arriving
