"""Which instance types EC2 offers where, and in which order they are tried for a flavor."""

import threading
import time
from dataclasses import dataclass

from zones.compute.ec2.api import Ec2
from zones.compute.ec2.options import Options
from zones.errors import Unsupported

FRESH = 6 * 3600.0
"""Seconds for which an answer about types is used; what was withdrawn since refuses the launch itself."""
MOST = 8
"""Types tried for one launch."""
_ACCELERATORS = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "MediaAcceleratorInfo", "NeuronInfo")


@dataclass(frozen=True)
class Kind:
    """One instance type."""

    name: str
    vcpus: int
    ram: int
    """MiB."""
    architectures: frozenset[str]
    special: bool
    """Bare metal, or with accelerators: dear, and used only when the operator names such types."""
    local_disk: bool
    zones: frozenset[str]


class Catalog:
    """The types, asked for once and then rarely. Safe to share between threads."""

    def __init__(self, ec2: Ec2, options: Options) -> None:
        self._ec2 = ec2
        self._options = options
        self._lock = threading.Lock()
        self._kinds: list[Kind] = []
        self._until = 0.0

    def fitting(self, zone: str, vcpus: int, ram: int, architecture: str) -> list[str]:
        """The types of this zone that hold so much, best first: at most `MOST`.

        The cheapest by the operator's prices first; those without a price by size, then by name.
        Raises `Unsupported` when there is none.
        """
        fit = [kind for kind in self._all() if zone in kind.zones and architecture in kind.architectures
               and kind.vcpus >= vcpus and kind.ram >= ram
               and (self._options.type_patterns or not kind.special)]
        if not fit:
            raise Unsupported(f"EC2 offers no {architecture} instance type with {vcpus} vCPUs and {ram} MiB "
                              f"in {zone} that this zone may use", code="no_instance_type")
        return [kind.name for kind in sorted(fit, key=self._rank)[:MOST]]

    def _rank(self, kind: Kind) -> tuple[bool, float, int, int, bool, str]:
        price = self._options.prices.get(kind.name)
        return price is None, price or 0.0, kind.vcpus, kind.ram, kind.local_disk, kind.name

    def _all(self) -> list[Kind]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._kinds = self._ask()
                self._until = time.monotonic() + FRESH
            return self._kinds

    def _ask(self) -> list[Kind]:
        # Not every EC2 knows patterns in this filter; whole names it does, and they make the answer short.
        names = [name for name in self._options.type_patterns if not set(name) & set("*?[")]
        whole = len(names) == len(self._options.type_patterns)
        chosen = [{"Name": "instance-type", "Values": names}] if names and whole else []
        places: dict[str, set[str]] = {}
        for offer in self._ec2.pages("describe_instance_type_offerings", "InstanceTypeOfferings",
                                     LocationType="availability-zone", Filters=chosen, MaxResults=1000):
            places.setdefault(offer["InstanceType"], set()).add(offer["Location"])
        kinds = []
        for row in self._ec2.pages("describe_instance_types", "InstanceTypes", Filters=chosen,
                                   MaxResults=100):
            name = row["InstanceType"]
            if not (row.get("CurrentGeneration", True) and self._options.wants_type(name)
                    and name in places and "on-demand" in row.get("SupportedUsageClasses", ["on-demand"])):
                continue
            kinds.append(Kind(
                name, row["VCpuInfo"]["DefaultVCpus"], row["MemoryInfo"]["SizeInMiB"],
                frozenset(row.get("ProcessorInfo", {}).get("SupportedArchitectures", [])),
                bool(row.get("BareMetal")) or any(row.get(part) for part in _ACCELERATORS),
                bool(row.get("InstanceStorageSupported")), frozenset(places[name])))
        return kinds
