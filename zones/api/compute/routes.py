"""Every operation of the Compute API, v2.1: one literal table, path → method → route.

Each builder of a noun adds its lines to its section; the paths stand below `/v2.1` and, for
clients whose catalog has the project in the URL, below `/v2.1/{url_project}` as well.
"""

from collections.abc import Mapping

from zones.api.wsgi import Call, Handler, Reply, Route, Routes
from zones.errors import Invalid

VERSIONS: Routes = {
}

V21: Routes = {
    # -------------------------------------------------------------- servers

    # -------------------------------------------------------------- flavors

    # -------------------------------------------------------------- key pairs, server groups

    # -------------------------------------------------------------- availability zones, hypervisors, services, aggregates

    # -------------------------------------------------------------- limits, quotas, usage, extensions
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
