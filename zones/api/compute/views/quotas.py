"""Which quotas and limits each microversion shows, and under which names."""

from collections.abc import Mapping
from typing import Any

Version = tuple[int, int]

NETWORK = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups")
"""Quotas of the network service: shown as unlimited below 2.36 (2.50 for classes), never enforced here."""
PERSONALITY = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
GROUPS = ("server_groups", "server_group_members")
PLAIN = ("instances", "cores", "ram", "key_pairs", "metadata_items")

NO_NETWORK, CLASS_OF_SERVERS, NO_PERSONALITY, NO_IMAGE_META = (2, 36), (2, 50), (2, 57), (2, 39)

_ABSOLUTE = {
    "instances": ("maxTotalInstances",), "cores": ("maxTotalCores",), "ram": ("maxTotalRAMSize",),
    "key_pairs": ("maxTotalKeypairs",), "metadata_items": ("maxServerMeta", "maxImageMeta"),
    "server_groups": ("maxServerGroups",), "server_group_members": ("maxServerGroupMembers",),
    "injected_files": ("maxPersonality",), "injected_file_content_bytes": ("maxPersonalitySize",),
    "floating_ips": ("maxTotalFloatingIps",), "security_groups": ("maxSecurityGroups",),
    "security_group_rules": ("maxSecurityGroupRules",),
}
_USED = {"instances": "totalInstancesUsed", "cores": "totalCoresUsed", "ram": "totalRAMUsed",
         "server_groups": "totalServerGroupsUsed", "floating_ips": "totalFloatingIpsUsed",
         "security_groups": "totalSecurityGroupsUsed"}


def of_project(version: Version) -> tuple[str, ...]:
    """The quotas of a project."""
    return (*PLAIN, *GROUPS, *(() if version >= NO_PERSONALITY else PERSONALITY),
            *(() if version >= NO_NETWORK else NETWORK))


def of_class(version: Version) -> tuple[str, ...]:
    """The quotas of a quota class."""
    return (*PLAIN, *(GROUPS if version >= CLASS_OF_SERVERS else NETWORK),
            *(() if version >= NO_PERSONALITY else PERSONALITY))


def values(limits: Any, names: tuple[str, ...]) -> dict[str, int]:
    """Name → limit; -1 is none."""
    return {name: -1 if name in NETWORK else getattr(limits, name) for name in names}


def detailed(limits: Any, names: tuple[str, ...], used: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Name → limit, in_use and reserved (always 0: what is reserved is in use)."""
    return {name: {"limit": most, "in_use": used.get(name, 0), "reserved": 0}
            for name, most in values(limits, names).items()}


def absolute(limits: Any, used: Mapping[str, int], version: Version) -> dict[str, int]:
    """What `GET /limits` calls absolute: limits, and what is used of them."""
    names = of_project(version)
    shown = {shown: most for name, most in values(limits, names).items()
             for shown in _ABSOLUTE.get(name, ()) if shown != "maxImageMeta" or version < NO_IMAGE_META}
    return {**shown, **{total: used.get(name, 0) for name, total in _USED.items() if name in names}}
