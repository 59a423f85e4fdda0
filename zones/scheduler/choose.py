"""One choice out of a decision: the best candidate, else the likeliest maybe, else nowhere.

A host that refused this very server for want of room is chosen again only when a newer report says
that there is room now; it is never asked again as a mere maybe, so that asking ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zones.capabilities.host_row import Version
from zones.capabilities.host_table import HostTable
from zones.scheduler.memory import Refusals
from zones.scheduler.place import Decision, place
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest


@dataclass(frozen=True)
class Choice:
    """Where to try next. `target` None: the server fits nowhere, and `decision` says why.

    `wait`: nowhere, but some hosts are left out only for a no that is older than the request: look
    again soon. A no to an equal one that was said since is an answer to this one, too.
    """

    target: str | None
    maybe: bool
    decision: Decision
    request: PlacementRequest
    wait: bool = False


def choose(request: PlacementRequest, asked: Mapping[str, Version], table: HostTable, policy: Policy,
           refusals: Refusals, now: float) -> Choice:
    """Decide. `asked`: hosts that refused this server for want of room, as of which report."""
    still_no = {host for host, as_of in asked.items()
                if (table.version_of(host) or as_of) <= as_of}
    lately = refusals.lately(request.need, table, now) - asked.keys()
    request = replace(request, excluded=request.excluded | still_no, refused_lately=lately)
    decision = place(request, table, policy)
    if decision.ranked:
        return Choice(decision.ranked[0].target, False, decision, request)
    unasked = [maybe.target for maybe in decision.maybes if maybe.target not in asked]
    return Choice(unasked[0] if unasked else None, bool(unasked), decision, request,
                  wait=not unasked and decision.lately > 0 and not (
                      lately <= refusals.since(request.need, now - request.age)))
