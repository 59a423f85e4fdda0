"""The decision: one request and the table in, ranked candidates and the reasons of the others out.

Pure: no clock, socket, database, log. It reads the live columns of the table and keeps nothing of
them, so the caller puts each pick in flight before it places the next. Where threads share a table
the caller holds its lock for the call.
"""

from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from zones.capabilities.columns import Flags, Floats, Salts
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity
from zones.errors import ZonesError
from zones.scheduler.filters import HostFilter
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest

EXAMPLES = 3
EXPLAINED = 5
"""How many of the best candidates carry the weight of each weigher."""
STEPS = 2**20
"""Weights that differ by less than a millionth of the scale are equal: then the request's hash decides."""

Rows = npt.NDArray[np.intp]
Key = TypeVar("Key", np.int32, np.int64)


class Candidate(msgspec.Struct, frozen=True):
    """One place for the server. `weights`: by weigher, before multipliers, for the best few.

    `kind` "host": `target` is its name. "link": a zone's UUID, and `name` the link's.
    """

    target: str
    service: str
    weight: float
    weights: dict[str, float] = {}
    kind: str = "host"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """How many candidates a reason rejected, and the numbers of a few (each with its `host`)."""

    count: int
    examples: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Decision:
    """`ranked`, best first; `maybes`, most believed free first, filled when `ranked` is short.

    `rejected` by reason code: a host counts under the first filter that rejected it, maybes too.
    A maybe's weight is the least share, over the dimensions, of what is needed that is free.
    `links`: the same of the links, where there are any.
    """

    need: Capacity
    considered: int
    passed: int
    ranked: list[Candidate]
    maybes: list[Candidate]
    rejected: dict[str, Rejection]
    links: "Decision | None" = None

    @property
    def best(self) -> Candidate | None:
        """Where to try first: the best candidate, else the best maybe."""
        return next(iter(self.ranked or self.maybes), None)

    @property
    def lately(self) -> int:
        """Candidates left out only because they refused this shape within the last seconds: look again."""
        rejection = self.rejected.get("refused_lately")
        return rejection.count if rejection else 0


def place(request: PlacementRequest, table: HostTable, policy: Policy) -> Decision:
    """Rank the hosts that may hold the server, and tell why the others may not."""
    if not len(table):
        return Decision(request.need, 0, 0, [], [], {})
    rejected: dict[str, Rejection] = {}
    known = table.availability_zones.codes[:table.size] >= 0
    standing, hopeful = _sieve(request, table, policy, known, rejected)
    passed = int(np.count_nonzero(standing))
    ranked: list[Candidate] = []
    weights = _weigh(request, table, policy, rejected, passed) if passed else None
    if weights is None:
        passed = 0
    else:
        rows = _best(request, table, policy, weights[0], standing, passed)
        ranked = [_candidate(table, index, weight, weights[1] if place < EXPLAINED else [])
                  for place, (index, weight) in enumerate(
                      zip(rows.tolist(), weights[0][rows].tolist(), strict=True))]
    maybes = []
    if hopeful is not None and len(ranked) < policy.keep:
        maybes = _maybes(request, table, np.flatnonzero(hopeful & ~standing), policy.keep)
    return Decision(request.need, len(table), passed, ranked, maybes, rejected)


def _sieve(request: PlacementRequest, table: HostTable, policy: Policy, standing: Flags,
           rejected: dict[str, Rejection]) -> tuple[Flags, Flags | None]:
    """Who passes every filter, and who could if live numbers were others (None: nobody more)."""
    hopeful: Flags | None = None
    left = int(np.count_nonzero(standing))
    for one in policy.filters:
        if not left and hopeful is None:
            break
        try:
            if not one.applies(request):
                continue
            mask = one.mask(request, table)
            passed = standing & mask
            count = int(np.count_nonzero(passed))
            possible = one.possible(request, table) if count < left or hopeful is not None else None
            if count < left:
                _reject(rejected, one.reason, left - count, _examples(
                    one, request, table, standing & ~mask))
        except Exception as error:  # a plug-in must not stop the placement of others
            _reject(rejected, f"{one.name}_error", left, [{"error": _words(error)}])
            return np.zeros_like(standing), None
        if possible is not None:
            hopeful = (standing if hopeful is None else hopeful) & possible
        elif hopeful is not None:
            hopeful = hopeful & mask
        standing, left = passed, count
    return standing, hopeful


