"""Which links may take the server, and how well: ranked, maybes and reasons, as `place` gives for hosts.

A link has room by its summary, less what is in flight to it. Only an operator's word, the request or
a summary that is young enough says no for good; no free slots, or no young summary, is a maybe.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

from zones.capabilities.classes import CapabilityClass, room_of
from zones.capabilities.link_table import LinkState, LinkTable
from zones.capabilities.room import Capacity
from zones.capabilities.summary import OLDEST, Entry
from zones.errors import Invalid
from zones.scheduler.memory import Refusals
from zones.scheduler.place import EXAMPLES, Candidate, Decision, Rejection
from zones.scheduler.request import PlacementRequest
from zones.scheduler.requirements import Requirement, of_extra_specs, of_hint

LEAST_HOPS = 2
"""Hops that a request must have left to be sent on: one is for the zone that takes it."""
MEMO_KEPT = 256
_Placed = tuple[bool, float, int, int, LinkState]
"""(Is a parent, −weight, tie, slots, link): the first three are the order."""
_ORDER = itemgetter(0, 1, 2)
_CLOSED = {"inactive": "zone_inactive", "cordoned": "zone_cordoned", "draining": "zone_cordoned"}


@dataclass(frozen=True)
class Links:
    """What is known of the neighbours. `here` is this zone's own name, which the hint `zone` may give."""

    table: LinkTable
    refusals: Refusals
    here: str = ""


class _Wanted(NamedTuple):
    """What decides how many slots the entries of one link have. `inside` is the availability zone below
    the link (None: any), `zone` the hint, `walked` the path so far."""

    need: Capacity
    inside: str | None
    zone: str
    required: tuple[tuple[str, Requirement], ...]
    walked: tuple[str, ...]


class _Offer(NamedTuple):
    """How many slots a link has, or the code of why it never has any; true until `until`."""

    slots: int
    code: str
    until: float


def place_on_links(request: PlacementRequest, links: Links, now: float, keep: int = 16) -> Decision:
    """Rank the links that may take the server. A weight is offset + scale × n / (n + 1), where n is how
    many servers of this shape still fit there: 0..1 whatever else there is. Children go before parents."""
    ranked: list[_Placed] = []
    maybes: list[_Placed] = []
    rejected: dict[str, list[dict[str, Any]]] = {}
    counts: dict[str, int] = {}
    judge = _Judge(request, links.here, now)
    salt = crc32(request.spec.id.encode())
    for link in links.table:
        slots, code, possible = judge.verdict(link)
        if code:
            counts[code] = counts.get(code, 0) + 1
            examples = rejected.setdefault(code, [])
            if len(examples) < EXAMPLES:
                examples.append({"host": link.name, **judge.numbers(code)})
        if not code or possible:
            weight = link.weight_offset + link.weight_scale * slots / (slots + 1)
            (maybes if code else ranked).append((
                link.relation == "parent", -weight, crc32(link.zone_uuid.encode(), salt), slots, link))
    return Decision(request.need, len(links.table), len(ranked), _best(ranked, keep), _best(maybes, keep),
                    {code: Rejection(count, rejected[code]) for code, count in counts.items()})


def _best(found: list[_Placed], keep: int) -> list[Candidate]:
    return [Candidate(link.zone_uuid, "", -weight, {"room": slots / (slots + 1)}, "link", link.name)
            for _, weight, _, slots, link in nsmallest(keep, found, key=_ORDER)]


def local_only(request: PlacementRequest) -> bool:
    """Whether the hint `local_zone_only` keeps the server in this zone."""
    return str(request.spec.hints.get("local_zone_only", "")).lower() in ("true", "1", "yes", "on")


def zone_hint(request: PlacementRequest) -> str:
    """The name of the zone that the hint `zone` asks for, "" for none."""
    hint = request.spec.hints.get("zone")
    return str(hint[0] if isinstance(hint, list) and hint else hint or "")


def below(availability_zone: str | None, link: str) -> str | None:
    """What `link/az` means at the neighbour of that link: `az`, "" for anything there; None: not there."""
    if not availability_zone:
        return ""
    first, _, rest = availability_zone.partition("/")
    return rest if first == link else None


