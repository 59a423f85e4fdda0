"""The extra specs that Nova documents: from 2.86 on a misspelt one of their namespaces is refused.

Namespaces that are not listed belong to operators and to the zone's own capabilities; there
anything goes. Source: Nova's user guide, "Extra Specs".
"""

import re
from collections.abc import Mapping

from zones.errors import Invalid

CHECKED = (2, 86)

_BOOL = r"(?i:true|yes|on|1|false|no|off|0|t|f|y|n)"
_ANY = r".+"
_NUMBER, _CPUS = r"\d+", r"[-^,\d]+"
_KNOWN: tuple[tuple[str, str], ...] = (
    (r"hw:(boot_menu|hide_hypervisor_id|pmu|mem_encryption|locked_memory|cpu_realtime)", _BOOL),
    (r"hw:(vif_multiqueue_enabled|virtio_packed_ring|ephemeral_encryption)", _BOOL),
    (r"hw:(tpm|video|sound|usb|viommu|mem_encryption)_model|hw:tpm_(version|secret_security)", _ANY),
    (r"hw:(pmem|maxphysaddr_mode|input_bus|redirected_ports|ephemeral_encryption_format)", _ANY),
    (r"hw:cpu_policy", r"dedicated|shared|mixed"),
    (r"hw:cpu_thread_policy", r"prefer|isolate|require"),
    (r"hw:emulator_threads_policy", r"isolate|share"),
    (r"hw:(cpu_dedicated_mask|cpu_realtime_mask|numa_cpus\.\d+)", _CPUS),
    (r"hw:cpu_(max_)?(sockets|cores|threads)", _NUMBER),
    (r"hw:(numa_nodes|numa_mem\.\d+|serial_port_count|maxphysaddr_bits)", _NUMBER),
    (r"hw:mem_page_size", r"large|small|any|\d+([kKMGT]i?)?(b|bit|B)?"),
    (r"hw:pci_numa_affinity_policy", r"required|preferred|legacy|socket"),
    (r"hw:watchdog_action", r"none|pause|poweroff|reset|disabled"),
    (r"hw_rng:allowed", _BOOL), (r"hw_rng:rate_(bytes|period)", _NUMBER),
    (r"hw_video:ram_max_mb", _NUMBER),
    (r"os:secure_boot", r"required|disabled|optional"),
    (r"quota:(cpu|memory|disk_io|vif)_(limit|reservation|shares_share)", _NUMBER),
    (r"quota:(cpu|memory|disk_io|vif)_shares_level", r"custom|high|normal|low"),
    (r"quota:cpu_(shares|period|quota)", _NUMBER),
    (r"quota:disk_(read|write|total)_(bytes|iops)_sec(_max)?", _NUMBER),
    (r"quota:vif_(in|out)bound_(average|burst|peak)", _NUMBER),
    (r"resources\w*:\w+", _NUMBER), (r"trait\w*:\w+", r"required|forbidden"),
    (r"group_policy", r"none|isolate"),
)
_RULES = tuple((re.compile(key), re.compile(value)) for key, value in _KNOWN)
_OURS = re.compile(r"(hw|hw_rng|hw_video|os|quota|resources\w*|trait\w*):.*|group_policy")


def check(specs: Mapping[str, str]) -> None:
    """Raises `Invalid` for an unknown key of a known namespace, or a value that it can't have."""
    for key, value in specs.items():
        if not _OURS.fullmatch(key):
            continue
        rule = next((allowed for known, allowed in _RULES if known.fullmatch(key)), None)
        if rule is None:
            raise Invalid(f"Validation failed; extra spec '{key}' does not appear to be a valid extra "
                          "spec.", code="bad_extra_spec")
        if not rule.fullmatch(value):
            raise Invalid(f"Validation failed; '{value}' is not a value of extra spec '{key}'.",
                          code="bad_extra_spec")
