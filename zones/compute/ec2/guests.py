"""An EC2 instance as the house sees it: power state, addresses, diagnostics."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from zones.compute.driver import Guest
from zones.compute.ec2 import request
from zones.states import NOSTATE, RUNNING, SHUTDOWN

ALIVE = ["pending", "running", "stopping", "stopped"]
"""States of an instance that is there. One that is shutting down never comes back."""
ENDING = "shutting-down"
NETWORK = "private"
"""The one network that a server here shows; the public address is shown in it as a floating one."""

# An instance that is stopping still runs; when it has stopped the monitor sees it.
_POWER = {"pending": NOSTATE, "running": RUNNING, "stopping": RUNNING, "stopped": SHUTDOWN}


def state_of(instance: Mapping[str, Any]) -> str:
    """EC2's own name of its state."""
    return str(instance["State"]["Name"])


def tags_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """The instance's tags."""
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


def end_of(instance: Mapping[str, Any]) -> tuple[str, str]:
    """Why the instance is in its state: EC2's code and words, "" where it says nothing."""
    reason = instance.get("StateReason") or {}
    return str(reason.get("Code", "")), str(reason.get("Message", ""))


def guest_of(instance: Mapping[str, Any]) -> Guest:
    """The server that this instance is."""
    marks = tags_of(instance)
    power = _POWER.get(state_of(instance), NOSTATE)
    return Guest(marks[request.SERVER], marks[request.HOST], power, addresses_of(instance),
                 marks.get(request.FLAVOR, ""), built=state_of(instance) != "pending")


def addresses_of(instance: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The `addresses` of the server: of its first card, fixed ones first."""
    cards = instance.get("NetworkInterfaces") or [{}]
    card = cards[0]
    mac = card.get("MacAddress", "")
    wanted = [(instance.get("PrivateIpAddress"), 4, "fixed")]
    wanted += [(one["Ipv6Address"], 6, "fixed") for one in card.get("Ipv6Addresses", [])]
    wanted.append((instance.get("PublicIpAddress"), 4, "floating"))
    entries = [{"addr": address, "version": version, "OS-EXT-IPS:type": kind,
                "OS-EXT-IPS-MAC:mac_addr": mac} for address, version, kind in wanted if address]
    return {NETWORK: entries} if entries else {}


def diagnostics_of(instance: Mapping[str, Any]) -> dict[str, Any]:
    """Nova's standardised diagnostics (2.48) as far as EC2 tells; the rest is None, as Nova has it."""
    runs = state_of(instance) in ("running", "stopping")
    launched = instance.get("LaunchTime")
    uptime = max(0, int(time.time() - launched.timestamp())) if isinstance(launched, datetime) else 0
    cpu = instance.get("CpuOptions") or {}
    cpus = cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 1)
    macs = [card.get("MacAddress") for card in instance.get("NetworkInterfaces", [])]
    nothing = {f"{way}_{what}": None for way in ("rx", "tx")
               for what in ("octets", "errors", "drop", "packets", "rate")}
    disks = instance.get("BlockDeviceMappings", [])
    return {
        "state": {"running": "running", "stopping": "running", "stopped": "shutdown"}.get(
            state_of(instance), "pending"),
        "driver": "ec2", "hypervisor": str(instance.get("Hypervisor") or "ec2"), "hypervisor_os": "ec2",
        "uptime": uptime if runs else 0, "config_drive": False, "num_cpus": cpus, "num_nics": len(macs),
        "num_disks": len(disks),
        "cpu_details": [{"id": number, "time": None, "utilisation": None} for number in range(cpus)],
        "nic_details": [{"mac_address": mac, **nothing} for mac in macs],
        "disk_details": [dict.fromkeys(("read_bytes", "read_requests", "write_bytes", "write_requests",
                                        "errors_count")) for _disk in disks],
        "memory_details": {"maximum": None, "used": None},
    }
