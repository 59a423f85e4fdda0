"""Every operation of the Compute API, v2.1: one literal table, path → method → route.

Each builder of a noun adds its lines to its section; the paths stand below `/v2.1` and, for
clients whose catalog has the project in the URL, below `/v2.1/{url_project}` as well.
"""

from collections.abc import Mapping

from zones.api.compute import (
    aggregates,
    availability_zones,
    extensions,
    extra_specs,
    flavor_access,
    flavors,
    hypervisors,
    keypairs,
    limits,
    networks,
    quotas,
    server_groups,
    services,
    usage,
)
from zones.api.wsgi import Call, Handler, Reply, Route, Routes
from zones.errors import Invalid

VERSIONS: Routes = {
}

V21: Routes = {
    # -------------------------------------------------------------- servers

    # -------------------------------------------------------------- flavors
    "/flavors": {
        "GET": Route(flavors.index, "os_compute_api:flavors"),
        "POST": Route(flavors.create, "os_compute_api:os-flavor-manage:create")},
    "/flavors/detail": {"GET": Route(flavors.detail, "os_compute_api:flavors")},
    "/flavors/{id}": {
        "GET": Route(flavors.show, "os_compute_api:flavors"),
        "PUT": Route(flavors.update, "os_compute_api:os-flavor-manage:update", since=(2, 55)),
        "DELETE": Route(flavors.delete, "os_compute_api:os-flavor-manage:delete")},
    "/flavors/{id}/os-flavor-access": {
        "GET": Route(flavor_access.index, "os_compute_api:os-flavor-access")},
    "/flavors/{id}/action": {"POST": Route(flavor_access.action, "os_compute_api:os-flavor-access")},
    "/flavors/{id}/os-extra_specs": {
        "GET": Route(extra_specs.index, "os_compute_api:os-flavor-extra-specs:index"),
        "POST": Route(extra_specs.create, "os_compute_api:os-flavor-extra-specs:create")},
    "/flavors/{id}/os-extra_specs/{key}": {
        "GET": Route(extra_specs.show, "os_compute_api:os-flavor-extra-specs:show"),
        "PUT": Route(extra_specs.update, "os_compute_api:os-flavor-extra-specs:update"),
        "DELETE": Route(extra_specs.delete, "os_compute_api:os-flavor-extra-specs:delete")},

    # -------------------------------------------------------------- key pairs, server groups
    "/os-keypairs": {
        "GET": Route(keypairs.index, "os_compute_api:os-keypairs:index"),
        "POST": Route(keypairs.create, "os_compute_api:os-keypairs:create")},
    "/os-keypairs/{id}": {
        "GET": Route(keypairs.show, "os_compute_api:os-keypairs:show"),
        "DELETE": Route(keypairs.delete, "os_compute_api:os-keypairs:delete")},
    "/os-server-groups": {
        "GET": Route(server_groups.index, "os_compute_api:os-server-groups:index"),
        "POST": Route(server_groups.create, "os_compute_api:os-server-groups:create")},
    "/os-server-groups/{id}": {
        "GET": Route(server_groups.show, "os_compute_api:os-server-groups:show"),
        "DELETE": Route(server_groups.delete, "os_compute_api:os-server-groups:delete")},

    # -------------------------------------------------------------- hosts as operators see them
    "/os-availability-zone": {
        "GET": Route(availability_zones.index, "os_compute_api:os-availability-zone:list")},
    "/os-availability-zone/detail": {
        "GET": Route(availability_zones.detail, "os_compute_api:os-availability-zone:detail")},
    "/os-hypervisors": {"GET": Route(hypervisors.index, "os_compute_api:os-hypervisors:list")},
    "/os-hypervisors/detail": {"GET": Route(hypervisors.detail, "os_compute_api:os-hypervisors:list-detail")},
    "/os-hypervisors/statistics": {
        "GET": Route(hypervisors.statistics, "os_compute_api:os-hypervisors:statistics", until=(2, 87))},
    "/os-hypervisors/{id}": {"GET": Route(hypervisors.show, "os_compute_api:os-hypervisors:show")},
    "/os-hypervisors/{id}/uptime": {
        "GET": Route(hypervisors.uptime, "os_compute_api:os-hypervisors:uptime", until=(2, 87))},
    "/os-hypervisors/{id}/search": {
        "GET": Route(hypervisors.search, "os_compute_api:os-hypervisors:search", until=(2, 52))},
    "/os-hypervisors/{id}/servers": {
        "GET": Route(hypervisors.servers, "os_compute_api:os-hypervisors:servers", until=(2, 52))},
    "/os-services": {"GET": Route(services.index, "os_compute_api:os-services:list")},
    "/os-services/{id}": {
        "PUT": (Route(services.act, "os_compute_api:os-services:update", until=(2, 52)),
                Route(services.update, "os_compute_api:os-services:update", since=(2, 53))),
        "DELETE": Route(services.delete, "os_compute_api:os-services:delete")},
    "/os-aggregates": {
        "GET": Route(aggregates.index, "os_compute_api:os-aggregates:index"),
        "POST": Route(aggregates.create, "os_compute_api:os-aggregates:create")},
    "/os-aggregates/{id}": {
        "GET": Route(aggregates.show, "os_compute_api:os-aggregates:show"),
        "PUT": Route(aggregates.update, "os_compute_api:os-aggregates:update"),
        "DELETE": Route(aggregates.delete, "os_compute_api:os-aggregates:delete")},
    "/os-aggregates/{id}/action": {"POST": Route(aggregates.action, "os_compute_api:os-aggregates:show")},
    "/os-aggregates/{id}/images": {
        "POST": Route(aggregates.images, "compute:aggregates:images", since=(2, 81))},

    # -------------------------------------------------------------- limits, quotas, usage, extensions
    "/limits": {"GET": Route(limits.index, "os_compute_api:limits")},
    "/os-quota-sets/{id}": {
        "GET": Route(quotas.show, "os_compute_api:os-quota-sets:show"),
        "PUT": Route(quotas.update, "os_compute_api:os-quota-sets:update"),
        "DELETE": Route(quotas.delete, "os_compute_api:os-quota-sets:delete")},
    "/os-quota-sets/{id}/detail": {"GET": Route(quotas.detail, "os_compute_api:os-quota-sets:detail")},
    "/os-quota-sets/{id}/defaults": {"GET": Route(quotas.defaults, "os_compute_api:os-quota-sets:defaults")},
    "/os-quota-class-sets/{id}": {
        "GET": Route(quotas.show_class, "os_compute_api:os-quota-class-sets:show"),
        "PUT": Route(quotas.update_class, "os_compute_api:os-quota-class-sets:update")},
    "/os-simple-tenant-usage": {"GET": Route(usage.index, "os_compute_api:os-simple-tenant-usage:list")},
    "/os-simple-tenant-usage/{id}": {"GET": Route(usage.show, "os_compute_api:os-simple-tenant-usage:show")},
    "/extensions": {"GET": Route(extensions.index, "os_compute_api:extensions")},
    "/extensions/{id}": {"GET": Route(extensions.show, "os_compute_api:extensions")},

    # -------------------------------------------------------------- proxies of old, gone from 2.36 on
    "/os-networks": {
        "GET": Route(networks.networks, "os_compute_api:os-networks:list", until=networks.UNTIL)},
    "/os-networks/{id}": {
        "GET": Route(networks.network, "os_compute_api:os-networks:show", until=networks.UNTIL)},
    "/os-security-groups": {"GET": Route(
        networks.security_groups, "os_compute_api:os-security-groups:get", until=networks.UNTIL)},
    "/os-security-groups/{id}": {"GET": Route(
        networks.security_group, "os_compute_api:os-security-groups:show", until=networks.UNTIL)},
    "/os-floating-ips": {"GET": Route(
        networks.floating_ips, "os_compute_api:os-floating-ips:list", until=networks.UNTIL)},
    "/os-floating-ip-pools": {"GET": Route(
        networks.floating_ip_pools, "os_compute_api:os-floating-ip-pools", until=networks.UNTIL)},
}


def _in_project(handler: Handler) -> Handler:
    """The handler below `/v2.1/{url_project}`: that project must be the caller's own."""
    def checked(call: Call) -> Reply:
        asked, own = call.params["url_project"], call.caller.project_id
        if asked != own:
            raise Invalid(f"Malformed request URL: URL's project_id '{asked}' doesn't match "
                          f"Context's project_id '{own}'", code="other_project")
        return handler(call)
    return checked


def _routes_in_project(methods: Mapping[str, Route | tuple[Route, ...]]) -> dict[str, tuple[Route, ...]]:
    return {method: tuple(Route(_in_project(one.handler), one.rule, one.since, one.until)
                          for one in (route if isinstance(route, tuple) else (route,)))
            for method, route in methods.items()}


ROUTES: Routes = {
    **VERSIONS,
    **{f"/v2.1{path}": methods for path, methods in V21.items()},
    **{f"/v2.1/{{url_project}}{path}": _routes_in_project(methods) for path, methods in V21.items()},
}
"""What `zones.service` gives to `wsgi.Service`, mounted at the compute service's root."""
