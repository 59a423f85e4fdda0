"""The diagnostics of a running server: standardised from 2.48, in the hypervisor's names below."""

from collections.abc import Mapping
from typing import Any

from zones.api.compute.servers import id_of
from zones.api.wsgi import Call, Reply
from zones.servers import ask

STANDARD = (2, 48)
_PLAIN = ("state", "driver", "hypervisor", "hypervisor_os", "uptime", "config_drive", "num_cpus",
          "num_nics", "num_disks")
_LISTS = {
    "disk_details": ("read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count"),
    "cpu_details": ("id", "time", "utilisation"),
    "nic_details": ("mac_address", "rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate",
                    "tx_octets", "tx_errors", "tx_drop", "tx_packets", "tx_rate"),
}
_MEMORY = ("maximum", "used")


def show(call: Call) -> Reply:
    """GET /servers/{server_id}/diagnostics."""
    found = ask.diagnostics(call.parts.core, call.caller, id_of(call))
    return Reply(200, standard(found) if call.version >= STANDARD else legacy(found))


def standard(found: Mapping[str, Any]) -> dict[str, Any]:
    """Exactly the fields of 2.48; what the driver does not know is None."""
    shown: dict[str, Any] = {name: found.get(name) for name in _PLAIN}
    for name, fields in _LISTS.items():
        shown[name] = [{field: one.get(field) for field in fields} for one in found.get(name) or []]
    memory = found.get("memory_details") or {}
    shown["memory_details"] = {field: memory.get(field) for field in _MEMORY}
    return shown


def legacy(found: Mapping[str, Any]) -> dict[str, Any]:
    """What libvirt's driver showed: one flat object, memory in KiB, disks vda…, cards by MAC."""
    shown: dict[str, Any] = {}
    for number, cpu in enumerate(found.get("cpu_details") or []):
        shown[f"cpu{cpu.get('id', number)}_time"] = cpu.get("time")
    memory = found.get("memory_details") or {}
    for name, field in (("memory", "maximum"), ("memory-actual", "maximum"), ("memory-rss", "used")):
        if memory.get(field) is not None:
            shown[name] = memory[field] * 1024
    for number, disk in enumerate(found.get("disk_details") or []):
        device = f"vd{chr(ord('a') + number % 26)}"
        shown.update({f"{device}_read": disk.get("read_bytes"),
                      f"{device}_read_req": disk.get("read_requests"),
                      f"{device}_write": disk.get("write_bytes"),
                      f"{device}_write_req": disk.get("write_requests"),
                      f"{device}_errors": disk.get("errors_count")})
    for number, card in enumerate(found.get("nic_details") or []):
        name = f"vnet{number}"
        shown.update({f"{name}_rx": card.get("rx_octets"), f"{name}_tx": card.get("tx_octets")})
        shown.update({f"{name}_{way}_{what}": card.get(f"{way}_{what}") for way in ("rx", "tx")
                      for what in ("errors", "drop", "packets")})
    return shown
