"""Every operation of the Compute API, v2.1: one literal table, path → method → route.

Each builder of a noun adds its lines to its section; the paths stand below `/v2.1` and, for
clients whose catalog has the project in the URL, below `/v2.1/{url_project}` as well.
"""

from collections.abc import Mapping

from zones.api.compute import (
    actions,
    aggregates,
    attachments,
    availability_zones,
    diagnostics,
    extensions,
    extra_specs,
    flavor_access,
    flavors,
    hosts,
    hypervisors,
    instance_actions,
    keypairs,
    limits,
    metadata,
    networks,
    quotas,
    server_groups,
    servers,
    services,
    tags,
    usage,
    versions,
)
from zones.api.compute.proxy import routes_where_they_run
from zones.api.compute.zone_routes import ZONE_ROUTES
from zones.api.wsgi import Call, Handler, Reply, Route, Routes
from zones.errors import Invalid

VERSIONS: Routes = {
    "/": {"GET": Route(versions.versions, None)},
    "/v2.1": {"GET": Route(versions.version, None)},
    "/v2.1/{url_project}": {"GET": Route(versions.version, None)},
}

V21: Routes = {
    # -------------------------------------------------------------- servers
    "/servers": {
        "GET": Route(servers.index, "os_compute_api:servers:index"),
        "POST": Route(servers.create, "os_compute_api:servers:create")},
    "/servers/detail": {"GET": Route(servers.detail, "os_compute_api:servers:detail")},
    "/servers/{server_id}": {
        "GET": Route(servers.show, "os_compute_api:servers:show"),
        "PUT": Route(servers.update, "os_compute_api:servers:update"),
        "DELETE": Route(servers.delete, "os_compute_api:servers:delete")},
    "/servers/{server_id}/action": {"POST": Route(actions.action, "os_compute_api:servers:show")},
    "/servers/{server_id}/metadata": {
        "GET": Route(metadata.index, "os_compute_api:server-metadata:index"),
        "POST": Route(metadata.merge, "os_compute_api:server-metadata:create"),
        "PUT": Route(metadata.replace, "os_compute_api:server-metadata:update_all")},
    "/servers/{server_id}/metadata/{key}": {
        "GET": Route(metadata.show, "os_compute_api:server-metadata:show"),
        "PUT": Route(metadata.update, "os_compute_api:server-metadata:update"),
        "DELETE": Route(metadata.delete, "os_compute_api:server-metadata:delete")},
    "/servers/{server_id}/tags": {
        "GET": Route(tags.index, "os_compute_api:os-server-tags:index", since=(2, 26)),
        "PUT": Route(tags.replace, "os_compute_api:os-server-tags:update_all", since=(2, 26)),
        "DELETE": Route(tags.clear, "os_compute_api:os-server-tags:delete_all", since=(2, 26))},
    "/servers/{server_id}/tags/{tag}": {
        "GET": Route(tags.show, "os_compute_api:os-server-tags:show", since=(2, 26)),
        "PUT": Route(tags.add, "os_compute_api:os-server-tags:update", since=(2, 26)),
        "DELETE": Route(tags.delete, "os_compute_api:os-server-tags:delete", since=(2, 26))},
    "/servers/{server_id}/os-instance-actions": {
        "GET": Route(instance_actions.index, "os_compute_api:os-instance-actions:list")},
    "/servers/{server_id}/os-instance-actions/{request_id}": {
        "GET": Route(instance_actions.show, "os_compute_api:os-instance-actions:show")},
    "/servers/{server_id}/diagnostics": {
        "GET": Route(diagnostics.show, "os_compute_api:os-server-diagnostics")},
    "/servers/{server_id}/ips": {"GET": Route(attachments.addresses, "os_compute_api:ips:index")},
    "/servers/{server_id}/ips/{network}": {"GET": Route(attachments.network, "os_compute_api:ips:show")},
    "/servers/{server_id}/os-interface": {
        "GET": Route(attachments.interfaces, "os_compute_api:os-attach-interfaces:list"),
        "POST": Route(attachments.refused, "os_compute_api:os-attach-interfaces:create")},
    "/servers/{server_id}/os-interface/{port_id}": {
        "GET": Route(attachments.interface, "os_compute_api:os-attach-interfaces:show"),
        "DELETE": Route(attachments.refused, "os_compute_api:os-attach-interfaces:delete")},
    "/servers/{server_id}/os-security-groups": {
        "GET": Route(attachments.security_groups, "os_compute_api:os-security-groups:list")},
    "/servers/{server_id}/os-volume_attachments": {
        "GET": Route(attachments.volumes, "os_compute_api:os-volumes-attachments:index"),
        "POST": Route(attachments.refused, "os_compute_api:os-volumes-attachments:create")},
    "/servers/{server_id}/os-volume_attachments/{volume_id}": {
        "GET": Route(attachments.volume, "os_compute_api:os-volumes-attachments:show"),
        "PUT": Route(attachments.volume, "os_compute_api:os-volumes-attachments:update"),
        "DELETE": Route(attachments.volume, "os_compute_api:os-volumes-attachments:delete")},
    "/servers/{server_id}/os-server-password": {
        "GET": Route(attachments.password, "os_compute_api:os-server-password:show"),
        "DELETE": Route(attachments.forget_password, "os_compute_api:os-server-password:clear")},
    "/servers/{server_id}/remote-consoles": {
        "POST": Route(attachments.refused, "os_compute_api:os-remote-consoles", since=(2, 6))},
    "/servers/{server_id}/migrations": {
        "GET": Route(attachments.migrations, "os_compute_api:servers:migrations:index", since=(2, 23))},

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

    **ZONE_ROUTES,

    # -------------------------------------------------------------- hosts as operators see them
    "/os-availability-zone": {
        "GET": Route(availability_zones.index, "os_compute_api:os-availability-zone:list")},
    "/os-availability-zone/detail": {
        "GET": Route(availability_zones.detail, "os_compute_api:os-availability-zone:detail")},
    "/os-hosts": {"GET": Route(hosts.index, "os_compute_api:os-hosts:list", until=(2, 42))},
    "/os-hosts/{name}": {"GET": Route(hosts.show, "os_compute_api:os-hosts:show", until=(2, 42))},
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
    "/os-fixed-ips": {"GET": Route(networks.elsewhere, None)},
    "/os-snapshots": {"GET": Route(networks.elsewhere, None)},
    "/os-volumes": {"GET": Route(networks.elsewhere, None)},
    "/images": {"GET": Route(networks.elsewhere, None)},
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


_RUN: Routes = {path: routes_where_they_run(path, methods) for path, methods in V21.items()}

ROUTES: Routes = {
    **VERSIONS,
    **{f"/v2.1{path}": methods for path, methods in _RUN.items()},
    **{f"/v2.1/{{url_project}}{path}": _routes_in_project(methods) for path, methods in _RUN.items()},
}
"""What `zones.service` gives to `wsgi.Service`, mounted at the compute service's root."""
