"""Hypervisors: one for each host of this zone's compute services."""

from typing import Any

from zones.api.compute import query
from zones.api.compute.known_hosts import UUID_IDS, KnownHost, known_hosts
from zones.api.compute.views import hypervisors as view
from zones.api.wsgi import Call, Reply
from zones.db.services import servers_by_host
from zones.errors import Invalid, NotFound, NotServed

PAGED, ALWAYS_A_LIST = (2, 33), (2, 75)


def index(call: Call) -> Reply:
    """GET /os-hypervisors."""
    return _listed(call, detailed=False)


def detail(call: Call) -> Reply:
    """GET /os-hypervisors/detail."""
    return _listed(call, detailed=True)


def show(call: Call) -> Reply:
    """GET /os-hypervisors/{id}. From 2.53 on what is no UUID is not found, so that clients try names."""
    query.only(call, ("with_servers",), since=UUID_IDS)
    host = _find(call)
    shown = view.full(host, call.version)
    if call.version >= UUID_IDS and query.boolean(call, "with_servers"):
        shown = _with_servers(call, [host], [shown])[0]
    return Reply(200, {"hypervisor": shown})


def uptime(call: Call) -> Reply:
    """GET /os-hypervisors/{id}/uptime, below 2.88."""
    host = _find(call)
    if not host.up:
        raise Invalid(f"Compute service of {host.service['host']} is unavailable at this time.",
                      code="host_down")
    told = view.uptime(host)
    if told is None:
        raise NotServed("Virt driver does not implement uptime function.", code="no_uptime")
    return Reply(200, {"hypervisor": {**view.brief(host, call.version), "uptime": told}})


def statistics(call: Call) -> Reply:
    """GET /os-hypervisors/statistics, below 2.88."""
    return Reply(200, {"hypervisor_statistics": view.statistics(known_hosts(call))})


def search(call: Call) -> Reply:
    """GET /os-hypervisors/{id}/search, below 2.53: the id is part of a name."""
    return Reply(200, {"hypervisors": [
        view.brief(host, call.version) for host in _matching(call, call.params["id"])]})


def servers(call: Call) -> Reply:
    """GET /os-hypervisors/{id}/servers, below 2.53."""
    hosts = _matching(call, call.params["id"])
    return Reply(200, {"hypervisors": _with_servers(
        call, hosts, [view.brief(host, call.version) for host in hosts])})


def _listed(call: Call, *, detailed: bool) -> Reply:
    query.only(call, ("limit", "marker", "hypervisor_hostname_pattern", "with_servers"), since=UUID_IDS)
    hosts, links = _chosen(call)
    shown = [(view.full if detailed else view.brief)(host, call.version) for host in hosts]
    if call.version >= UUID_IDS and query.boolean(call, "with_servers"):
        shown = _with_servers(call, hosts, shown)
    return Reply(200, {"hypervisors": shown, **({"hypervisors_links": links} if links else {})})


def _chosen(call: Call) -> tuple[list[KnownHost], list[dict[str, str]]]:
    """The hosts of this page, and the link to the next."""
    pattern = query.text(call, "hypervisor_hostname_pattern") if call.version >= UUID_IDS else None
    marker = query.text(call, "marker")
    if pattern is not None:
        if marker is not None or query.text(call, "limit") is not None:
            raise Invalid("Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
                          "is not supported.", code="bad_query")
        return _matching(call, pattern), []
    hosts = known_hosts(call)
    if call.version < PAGED:
        return hosts, []
    if marker is not None:
        at = next((at for at, host in enumerate(hosts) if str(host.id(call.version)) == marker), None)
        if at is None:
            raise Invalid(f"marker [{marker}] not found", code="bad_marker")
        hosts = hosts[at + 1:]
    size = query.limit(call)
    page = hosts[:size]
    more = len(hosts) > size and page
    return page, query.next_link(call, page, size, str(page[-1].id(call.version))) if more else []


def _matching(call: Call, pattern: str) -> list[KnownHost]:
    hosts = [host for host in known_hosts(call) if pattern in host.name]
    if not hosts:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.", code="no_hypervisor")
    return hosts


def _find(call: Call) -> KnownHost:
    asked = call.params["id"]
    for host in known_hosts(call):
        if str(host.id(call.version)) == asked:
            return host
    raise NotFound(f"Hypervisor with ID '{asked}' could not be found.", code="no_hypervisor")


def _with_servers(call: Call, hosts: list[KnownHost], shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each with its servers; one without any gets an empty list from 2.75 on only."""
    living = call.parts.db.run(servers_by_host, [host.name for host in hosts])
    return [view.with_servers(one, living.get(host.name, []))
            if host.name in living or call.version >= ALWAYS_A_LIST else one
            for host, one in zip(hosts, shown, strict=True)]
