"""Hypervisors as the Compute API shows them, by microversion."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from zones import __version__
from zones.api.compute.known_hosts import UUID_IDS, KnownHost, number_of

Version = tuple[int, int]
CPU_INFO_IS_AN_OBJECT, NO_SIZES = (2, 28), (2, 88)
_CPU = ("arch", "model", "vendor")


def brief(host: KnownHost, version: Version) -> dict[str, Any]:
    """Id, name, state and status."""
    return {"id": host.id(version), "hypervisor_hostname": host.name,
            "state": "up" if host.up else "down", "status": "enabled" if host.enabled else "disabled"}


def full(host: KnownHost, version: Version) -> dict[str, Any]:
    """What it is; below 2.88 also how large and how full, from 2.88 on for how long it runs."""
    service = host.service
    shown = {
        **brief(host, version), "hypervisor_type": host.report.hypervisor if host.report else "",
        "hypervisor_version": _number_of_version(__version__), "host_ip": None,
        "service": {"id": service["id"] if version >= UUID_IDS else number_of(service["host"]),
                    "host": service["host"], "disabled_reason": service["disabled_reason"]}}
    if version >= NO_SIZES:
        return {**shown, "uptime": uptime(host)}
    cpu = _cpu_info(host)
    return {**shown, **sizes(host), "cpu_info": cpu if version >= CPU_INFO_IS_AN_OBJECT else (
        orjson.dumps(cpu).decode() if cpu else "")}


def with_servers(shown: dict[str, Any], servers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The same with its servers, given as (id, name)."""
    return {**shown, "servers": [{"uuid": server_id, "name": name} for server_id, name in servers]}


def sizes(host: KnownHost) -> dict[str, int]:
    """Nova's counters of one host: MiB and GiB; zeros while nothing was heard of it."""
    report = host.report
    if report is None:
        return dict.fromkeys(_SIZES, 0)
    free_disk = report.disk - report.disk_used
    return dict(zip(_SIZES, (
        report.vcpus, report.ram, report.disk, report.vcpus_used, report.ram_used, report.disk_used,
        report.ram - report.ram_used, free_disk, report.building, report.servers, free_disk), strict=True))


_SIZES = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used",
          "free_ram_mb", "free_disk_gb", "current_workload", "running_vms", "disk_available_least")


def statistics(hosts: Iterable[KnownHost]) -> dict[str, int]:
    """The counters summed over the hosts that are enabled, and their number."""
    total, count = dict.fromkeys(_SIZES, 0), 0
    for host in hosts:
        if host.enabled:
            count += 1
            for name, value in sizes(host).items():
                total[name] += value
    return {"count": count, **total}


def uptime(host: KnownHost) -> str | None:
    """For how long the host runs, in `uptime`'s words; None where the driver does not tell."""
    seconds = host.report.live.get("uptime") if host.report else None
    if seconds is None:
        return None
    days, rest = divmod(int(seconds), 86400)
    return f"up {days} days, {rest // 3600}:{rest % 3600 // 60:02d}"


def _cpu_info(host: KnownHost) -> dict[str, str]:
    offers = host.report.capabilities if host.report else {}
    return {name: offers[name][0] for name in _CPU if offers.get(name)}


def _number_of_version(version: str) -> int:
    """`1.2.3` → 1002003, as Nova numbers the versions of hypervisors; ours is the driver's."""
    parts = [int(part) for part in version.split(".")[:3] if part.isdecimal()]
    major, minor, micro = (*parts, 0, 0, 0)[:3]
    return (major * 1000 + minor) * 1000 + micro
