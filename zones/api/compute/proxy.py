"""Where a request below /servers/{server_id} is answered: here, or by the neighbour that has the server.

A forwarded request is made anew of the matched route, its checked parameters, the query parameters
that the route has, and the body: nothing else of what the client sent goes on.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from zones.api.compute import actions, forwarded_actions, instance_actions, query
from zones.api.compute import servers as here
from zones.api.compute.hop import Hop, hop_to, is_done, reply_of
from zones.api.compute.replay import once
from zones.api.compute.views import servers as view
from zones.api.wsgi import Call, Handler, Reply, Route
from zones.db.servers import ServerRow
from zones.errors import Invalid, NotFound
from zones.servers import read

SERVER = "/servers/{server_id}"
ACTION = f"{SERVER}/action"
HISTORY = f"{SERVER}/os-instance-actions"
LOCAL = frozenset({
    (SERVER, "GET"), (SERVER, "DELETE"),
    (f"{SERVER}/metadata", "GET"), (f"{SERVER}/metadata/{{key}}", "GET"),
    (f"{SERVER}/tags", "GET"), (f"{SERVER}/tags/{{tag}}", "GET"),
    (f"{SERVER}/ips", "GET"), (f"{SERVER}/ips/{{network}}", "GET"),
    (f"{SERVER}/os-interface", "GET"), (f"{SERVER}/os-interface/{{port_id}}", "GET"),
    (f"{SERVER}/os-security-groups", "GET"), (f"{SERVER}/migrations", "GET"),
    (f"{SERVER}/os-volume_attachments", "GET"),
    (f"{SERVER}/os-volume_attachments/{{volume_id}}", "GET"),
})
"""What our own row says as well as the neighbour could; and the delete, which must outlive its silence."""
QUERY: Mapping[str, tuple[str, ...]] = {HISTORY: instance_actions.FILTERS}
"""The query parameters that a forwarded route has; the others have none."""


def where_it_runs(path: str, method: str, handler: Handler) -> Handler:
    """The handler of a route, wrapped if its request may be for a server that a neighbour has.

    A change that a peer asks for happens once, wherever it runs.
    """
    if (path != SERVER and not path.startswith(f"{SERVER}/")) or (path, method) in LOCAL:
        return handler
    forward = _FORWARD.get((path, method), _plainly)

    def run(call: Call) -> Reply:
        server = _elsewhere(call)
        if server is None or server.zone_uuid is None:
            return handler(call)
        return forward(_Asked(call, server, server.zone_uuid, path, method))
    return run if method == "GET" else once(run)


def routes_where_they_run(path: str, methods: Mapping[str, Route | tuple[Route, ...]]
                          ) -> dict[str, tuple[Route, ...]]:
    """The routes of a path, each with `where_it_runs`."""
    return {method: tuple(Route(where_it_runs(path, method, one.handler), one.rule, one.since, one.until)
                          for one in (route if isinstance(route, tuple) else (route,)))
            for method, route in methods.items()}


def _elsewhere(call: Call) -> ServerRow | None:
    """The living server in the path, if the caller may see it; else the handler has the words for it."""
    try:
        return read.get(call.parts.core, call.caller, call.params["server_id"])
    except NotFound:
        return None


class _Asked:
    """A request that is to be forwarded."""

    def __init__(self, call: Call, server: ServerRow, zone_uuid: str, path: str, method: str) -> None:
        self.call = call
        self.server = server
        self.method = method
        self.template = path
        self.path = path_of(path, {**call.params, "server_id": server.id})
        self._zone_uuid = zone_uuid

    def hop(self) -> Hop:
        """The way to the neighbour. Raises `Unavailable` at once while that does not answer."""
        return hop_to(self.call, self.server, self._zone_uuid)


def path_of(template: str, params: Mapping[str, str]) -> str:
    """The path of a route with these parameters, each percent-encoded as one segment.

    Raises `Invalid` for a segment of dots, which something on the way might take for another path.
    """
    return "/".join(_segment(params[part[1:-1]]) if part.startswith("{") else part
                    for part in template.split("/"))


def _segment(text: str) -> str:
    if text in (".", ".."):
        raise Invalid(f"'{text}' can't be asked of a server in another zone.", code="bad_path")
    return quote(text, safe="")


def _query(asked: _Asked) -> str:
    names = QUERY.get(asked.template, ())
    pairs = [(name, value) for name, value in asked.call.request.GET.items() if name in names]
    return f"?{urlencode(pairs)}" if pairs else ""


# ------------------------------------------------------------------ what is more than passed on

class _History(msgspec.Struct, rename="camel"):
    instance_actions: list[dict[str, Any]]


class _OneOfHistory(msgspec.Struct, rename="camel"):
    instance_action: dict[str, Any]


class _Happened(msgspec.Struct):
    events: list[dict[str, Any]] = []


class _Events(msgspec.Struct, rename="camel"):
    instance_action: _Happened


def _plainly(asked: _Asked) -> Reply:
    call = asked.call
    body = call.json() if asked.method != "GET" and call.request.is_body_readable else None
    hop = asked.hop()
    response = hop.send(asked.method, asked.path + _query(asked), body)
    reply = reply_of(response)
    if asked.method != "GET" and is_done(response):
        hop.hear()
        if response.status == 201:
            return Reply(201, reply.body, {"Location": f"{view.look_of(call).here}{asked.path}"})
    return reply


def _update(asked: _Asked) -> Reply:
    body = asked.call.json()
    here.check_update(asked.call, body)
    hop = asked.hop()
    response = hop.send("PUT", asked.path, body)
    if not is_done(response):
        return reply_of(response)
    hop.hear()
    return here.updated(asked.call)


def _action(asked: _Asked) -> Reply:
    wanted = actions.asked(asked.call)
    if wanted.name in forwarded_actions.HERE:
        return actions.run(asked.call, wanted)
    return forwarded_actions.forward(asked.hop(), asked.path, wanted)


def _history(asked: _Asked) -> Reply:
    call = asked.call
    wanted = instance_actions.query_of(call)
    hop = asked.hop()
    response = hop.send("GET", asked.path + _query(asked))
    if not is_done(response):
        return reply_of(response)
    found = hop.read(response, _History).instance_actions
    body = {"instanceActions": [{**one, "project_id": asked.server.project_id} for one in found]}
    more = query.next_link(call, found, wanted.limit or 0, found[-1].get("request_id", "") if found else "")
    return Reply(200, {**body, "links": more} if more else body)


def _one_of_history(asked: _Asked) -> Reply:
    hop, server = asked.hop(), asked.server
    response = hop.send("GET", asked.path)
    if not is_done(response):
        return reply_of(response)
    shown = {**hop.read(response, _OneOfHistory).instance_action, "project_id": server.project_id}
    ours = {"host": view.host_of(server), "hostId": view.hide_host(server.project_id, server.zone_uuid)}
    if "events" in shown:
        shown["events"] = [{name: ours.get(name, value) for name, value in event.items()}
                           for event in hop.read(response, _Events).instance_action.events]
    return Reply(200, {"instanceAction": shown})


_FORWARD: Mapping[tuple[str, str], Callable[[_Asked], Reply]] = {
    (SERVER, "PUT"): _update, (ACTION, "POST"): _action, (HISTORY, "GET"): _history,
    (f"{HISTORY}/{{request_id}}", "GET"): _one_of_history}
