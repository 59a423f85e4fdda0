"""A change that a peer forwards happens once, however often its answer gets lost on the way."""

import time
import uuid
from typing import Any

import orjson

from zones.api import faults
from zones.api.wsgi import Call, Handler, Reply
from zones.db import operations
from zones.db.operations import Kept
from zones.errors import Conflict, Invalid, Unavailable, Unknown, ZonesError
from zones.protocol.neighbours import OPERATION

PATIENCE = 2.0
"""Seconds for which a repeat waits for the first one's answer."""
_LOOK_EVERY = 0.1


def once(handler: Handler) -> Handler:
    """The handler, run once for each `X-Zone-Operation` of a peer; a repeat gets the stored answer.

    Answers that a repeat may change (5xx) are not stored. Raises `Conflict`, code
    `operation_under_way`, to a repeat that has waited long enough.
    """
    def run(call: Call) -> Reply:
        name = operation_of(call)
        if name is None:
            return handler(call)
        key = operations.key_of(call.caller.peer, name, call.request.method, call.request.path_info)
        claim = str(uuid.uuid4())
        kept = _claim(call, key, claim)
        if not kept.mine:
            return Reply(kept.status, _opened(call, kept.body), kept.headers)
        return _run(call, handler, key, claim)
    return run


def operation_of(call: Call) -> str | None:
    """The id under which a peer asks for this change; None for anybody else. Raises `Invalid`."""
    text = call.request.headers.get(OPERATION) if call.caller.peer else None
    if text is None:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise Invalid(f"{OPERATION} must be a UUID", code="bad_operation") from error


def _claim(call: Call, key: str, claim: str) -> Kept:
    """The right to run the change, or its answer."""
    until = time.monotonic() + PATIENCE
    while True:
        kept: Kept = call.parts.db.run(operations.begin, key, claim, call.caller.peer,
                                       call.params["server_id"][:36])
        if kept.mine or kept.status != operations.UNDER_WAY:
            return kept
        if time.monotonic() >= until:
            raise Conflict("This very change is under way.", code="operation_under_way", retry_after=1)
        time.sleep(_LOOK_EVERY)


def _run(call: Call, handler: Handler, key: str, claim: str) -> Reply:
    try:
        reply = handler(call)
    except ZonesError as error:
        _keep(call, key, claim, _refusal(error))
        raise
    except BaseException:
        call.parts.db.run(operations.discard, key, claim)
        raise
    try:
        _keep(call, key, claim, reply)
    except Unavailable as error:  # what was done must not be told as what was surely not
        raise Unknown("This was done, but its answer could not be kept.", code="answer_lost") from error
    return reply


def _refusal(error: ZonesError) -> Reply:
    status = faults.status_of(error)
    return Reply(status, faults.nova(error, status), {"X-Zone-Error": error.code})


def _keep(call: Call, key: str, claim: str, reply: Reply) -> None:
    if reply.status >= 500:
        call.parts.db.run(operations.discard, key, claim)
        return
    call.parts.db.run(operations.finish, key, claim, reply.status, reply.headers, _sealed(call, reply.body))


def _sealed(call: Call, body: Any) -> bytes | None:
    """As it is stored: some answers have a password."""
    if body is None:
        return None
    text = (body if isinstance(body, bytes) else orjson.dumps(body)).decode()
    return str(call.parts.core.seal(text)).encode()


def _opened(call: Call, stored: bytes | None) -> bytes | None:
    return None if stored is None else str(call.parts.core.unseal(stored.decode())).encode()
