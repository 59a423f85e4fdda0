"""Which hosts may hold the server: each filter gives a mask over the table, and a reason code.

A filter that the request does not touch is not run. To reject *for good* is a no; where only live
numbers reject (`possible` tells where), the host is a maybe that is asked before the server fails.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from zones.capabilities.columns import Flags
from zones.capabilities.host_table import HostTable
from zones.scheduler.request import PlacementRequest
from zones.scheduler.requirements import Requirement, of_extra_specs, of_hint


class HostFilter:
    """What a filter is; a plug-in is a subclass. `name` is its own, `reason` what it rejects with."""

    name = ""
    reason = ""

    def applies(self, request: PlacementRequest) -> bool:
        """Whether the request touches this filter at all."""
        return True

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """True for the rows (`table.size` of them) that pass."""
        raise TypeError(f"filter {self.name!r} has no mask")

    def possible(self, request: PlacementRequest, table: HostTable) -> Flags | None:
        """The rejected rows that could pass with other live numbers; None when it rejects for good."""
        return None

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """Why the row was rejected, for the explanation: numbers and short strings."""
        return {}


def only(table: HostTable, hosts: Iterable[str]) -> Flags:
    """The rows of these hosts."""
    mask = np.zeros(table.size, dtype=np.bool_)
    for host in hosts:
        index = table.row_of(host)
        if index is not None:
            mask[index] = True
    return mask


class Up(HostFilter):
    """Hosts that were heard lately."""

    name, reason = "up", "silent"

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The rows that are alive."""
        return table.columns.alive[:table.size]


class Enabled(HostFilter):
    """Hosts that the operator did not disable."""

    name, reason = "enabled", "disabled"

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The rows that are enabled."""
        return table.columns.enabled[:table.size]


class Untried(HostFilter):
    """Hosts that did not refuse this very server before."""

    name, reason = "untried", "tried"

    def applies(self, request: PlacementRequest) -> bool:
        """When some host was tried."""
        return bool(request.excluded)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """All rows but theirs."""
        return ~only(table, request.excluded)


class ForcedHost(HostFilter):
    """The one host that was asked for by name."""

    name, reason = "forced_host", "not_the_host"

    def applies(self, request: PlacementRequest) -> bool:
        """When one was."""
        return request.spec.force_host is not None

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """Its row."""
        return only(table, [request.spec.force_host or ""])

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """The host that is wanted."""
        return {"wanted": request.spec.force_host}


class AvailabilityZone(HostFilter):
    """Hosts of the availability zone that was asked for."""

    name, reason = "availability_zone", "availability_zone"

    def applies(self, request: PlacementRequest) -> bool:
        """When one was."""
        return bool(request.spec.availability_zone)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The rows in it."""
        zones = table.availability_zones
        wanted: Flags = zones.codes[:table.size] == zones.code(request.spec.availability_zone or "")
        return wanted

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """The zone that is wanted, and the host's."""
        return {"wanted": request.spec.availability_zone, "has": table.availability_zones.get(index)}


class _Offers(HostFilter):
    """Hosts that offer what is required of their capabilities."""

    def required(self, request: PlacementRequest) -> list[Requirement]:
        """What is required."""
        return []

    def applies(self, request: PlacementRequest) -> bool:
        """When something is required."""
        return bool(self.required(request))

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The rows that meet all of it."""
        first, *rest = self.required(request)
        mask = first.mask(table)
        for requirement in rest:
            mask &= requirement.mask(table)
        return mask

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """The first requirement that the host does not meet."""
        for requirement in self.required(request):
            if not requirement.is_met_by(table, index):
                return {"key": requirement.key, "wanted": requirement.text.strip(),
                        "has": requirement.offered(table, index)}
        return {}


class FlavorCapabilities(_Offers):
    """Hosts that offer what the flavor's extra specs ask for."""

    name, reason = "flavor_capabilities", "capability"

    def required(self, request: PlacementRequest) -> list[Requirement]:
        """The extra specs of the scope `capabilities:` or of none."""
        specs = request.spec.flavor.extra_specs
        return of_extra_specs(specs) if specs else []


class HintedCapabilities(_Offers):
    """Hosts that offer what the hint `zone_capabilities` asks for."""

    name, reason = "hinted_capabilities", "zone_capability"

    def applies(self, request: PlacementRequest) -> bool:
        """When the hint is there."""
        return bool(request.spec.hints.get("zone_capabilities"))

    def required(self, request: PlacementRequest) -> list[Requirement]:
        """The hint's requirements; raises `Invalid` when it is malformed."""
        return of_hint(request.spec.hints["zone_capabilities"])


class SameHost(HostFilter):
    """Hosts of the servers that the hint `same_host` names."""

    name, reason = "same_host", "same_host"

    def applies(self, request: PlacementRequest) -> bool:
        """When it names some."""
        return request.same_hosts is not None

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """Their rows."""
        return only(table, request.same_hosts or ())


class DifferentHost(HostFilter):
    """Hosts without the servers that the hint `different_host` names."""

    name, reason = "different_host", "different_host"

    def applies(self, request: PlacementRequest) -> bool:
        """When it names some."""
        return bool(request.different_hosts)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """All rows but theirs."""
        return ~only(table, request.different_hosts)


class Affinity(HostFilter):
    """The host of the server's group, once it has a member."""

    name, reason = "affinity", "affinity"

    def applies(self, request: PlacementRequest) -> bool:
        """For a group of that policy that has a member."""
        group = request.spec.group
        return group is not None and group.policy == "affinity" and bool(request.members)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """The members' rows."""
        return only(table, request.members)


class AntiAffinity(HostFilter):
    """Hosts that hold fewer members of the server's group than the group allows on one host."""

    name, reason = "anti_affinity", "anti_affinity"

    def applies(self, request: PlacementRequest) -> bool:
        """For a group of that policy that has a member."""
        group = request.spec.group
        return group is not None and group.policy == "anti-affinity" and bool(request.members)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """All rows but those of full hosts."""
        return ~only(table, [host for host, count in request.members.items() if count >= _most(request)])

    def numbers(self, request: PlacementRequest, table: HostTable, index: int) -> dict[str, Any]:
        """How many may be on one host, and how many are."""
        return {"most": _most(request), "has": request.members.get(table.row(index).name, 0)}


def _most(request: PlacementRequest) -> int:
    return request.spec.group.rules.get("max_server_per_host", 1) if request.spec.group else 1


class NotRefusedLately(HostFilter):
    """Hosts that did not just refuse another server of this shape."""

    name, reason = "not_refused_lately", "refused_lately"

    def applies(self, request: PlacementRequest) -> bool:
        """When some did."""
        return bool(request.refused_lately)

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        """All rows but theirs."""
        return ~only(table, request.refused_lately)
