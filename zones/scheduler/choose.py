"""One choice out of a decision: the best candidate, else the likeliest maybe, else nowhere.

Local first: a host that can hold it, else the best link, else a host that may, else a link that may.
A target that refused this very server for want of room is chosen again only when a newer report says
that there is room now; it is never asked again as a mere maybe, so that asking ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zones.capabilities.host_row import Version
from zones.capabilities.host_table import HostTable
from zones.scheduler.links import Links, place_on_links, zone_hint
from zones.scheduler.memory import Refusals
from zones.scheduler.place import Candidate, Decision, Rejection, place
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest


@dataclass(frozen=True)
class Choice:
    """Where to try next. `target` None: the server fits nowhere, and `decision` says why.

    `kind`: "host", and `target` is its name; "link", and it is a zone's UUID. `wait`: nowhere, but
    some are left out only for a no that is older than the request: look again soon. A no to an equal
    one that was said since is an answer to this one, too.
    """

    target: str | None
    maybe: bool
    decision: Decision
    request: PlacementRequest
    wait: bool = False
    kind: str = "host"


def choose(request: PlacementRequest, asked: Mapping[str, Version], table: HostTable, policy: Policy,
           refusals: Refusals, now: float, links: Links | None = None) -> Choice:
    """Decide. `asked`: hosts and links that refused this server for want of room, as of which version."""
    lately = refusals.lately(request.need, table, now) - asked.keys()
    since = refusals.since(request.need, now - request.age)
    still_no = {target for target, as_of in asked.items() if _still_no(target, as_of, table, links)}
    if links is not None and len(links.table):
        lately |= links.refusals.lately(request.need, links.table, now)
        since |= links.refusals.since(request.need, now - request.age)
    request = replace(request, excluded=request.excluded | still_no, refused_lately=lately)
    decision = _decide(request, table, policy, links, now)
    found = decision.ranked[:1] or (decision.links.ranked[:1] if decision.links else [])
    if found:
        return Choice(found[0].target, False, decision, request, kind=found[0].kind)
    maybe = _unasked(decision, asked)
    if maybe is not None:
        return Choice(maybe.target, True, decision, request, kind=maybe.kind)
    left_out = decision.lately + (decision.links.lately if decision.links else 0)
    return Choice(None, False, decision, request, wait=left_out > 0 and not lately <= since)


def _still_no(target: str, as_of: Version, table: HostTable, links: Links | None) -> bool:
    """Whether nothing newer was heard of the target than its no.

    Of a link `as_of` is (generation, head): of the summary that was there then, and how far another one
    must count the feed to be of after the no. Any reason makes another generation, also room that the
    neighbour's own users gave back.
    """
    link = links.table.state(target) if links is not None else None
    if link is not None:
        generation, head = as_of
        return link.generation <= generation or link.version[1] < head
    return (table.version_of(target) or as_of) <= as_of


def _decide(request: PlacementRequest, table: HostTable, policy: Policy, links: Links | None,
            now: float) -> Decision:
    zone = zone_hint(request)
    if zone and (links is None or zone != links.here):
        others = {"zone": Rejection(len(table), [])} if len(table) else {}
        decision = Decision(request.need, len(table), 0, [], [], others)
    else:
        decision = place(request, table, policy)
    if links is None or not len(links.table):
        return decision
    return replace(decision, links=place_on_links(request, links, now, policy.keep))


def _unasked(decision: Decision, asked: Mapping[str, Version]) -> Candidate | None:
    """The likeliest maybe that did not refuse this server yet."""
    maybes = decision.maybes + (decision.links.maybes if decision.links else [])
    return next((maybe for maybe in maybes if maybe.target not in asked), None)