class _Judge:
    """One request, asked of each link in turn."""

    def __init__(self, request: PlacementRequest, here: str, now: float) -> None:
        spec = request.spec
        self._request, self._now = request, now
        self._zone = zone_hint(request)
        self._required: tuple[tuple[str, Requirement], ...] = ()
        self._walked = tuple(spec.path)
        self._words: dict[str, dict[str, Any]] = {
            "zone": {"wanted": self._zone}, "availability_zone": {"wanted": spec.availability_zone}}
        self._none = self._for_all(here)
        self._anchored = spec.group is not None and spec.group.policy == "affinity" and bool(request.members)
        self._anywhere = _Wanted(request.need, None, self._zone, self._required, self._walked)
        self._key = repr(self._anywhere)  # a text is hashed once, a tuple at each link
        self._unconditional = not (self._walked or request.excluded or self._anchored
                                   or request.same_hosts is not None)

    def _for_all(self, here: str) -> str:
        """Why no link at all may take it, as a code."""
        spec = self._request.spec
        if spec.force_host is not None:
            return "forced_host"
        if local_only(self._request):
            return "local_zone_only"
        if self._zone and self._zone == here:
            return "zone"
        if spec.hops_left < LEAST_HOPS:
            return "hops"
        try:
            hint = spec.hints.get("zone_capabilities")
            hinted = of_hint(hint) if hint else []
        except Invalid as error:
            self._words["zone_capabilities"] = {"error": error.message[:200]}
            return "zone_capabilities"
        asked = of_extra_specs(spec.flavor.extra_specs) if spec.flavor.extra_specs else []
        self._required = (*(("capability", one) for one in asked),
                          *(("zone_capabilities", one) for one in hinted))
        for code, one in reversed(self._required):
            self._words[code] = {"wanted": f"{one.key}={one.text.strip()}"}
        return ""

    def numbers(self, code: str) -> dict[str, Any]:
        """What an example of this code says beside the link's name."""
        return self._words.get(code, {})

    def verdict(self, link: LinkState) -> tuple[int, str, bool]:
        """Free slots; the code of a rejection; and whether the link may take it all the same."""
        code = self._none or self._never(link)
        if code:
            return 0, code, False
        wanted, key = self._anywhere, self._key
        if self._request.spec.availability_zone:
            inside = below(self._request.spec.availability_zone, link.name)
            if inside is None:
                return 0, "availability_zone", False
            if inside:
                wanted = wanted._replace(inside=inside)
                key = repr(wanted)
        if link.closed:
            return 0, "zone_silent", True
        offer: _Offer | None = link.memo.get(key)
        if offer is None or offer.until < self._now:
            offer = _offer(link, wanted, self._now)
            if offer is None:
                return 0, "zone_silent", True
            if len(link.memo) >= MEMO_KEPT:
                link.memo.clear()
            link.memo[key] = offer
        if offer.code:
            return 0, offer.code, False
        if link.zone_uuid in self._request.refused_lately:
            return 0, "refused_lately", False
        slots = offer.slots - link.taken(wanted.need)
        return (slots, "", True) if slots > 0 else (0, "room", True)

    def _never(self, link: LinkState) -> str:
        """Why this link may not take it, whatever it has."""
        request, uuid = self._request, link.zone_uuid
        if link.closed in _CLOSED:
            return _CLOSED[link.closed]
        if self._unconditional:
            return ""
        if uuid in self._walked:
            return "loop"
        if uuid in request.excluded:
            return "excluded"
        if request.same_hosts is not None and uuid not in request.same_hosts:
            return "same_host"
        if self._anchored and uuid not in request.members:
            return "group"
        return ""


def _offer(link: LinkState, wanted: _Wanted, now: float) -> _Offer | None:
    """What the link's entries offer until the first of them is too old; None where its own is."""
    own = link.entries.get(link.zone_uuid) if link.entries else None
    if own is None or own.age + now - link.heard_at > OLDEST:
        return None
    slots, until, matched = 0, float("inf"), False
    code = _hardest(wanted)
    reached = -1
    for expires, uuid, entry in _young(link, now):
        until = min(until, expires)
        if uuid in wanted.walked or not _is_zone(link, uuid, entry, wanted.zone):
            continue
        fitting = []
        for kind in entry.classes:
            stage, why = _misses(wanted, entry, kind)
            if not why:
                matched = True
                fitting.append(kind)
            elif stage > reached:
                reached, code = stage, why
        slots += room_of(wanted.need, fitting)
        if not entry.classes and wanted.inside is None and not wanted.required:
            matched = True  # such a zone only has no open host now
    return _Offer(slots, "" if matched else code, until)


def _young(link: LinkState, now: float) -> Iterator[tuple[float, str, Entry]]:
    for uuid, entry in (link.entries or {}).items():
        expires = link.heard_at + OLDEST - entry.age
        if expires >= now:
            yield expires, uuid, entry


def _hardest(wanted: _Wanted) -> str:
    """The code for a link of which no class came so far as to miss anything."""
    if wanted.zone:
        return "zone"
    if wanted.inside is not None:
        return "availability_zone"
    return wanted.required[0][0] if wanted.required else ""


def _is_zone(link: LinkState, uuid: str, entry: Entry, zone: str) -> bool:
    """Whether an entry is the zone that the hint asks for, by its own name or its link's."""
    if not zone or entry.name == zone:
        return True
    return (link.name if uuid == link.zone_uuid else entry.path[-1] if entry.path else "") == zone


def _misses(wanted: _Wanted, entry: Entry, kind: CapabilityClass) -> tuple[int, str]:
    """How far a class came, and the code of what it lacks, "" when it lacks nothing. A summary carries
    static capabilities only, so one that is live at its host is not offered by a link."""
    if wanted.inside is not None:
        path = "/".join(entry.path)
        full = f"{path}/{kind.availability_zone}" if path else kind.availability_zone
        if wanted.inside not in (full, path) and not path.startswith(f"{wanted.inside}/"):
            return 0, "availability_zone"
    for place, (code, one) in enumerate(wanted.required):
        if not one.is_met(tuple(kind.capabilities.get(one.key, ()))):
            return place + 1, code
    return len(wanted.required) + 1, ""
