"""What `place` decides by: the filters in their order, and the weighers with their multipliers."""

from dataclasses import dataclass
from typing import Self

from zones.config import Placement
from zones.scheduler import filters, fit, weighers
from zones.scheduler.filters import HostFilter
from zones.scheduler.weighers import Weigher

FILTERS: tuple[HostFilter, ...] = (
    filters.Up(), filters.Enabled(), filters.Untried(), filters.ForcedHost(), filters.AvailabilityZone(),
    filters.FlavorCapabilities(), filters.HintedCapabilities(), filters.SameHost(),
    filters.DifferentHost(), filters.Affinity(), filters.AntiAffinity(), filters.NotRefusedLately(),
    fit.RAM, fit.VCPUS, fit.DISK,
)
"""A host counts under the first that rejects it; so those for good come before those by live numbers."""


@dataclass(frozen=True)
class Policy:
    """How to decide. `keep` bounds the ranked candidates and the maybes: the attempts of one server."""

    filters: tuple[HostFilter, ...]
    weighers: tuple[tuple[Weigher, float], ...]
    keep: int = 16

    @classmethod
    def of(cls, placement: Placement, extra_filters: tuple[HostFilter, ...] = (),
           extra_weighers: tuple[tuple[Weigher, float], ...] = ()) -> Self:
        """The operator's policy: the built-in filters and weighers, and those of plug-ins."""
        live = tuple(one for one in FILTERS if isinstance(one, fit.Room))
        for_good = tuple(one for one in FILTERS if one not in live)
        return cls(
            filters=for_good + extra_filters + live,
            weighers=((weighers.RAM, placement.ram_weight), (weighers.CPU, placement.cpu_weight),
                      (weighers.DISK, placement.disk_weight), (weighers.COUNT, placement.count_weight),
                      (weighers.GROUP, 1.0), *extra_weighers))
