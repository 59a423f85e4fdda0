"""/v2/images/{image_id}/members: with whom an image is shared, and whether they took it."""

import time

import msgspec

from zones.api.bodies import Name, checked
from zones.api.image.parts import Parts, Row, owned, seen
from zones.api.image.views import member
from zones.api.wsgi import Call, Reply
from zones.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge

MAX_MEMBERS = 128
STATUSES = ("pending", "accepted", "rejected")


class _New(msgspec.Struct):
    member: Name


class _Change(msgspec.Struct):
    status: str


_new, _change = checked(_New), checked(_Change)


def index(call: Call) -> Reply:
    """GET: all to the owner, to a member itself."""
    parts: Parts = call.parts
    row = _shared(seen(call))
    rows = [found for found in parts.rows.members(row["id"]) if _sees(call, row, found["member"])]
    if not rows and not _sees(call, row, ""):
        raise NotFound(f"No members of image {row['id']} are yours to see.", code="no_such_member")
    return Reply(200, {"members": [member(found) for found in rows], "schema": "/v2/schemas/members"})


def create(call: Call) -> Reply:
    """POST: share it with one more project, which then may accept it."""
    parts: Parts = call.parts
    row = _shared(owned(call))
    project = call.json(_new).member
    if len(project) > 64:
        raise Invalid("A member is a project's id.", code="bad_member")
    if len(parts.rows.members(row["id"])) >= MAX_MEMBERS:
        raise TooLarge(f"An image has at most {MAX_MEMBERS} members.", code="too_many_members")
    now = time.time()
    new = {"image_id": row["id"], "member": project, "status": "pending", "created_at": now,
           "updated_at": now}
    if not parts.rows.add_member(new):
        raise Conflict(f"Image {row['id']} is shared with {project} already.", code="member_exists")
    return Reply(200, member(new))


def show(call: Call) -> Reply:
    """GET one."""
    return Reply(200, member(_found(call, _shared(seen(call)))))


def update(call: Call) -> Reply:
    """PUT: a member accepts or rejects; the owner can't do it in its place."""
    parts: Parts = call.parts
    row = _shared(seen(call))
    found = _found(call, row)
    if found["member"] != call.caller.project_id and not call.may("image:any_owner"):
        raise Forbidden("Only the member itself may change its status.", code="not_member")
    status = call.json(_change).status
    if status not in STATUSES:
        raise Invalid(f"status must be one of {', '.join(STATUSES)}.", code="bad_member_status")
    if not parts.rows.change_member(row["id"], found["member"], status, time.time()):
        raise _missing(row, found["member"])
    return Reply(200, member(_found(call, row)))


def delete(call: Call) -> Reply:
    """DELETE: share it no more."""
    parts: Parts = call.parts
    row = _shared(owned(call))
    if not parts.rows.remove_member(row["id"], call.params["member_id"]):
        raise _missing(row, call.params["member_id"])
    return Reply(204)


def _shared(row: Row) -> Row:
    if row["visibility"] != "shared":
        raise Forbidden("Only shared images have members.", code="not_shared")
    return row


def _sees(call: Call, row: Row, project: str) -> bool:
    return call.caller.project_id in (row["owner"], project) or call.may("image:any_owner")


def _found(call: Call, row: Row) -> Row:
    project = call.params["member_id"]
    found: Row | None = call.parts.rows.member(row["id"], project)
    if found is None or not _sees(call, row, project):
        raise _missing(row, project)
    return found


def _missing(row: Row, project: str) -> NotFound:
    return NotFound(f"{project[:64]} is not a member of image {row['id']}.", code="no_such_member")
