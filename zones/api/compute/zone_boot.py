"""Boots of neighbours, and what became of them; and the boot of 2011, which answers with a reservation."""

import time
from typing import Any

import msgspec

from zones.api.compute.boot_request import boot_request
from zones.api.compute.schemas import servers as schema
from zones.api.wsgi import Call, Reply
from zones.errors import Forbidden, Invalid
from zones.protocol.neighbours import Answered, Handover
from zones.servers import boot as booting
from zones.servers import feed, handover, offered, read

MAX_BODY = 8 * 1024 * 1024
"""Bytes of up to 64 boots; each may have as much as the body of a user's boot."""
MAX_WAIT = 5.0


def boot(call: Call) -> Reply:
    """POST /os-zones/boot: a peer's `{"boots": […]}`, or a user's body of POST /servers, as in 2011."""
    if call.caller.peer:
        return _boots(call)
    body = call.json()
    if isinstance(body, dict) and "boots" in body:
        raise _peers_only()
    body = schema.zone_boot(call.version)(body)
    booted = booting.boot(call.parts.core, call.caller, boot_request(call, body))
    return Reply(200, {"reservation_id": booted.reservation_id})


def recall(call: Call) -> Reply:
    """DELETE /os-zones/boot/{server_id}?attempt=…: refuse these attempts for ever, delete what they made."""
    _check_peer(call)
    attempts = list(dict.fromkeys(call.request.GET.getall("attempt")))
    server_id = read.as_id(call.params["server_id"])
    answers = handover.recall(call.parts.core, call.caller, server_id, attempts)
    return Reply(200, msgspec.to_builtins({"answers": answers}))


def changes(call: Call) -> Reply:
    """GET /os-zones/changes?since=&wait=&limit=: what is new for this peer, or will be within `wait`."""
    _check_peer(call)
    asked = call.request.GET
    since, limit = asked.get("since", ""), int(_number(asked.get("limit", "500"), "limit", feed.MOST))
    end = time.monotonic() + min(_number(asked.get("wait", "0"), "wait", 3600), MAX_WAIT)
    while True:
        found = feed.changes(call.parts.core, call.caller, since, limit)
        left = end - time.monotonic()
        if found.servers or found.images or found.more or call.parts.moved is None or left <= 0:
            return Reply(200, msgspec.json.encode(found))
        call.parts.moved.wait(feed.seq_of(found.cursor), left)


def document(call: Call) -> Reply:
    """GET /os-zones/changes/{server_id}: one server as it is now."""
    _check_peer(call)
    found = feed.document(call.parts.core, call.caller, read.as_id(call.params["server_id"]))
    return Reply(200, {"server": msgspec.to_builtins(found)})


def _boots(call: Call) -> Reply:
    body = call.json(limit=MAX_BODY)
    given = body.get("boots") if isinstance(body, dict) else None
    if not isinstance(given, list) or len(given) > handover.MOST_BOOTS:
        raise Invalid(f"boots is a list of at most {handover.MOST_BOOTS} boots", code="bad_boots")
    read_ones = [_boot(one) for one in given]
    taken = [one for one in read_ones if isinstance(one, Handover)]
    answers = iter(handover.accept(call.parts.core, call.caller, taken) if taken else [])
    return Reply(200, msgspec.to_builtins({
        "answers": [next(answers) if isinstance(one, Handover) else one for one in read_ones]}))


def _boot(given: Any) -> Handover | Answered:
    """A boot; or, where it is none, the refusal of its attempt."""
    try:
        boot = msgspec.convert(given, Handover)
        if offered.is_id(boot.attempt) and offered.is_id(boot.spec.id):
            return boot
        return offered.refusal(boot.attempt, "bad_spec", "attempts and servers are named by UUIDs")
    except msgspec.ValidationError as error:
        attempt = given.get("attempt") if isinstance(given, dict) else None
        if not isinstance(attempt, str):
            raise Invalid(f"Invalid input: {error}", code="bad_boots") from error
        return offered.refusal(attempt, "bad_spec", f"Invalid input: {error}")


def _check_peer(call: Call) -> None:
    if not call.caller.peer:
        raise _peers_only()


def _peers_only() -> Forbidden:
    return Forbidden("Only a peer of this zone may do that.", code="peers_only")


def _number(text: str, name: str, most: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise Invalid(f"{name} must be a number that is not negative.", code="bad_query")
    return min(number, most)
