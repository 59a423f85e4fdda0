"""Hosts as operators saw them below 2.43; `openstack host list` and `host show` still ask so."""

from collections.abc import Sequence
from typing import Any

from zones.api.compute import query
from zones.api.compute.known_hosts import INTERNAL, KnownHost, known_hosts, known_services
from zones.api.wsgi import Call, Reply
from zones.db.services import sizes_by_project
from zones.errors import NotFound


def index(call: Call) -> Reply:
    """GET /os-hosts: the hosts of enabled services; filter `zone`."""
    zone = query.text(call, "zone")
    found = [(host.name, "compute", host.zone) for host in known_hosts(call) if host.enabled]
    found += [(row["host"], row["binary"].removeprefix("nova-"), INTERNAL) for row in known_services(call)
              if row["binary"] != "nova-compute" and not row["disabled"]]
    return Reply(200, {"hosts": [{"host_name": name, "service": service, "zone": where}
                                 for name, service, where in found if zone in (None, "", where)]})


def show(call: Call) -> Reply:
    """GET /os-hosts/{name}: its size, what is taken, what its servers were promised, and by project."""
    name = call.params["name"]
    host = next((one for one in known_hosts(call) if one.name == name), None)
    if host is None:
        raise NotFound(f"Compute host {name} could not be found.", code="no_host")
    projects = call.parts.db.run(sizes_by_project, name)
    promised = [sum(amounts) for amounts in zip((0, 0, 0), *projects.values(), strict=True)]
    rows = [*_reported(host), ("(used_max)", promised), *sorted(projects.items())]
    return Reply(200, {"host": [{"resource": _resource(name, project, amounts)}
                                for project, amounts in rows]})


def _reported(host: KnownHost) -> list[tuple[str, Sequence[int]]]:
    report = host.report
    if report is None:
        return [("(total)", (0, 0, 0)), ("(used_now)", (0, 0, 0))]
    return [("(total)", (report.vcpus, report.ram, report.disk)),
            ("(used_now)", (report.vcpus_used, report.ram_used, report.disk_used))]


def _resource(host: str, project: str, amounts: Sequence[int]) -> dict[str, Any]:
    cpu, memory, disk = amounts
    return {"host": host, "project": project, "cpu": cpu, "memory_mb": memory, "disk_gb": disk}
