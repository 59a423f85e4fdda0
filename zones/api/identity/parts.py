"""What the handlers of the Identity API work with, and what several of them do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zones.api.wsgi import Call
from zones.errors import Forbidden, Invalid
from zones.identity.bootstrap import EmbeddedIdentity
from zones.identity.login import DOMAIN
from zones.identity.tokens import Token

CATALOG: Mapping[str, tuple[str, str]] = {
    "compute": ("nova", "/compute/v2.1"),
    "identity": ("keystone", "/identity/v3"),
    "image": ("glance", "/image"),
}
"""Service type → its name and where it is below the endpoint. novaclient needs a versioned compute URL
and appends `/v2/images` to the image URL by itself."""


@dataclass(frozen=True)
class Parts:
    """The collaborators of every identity handler, as `Call.parts`."""

    identity: EmbeddedIdentity
    region: str = "RegionOne"
    services: Mapping[str, tuple[str, str]] = field(default_factory=lambda: CATALOG)


def token_of(call: Call) -> Token:
    """What the caller's own token says."""
    token: Token = call.parts.identity.tokens.check(call.request.headers.get("X-Auth-Token", ""))
    return token


def check_own(call: Call, own: bool, rule: str) -> None:
    """What is one's own is allowed; anything else needs `rule`. Raises `Forbidden`."""
    if not own and not call.may(rule):
        raise Forbidden(f"You are not authorized to perform the requested action: {rule}.", code="policy")


def check_domain(domain_id: Any) -> None:
    """Raises `Invalid` for a domain that is not the one there is."""
    if domain_id not in (None, DOMAIN["id"]):
        raise Invalid("There is one domain here: default.", code="no_such_domain")


def listed(call: Call, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A collection as Keystone answers it: everything in one page."""
    return {name: items, "links": {"self": call.request.path_url, "next": None, "previous": None}}


def link(call: Call, path: str) -> dict[str, str]:
    """`links` of a resource."""
    return {"self": call.url(f"/v3/{path}")}
