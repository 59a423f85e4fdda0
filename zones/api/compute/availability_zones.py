"""Availability zones: those that the hosts of this zone make, and those of the zones it is linked to."""

from typing import Any

from zones.api.compute.known_hosts import INTERNAL, KnownHost, known_hosts, known_services
from zones.api.compute.times import naive
from zones.api.wsgi import Call, Reply
from zones.capabilities.link_table import availability_zones_of
from zones.db import links
from zones.errors import Invalid


def index(call: Call) -> Reply:
    """GET /os-availability-zone."""
    own = _by_zone(call)
    return Reply(200, {"availabilityZoneInfo": [
        *(_zone(name, hosts, None) for name, hosts in own.items()), *_linked(call, own)]})


def detail(call: Call) -> Reply:
    """GET /os-availability-zone/detail: with hosts and services, but for those of linked zones."""
    own = _by_zone(call)
    zones = [_zone(name, hosts, {host.name: _service(host.service, host.up) for host in hosts})
             for name, hosts in own.items()] + _linked(call, own)
    others = {row["host"]: _service(row, row["up"]) for row in known_services(call)
              if row["binary"] != "nova-compute"}
    if others:
        zones.insert(0, {"zoneName": INTERNAL, "zoneState": {"available": True}, "hosts": others})
    return Reply(200, {"availabilityZoneInfo": zones})


def check_known(call: Call, name: str) -> None:
    """Raises `Invalid`, as Nova does, for an availability zone that is surely nowhere.

    Unknown is not no: a host that was not heard here may be in it, and who knows what is below a link.
    """
    if not name or name in call.parts.availability_zones():
        return
    placement, hosts = call.parts.config.placement, known_hosts(call)
    silent = any(host.report is None for host in hosts) or any(
        row["binary"] == "nova-compute" and not row["hosts"] for row in known_services(call))
    linked = {row["name"] for row in call.parts.db.run(links.rows)}
    if silent or not (hosts or linked) or name.partition("/")[0] in linked:
        return
    if name not in {placement.default_availability_zone, *(host.zone for host in hosts)}:
        raise Invalid("The requested availability zone is not available", code="no_availability_zone",
                      availability_zone=name)


def _by_zone(call: Call) -> dict[str, list[KnownHost]]:
    zones: dict[str, list[KnownHost]] = {}
    for host in sorted(known_hosts(call), key=lambda host: host.zone):
        zones.setdefault(host.zone, []).append(host)
    return zones


def _zone(name: str, hosts: list[KnownHost], shown: dict[str, Any] | None) -> dict[str, Any]:
    available = any(host.up and host.enabled for host in hosts)
    return {"zoneName": name, "zoneState": {"available": available},
            "hosts": shown if available else None}


def _linked(call: Call, own: dict[str, list[KnownHost]]) -> list[dict[str, Any]]:
    """`west`, `west/az1`, …: available while boots are taken there. A name of our own hosts is ours."""
    found: dict[str, bool] = {}
    for link in call.parts.links():
        for name in availability_zones_of(link):
            found[name] = found.get(name, False) or not link.closed
    return [{"zoneName": name, "zoneState": {"available": available}, "hosts": None}
            for name, available in sorted(found.items()) if name not in own]


def _service(row: dict[str, Any], up: bool) -> dict[str, Any]:
    return {row["binary"]: {"available": up, "active": not row["disabled"],
                            "updated_at": naive(row["updated_at"])}}
