"""Who just said no: a refusal is remembered per (target, shape) until a newer report has room, or 2 s.

So a thousand boots into a full zone do not ask every host a thousand times, and none is turned away
by a no that the host has taken back. Times are arguments, of any steady clock.
"""

from typing import Protocol

from zones.capabilities.host_row import Version
from zones.capabilities.room import Capacity

PATIENCE = 2.0
SHAPES_KEPT = 1024


class Known(Protocol):
    """The hosts (`HostTable`) or the links (`LinkTable`)."""

    def version_of(self, name: str, /) -> Version | None:
        """The version of what is known of one."""

    def has_room(self, name: str, need: Capacity, /) -> bool:
        """Whether one holds a server of this shape, as far as is known."""


class Refusals:
    """The refusals for want of room that still hold: of the hosts, or of the links."""

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

    def lately(self, need: Capacity, table: Known, now: float) -> frozenset[str]:
        """The hosts whose no to this shape still holds: `PlacementRequest.refused_lately`."""
        refusals = self._of_shape.get(need)
        if not refusals:
            return frozenset()
        for host, (as_of, said) in list(refusals.items()):
            # A newer report that has no room only says no once more.
            newer = (table.version_of(host) or as_of) > as_of
            if now >= said + self._patience or (newer and table.has_room(host, need)):
                del refusals[host]
        if not refusals:
            del self._of_shape[need]
        return frozenset(refusals)

    def since(self, need: Capacity, then: float) -> frozenset[str]:
        """The hosts that said a no to this shape, as far as it is remembered, at that time or later."""
        return frozenset(host for host, (_, said) in self._of_shape.get(need, {}).items() if said >= then)