def _reject(rejected: dict[str, Rejection], reason: str, count: int,
            examples: list[dict[str, Any]]) -> None:
    before = rejected.get(reason)
    if before is not None:
        count, examples = before.count + count, (before.examples + examples)[:EXAMPLES]
    rejected[reason] = Rejection(count, examples)


def _examples(one: HostFilter, request: PlacementRequest, table: HostTable,
              gone: Flags) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    start = 0
    while len(found) < EXAMPLES and start < len(gone):
        index = start + int(gone[start:].argmax())
        if not gone[index]:
            break
        found.append({"host": table.row(index).name, **one.numbers(request, table, index)})
        start = index + 1
    return found


def _weigh(request: PlacementRequest, table: HostTable, policy: Policy, rejected: dict[str, Rejection],
           passed: int) -> tuple[Floats, list[tuple[str, Floats]]] | None:
    """Each row's weight, and its parts; None when a weigher raised: then nothing can be ranked."""
    parts: list[tuple[str, Floats]] = []
    total = np.zeros(table.size)
    for one, multiplier in policy.weighers:
        try:
            if multiplier and one.applies(request):
                part = one.weigh(request, table)
                total += part * multiplier if multiplier != 1 else part
                parts.append((one.name, part))
        except Exception as error:  # a plug-in must not stop the placement of others
            _reject(rejected, f"{one.name}_error", passed, [{"error": _words(error)}])
            return None
    return total, parts


def _best(request: PlacementRequest, table: HostTable, policy: Policy, weights: Floats,
          standing: Flags, passed: int) -> Rows:
    """The rows of the heaviest, best first."""
    scale = STEPS / (sum(abs(multiplier) for _, multiplier in policy.weighers) or 1.0)
    salt = table.columns.salt[:table.size]
    if passed == table.size:
        return _top(weights * scale, salt, request.spec.id, policy.keep)
    rows = np.flatnonzero(standing)
    return rows[_top(weights.take(rows) * scale, salt.take(rows), request.spec.id, policy.keep)]


def _top(weights: Floats, salt: Salts, server: str, keep: int) -> Rows:
    """The places of the greatest weights, best first; the server's id orders those of the same step."""
    steps = weights.astype(np.int32)
    near: Rows | None = None
    if len(steps) > keep:
        good = _at_least(steps, keep)
        if np.count_nonzero(good) <= len(steps) // 4:  # else most are equal, and picking them costs more
            near = np.flatnonzero(good)
            steps, salt = steps.take(near), salt.take(near)
    keys = steps.astype(np.int64)
    keys <<= 32
    keys |= _ties(salt, server)
    best = np.flatnonzero(_at_least(keys, keep)) if len(keys) > keep else np.arange(len(keys))
    best = best[np.argsort(keys[best])[::-1]][:keep]
    return best if near is None else near[best]


def _at_least(keys: npt.NDArray[Key], keep: int) -> Flags:
    """The `keep` greatest keys, and those equal to the least of them."""
    least = np.partition(keys, len(keys) - keep)[len(keys) - keep]
    mask: Flags = keys >= least
    return mask


def _ties(salt: Salts, server: str) -> Salts:
    """A number per row that looks random and is the same wherever this request is placed."""
    mixed = salt ^ np.uint32(crc32(server.encode()))
    mixed *= np.uint32(0x9E3779B1)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x85EBCA77)
    mixed ^= mixed >> np.uint32(13)
    return mixed


def _candidate(table: HostTable, index: int, weight: float,
               parts: list[tuple[str, Floats]]) -> Candidate:
    row = table.row(index)
    return Candidate(row.name, row.service, weight,
                     {name: float(part[index]) for name, part in parts})


def _maybes(request: PlacementRequest, table: HostTable, rows: Rows, keep: int) -> list[Candidate]:
    """The likeliest of these rows."""
    share = np.ones(len(rows))
    for wanted, column in zip(request.need, table.free(), strict=True):
        if wanted > 0:
            np.minimum(share, column.take(rows) / wanted, out=share)
    np.maximum(share, -1.0, out=share)
    best = _top(share * STEPS, table.columns.salt.take(rows), request.spec.id, keep)
    return [_candidate(table, index, weight, [])
            for index, weight in zip(rows[best].tolist(), share[best].tolist(), strict=True)]


def _words(error: Exception) -> str:
    text = error.message if isinstance(error, ZonesError) else f"{type(error).__name__}: {error}"
    return text[:200]
