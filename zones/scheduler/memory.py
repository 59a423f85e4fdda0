"""Who just said no: a refusal is remembered per (host, shape) until a newer report has room, or 2 s.

So a thousand boots into a full zone do not ask every host a thousand times, and none is turned away
by a no that the host has taken back. Times are arguments, of any steady clock.
"""

from zones.capabilities.host_row import Version
from zones.capabilities.host_table import HostTable
from zones.capabilities.room import Capacity

PATIENCE = 2.0
SHAPES_KEPT = 1024


class Refusals:
    """The refusals for want of room that still hold."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._of_shape: dict[Capacity, dict[str, tuple[Version, float]]] = {}

    def remember(self, host: str, need: Capacity, as_of: Version, now: float) -> None:
        """The host refused a server of this shape; `as_of` is the (boot, seq) of the report with its no."""
        refusals = self._of_shape.pop(need, {})
        refusals[host] = (as_of, now)
        self._of_shape[need] = refusals
        if len(self._of_shape) > SHAPES_KEPT:
            del self._of_shape[next(iter(self._of_shape))]

    def lately(self, need: Capacity, table: HostTable, now: float) -> frozenset[str]:
        """The hosts whose no to this shape still holds: `PlacementRequest.refused_lately`."""
        refusals = self._of_shape.get(need)
        if not refusals:
            return frozenset()
        for host, (as_of, said) in list(refusals.items()):
            newer = (table.version_of(host) or as_of) > as_of
            if now >= said + self._patience or (newer and _holds(table, host, need)):
                del refusals[host]
        if not refusals:
            del self._of_shape[need]
        return frozenset(refusals)

    def since(self, need: Capacity, then: float) -> frozenset[str]:
        """The hosts that said a no to this shape, as far as it is remembered, at that time or later."""
        return frozenset(host for host, (_, said) in self._of_shape.get(need, {}).items() if said >= then)


def _holds(table: HostTable, host: str, need: Capacity) -> bool:
    """Whether the host has room now; a newer report that has none only says no once more."""
    index = table.row_of(host)
    return index is not None and all(
        free[index] >= wanted for wanted, free in zip(need, table.free(), strict=True))
