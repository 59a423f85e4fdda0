"""/v2/images: rows of images, and their tags."""

import time
import uuid

from zones.api.image.attributes import check_count, operations, patched, tags_of, values_of
from zones.api.image.listing import page_links, query_of
from zones.api.image.parts import Parts, owned, seen
from zones.api.image.views import image
from zones.api.wsgi import Call, Reply
from zones.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from zones.image.embedded import is_uuid, new_row

MAX_TAG = 255


def index(call: Call) -> Reply:
    """GET /v2/images."""
    parts: Parts = call.parts
    query = query_of(call)
    rows = parts.rows.find(query) if query.limit else []
    return Reply(200, {"images": [image(row) for row in rows], **page_links(call, query, rows),
                       "schema": "/v2/schemas/images"})


def create(call: Call) -> Reply:
    """POST /v2/images: a queued image, whose content is put later."""
    columns, properties = values_of(call, call.json())
    check_count(properties)
    image_id = columns.pop("id", None) or str(uuid.uuid4())
    if not is_uuid(image_id):
        raise Invalid("An image's id must be a UUID.", code="bad_id")
    owner = columns.pop("owner", None) or call.caller.project_id
    row = call.parts.images.create(
        new_row(image_id, owner, time.time(), {**columns, "properties": properties}))
    return Reply(201, image(row), {"Location": call.url(f"/v2/images/{image_id}")})


def show(call: Call) -> Reply:
    """GET /v2/images/{image_id}."""
    return Reply(200, image(seen(call)))


def update(call: Call) -> Reply:
    """PATCH /v2/images/{image_id}: a JSON patch."""
    row = owned(call)
    values = patched(call, row, call.json(operations))
    return Reply(200, image(call.parts.images.change(row, values)))


def delete(call: Call) -> Reply:
    """DELETE /v2/images/{image_id}."""
    call.parts.images.delete(owned(call))
    return Reply(204)


def add_tag(call: Call) -> Reply:
    """PUT /v2/images/{image_id}/tags/{tag}."""
    row, tag = owned(call), call.params["tag"]
    if len(tag) > MAX_TAG:
        raise TooLarge(f"A tag has at most {MAX_TAG} characters.", code="long_tag")
    call.parts.images.change(row, {"tags": tags_of([*row["tags"], tag])})
    return Reply(204)


def remove_tag(call: Call) -> Reply:
    """DELETE /v2/images/{image_id}/tags/{tag}."""
    row, tag = owned(call), call.params["tag"]
    if tag not in row["tags"]:
        raise NotFound(f"Tag {tag[:64]} was not found.", code="no_such_tag")
    call.parts.images.change(row, {"tags": [other for other in row["tags"] if other != tag]})
    return Reply(204)


def deactivate(call: Call) -> Reply:
    """POST /v2/images/{image_id}/actions/deactivate: no boots or downloads until it is undone."""
    return _switch(call, "active", "deactivated")


def reactivate(call: Call) -> Reply:
    """POST /v2/images/{image_id}/actions/reactivate."""
    return _switch(call, "deactivated", "active")


def _switch(call: Call, before: str, after: str) -> Reply:
    row = owned(call)
    if row["status"] not in (before, after):
        raise Forbidden(f"Image in status {row['status']} can't become {after}.", code="bad_image_status")
    if not call.parts.rows.change(row["id"], {"status": after}, (before, after)):
        raise Conflict(f"Image {row['id']} has just changed.", code="bad_image_status")
    return Reply(204)
