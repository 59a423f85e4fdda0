"""One hop: a request about a server goes to the neighbour that has it, and its answer comes back."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import orjson

from zones.api.compute.parts import Response
from zones.api.compute.replay import operation_of
from zones.api.compute.versions import parse
from zones.api.peers import ROLES
from zones.api.wsgi import Call, Reply
from zones.db import links
from zones.db.servers import ServerRow
from zones.errors import Conflict, Unavailable, Unknown, ZonesError
from zones.protocol.neighbours import ORIGIN, Origin, unpack_origin
from zones.servers import mirror

LOG = logging.getLogger(__name__)
CODE = "X-Zone-Error"
_NAMES = uuid.UUID("0d3f7c2e-5b0f-4b53-9a58-1f6f0f0a7c11")
"""The name space of operations that follow from the operation of the zone above."""
_RETRY = 30
_T = TypeVar("_T")


@dataclass(frozen=True)
class Hop:
    """The way to the neighbour that has this server, for this call."""

    call: Call
    server: ServerRow
    zone_uuid: str
    zone_name: str
    origin: Origin

    def send(self, method: str, path: str, body: Any = None, *, again: str = "") -> Response:
        """Ask the neighbour. An answer below 500 is one, whatever it says.

        `again` tells a second change by the same call from the first. Raises `Unavailable` when it was
        surely not done, `Unknown` when that can't be told.
        """
        major, minor = self.call.version
        try:
            response = self.call.parts.neighbours(self.zone_uuid).forward(
                method, path, origin=self.origin, microversion=f"{major}.{minor}",
                body=None if body is None else orjson.dumps(body),
                operation=None if method == "GET" else _operation(self.call, again))
        except Unknown as error:
            raise self.unknown(error.code) from error
        return self._checked(response)

    def _checked(self, response: Response) -> Response:
        code = response.headers.get(CODE)
        if response.status == 401:
            raise Unavailable(f"Zone {self.zone_name} does not let this zone in.", code="link_login",
                              retry_after=_RETRY)
        if response.status == 406:
            raise self.too_old()
        if response.status == 409 and code == "operation_under_way":
            raise self.unknown(code)
        if response.status == 503:
            raise Unavailable(f"Zone {self.zone_name} can't do this now.", code=code or "zone_down")
        if response.status >= 500 and response.status != 501:
            raise self.unknown(code or "bad_answer")
        return response

    def unknown(self, code: str) -> Unknown:
        """The error for an answer that did not come, or that says nothing."""
        return Unknown(f"Zone {self.zone_name} has not said what became of this request; it is known "
                       f"as {self.call.caller.request_id}.", code=code)

    def too_old(self) -> Conflict:
        """The error for a microversion that the neighbour does not speak."""
        major, minor = self.call.version
        return Conflict(f"Zone {self.zone_name} of instance {self.server.id} does not speak microversion "
                        f"{major}.{minor}.", code="zone_too_old")

    def hear(self) -> None:
        """Bring our row up to what the neighbour's says after a change; else its feed does, soon."""
        try:
            doc = self.call.parts.neighbours(self.zone_uuid).document(self.server.id)
            if doc is not None and doc.id == self.server.id:
                parts = self.call.parts
                mirror.document_heard(parts.core, self.zone_uuid, doc, parts.told)
        except ZonesError as error:
            LOG.info("what zone %s has done to server %s is heard later: %s", self.zone_name,
                     self.server.id, error)

    def read(self, response: Response, shape: type[_T]) -> _T:
        """The body of an answer. Raises `Unknown` when it is not of that shape."""
        try:
            return msgspec.json.decode(response.body, type=shape)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.unknown("bad_answer") from error


def hop_to(call: Call, server: ServerRow, zone_uuid: str) -> Hop:
    """The way there. Raises `Unavailable` at once while that zone does not answer, `Conflict`."""
    link = call.parts.db.run(links.of_zone, zone_uuid)
    name = zone_uuid if link is None else str(link["name"])
    if link is None or zone_uuid in call.parts.silent():
        raise Unavailable(f"Zone {name} of instance {server.id} does not answer.", code="zone_down",
                          retry_after=_RETRY)
    hop = Hop(call, server, zone_uuid, name, _origin(call, server))
    newest = parse(link["max_microversion"] or "")
    if newest is not None and newest < call.version:
        raise hop.too_old()
    return hop


def reply_of(response: Response) -> Reply:
    """The neighbour's answer as ours: status and body, and the code of a refusal."""
    code = response.headers.get(CODE)
    return Reply(response.status, response.body or None, {CODE: code} if code else {})


def is_done(response: Response) -> bool:
    """Whether the neighbour did it."""
    return response.status < 400


def surely(ask: Callable[[], Response], undo: Callable[[], None]) -> Response:
    """The answer of `ask`; `undo` is called when it was surely not done, and never in doubt."""
    try:
        response = ask()
    except Unknown:
        raise
    except ZonesError:
        undo()
        raise
    if not is_done(response):
        undo()
    return response


def _origin(call: Call, server: ServerRow) -> Origin:
    caller = call.caller
    left = Origin(project_id="", user_id="").hops_left
    if caller.peer and ORIGIN in call.request.headers:
        left = unpack_origin(call.request.headers[ORIGIN]).hops_left
    if left <= 0:
        raise Conflict(f"Instance {server.id} is more zones away than a request may go.",
                       code="too_many_hops")
    return Origin(project_id=server.project_id, user_id=caller.user_id,
                  roles=sorted(caller.roles & ROLES), user_name=caller.user_name,
                  request_id=caller.request_id, hops_left=left - 1)


def _operation(call: Call, again: str) -> str:
    """A new operation; for a peer's, one that follows from it, so that its repeat is a repeat below too."""
    above = operation_of(call)
    return str(uuid.uuid4()) if above is None else str(uuid.uuid5(_NAMES, f"{above} {again}"))
