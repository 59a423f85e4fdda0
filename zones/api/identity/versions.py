"""Discovery of the Identity API, and its one domain."""

from typing import Any

from zones.api.identity.parts import link, listed
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound
from zones.identity.login import DOMAIN


def _v3(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": call.url("/v3/")}],
        "media-types": [{"base": "application/json",
                         "type": "application/vnd.openstack.identity-v3+json"}],
    }


def index(call: Call) -> Reply:
    """GET / (300, as clients without a version in their URL expect)."""
    return Reply(300, {"versions": {"values": [_v3(call)]}})


def show(call: Call) -> Reply:
    """GET /v3."""
    return Reply(200, {"version": _v3(call)})


def domains(call: Call) -> Reply:
    """GET /v3/domains."""
    wanted = call.request.GET.get("name")
    found = [_domain(call)] if wanted in (None, DOMAIN["name"]) else []
    return Reply(200, listed(call, "domains", found))


def domain(call: Call) -> Reply:
    """GET /v3/domains/{domain_id}."""
    if call.params["domain_id"] != DOMAIN["id"]:
        raise NotFound(f"Could not find domain: {call.params['domain_id'][:64]}.", code="no_such_domain")
    return Reply(200, {"domain": _domain(call)})


def no_domains(call: Call) -> Reply:
    """GET /v3/auth/domains: roles are given on projects only."""
    return Reply(200, listed(call, "domains", []))


def _domain(call: Call) -> dict[str, Any]:
    return {**DOMAIN, "enabled": True, "description": "The default domain", "options": {}, "tags": [],
            "links": link(call, f"domains/{DOMAIN['id']}")}
