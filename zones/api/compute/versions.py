"""Microversions of the Compute API: which one a request asks for, and the version documents.

Sources: API guide "Microversions"; the legacy header is what clients send below 2.27.
"""

import re
from collections.abc import Mapping

import webob

from zones.api import faults
from zones.api.wsgi import Call, Dialect, Reply, Version
from zones.errors import Invalid

MIN: Version = (2, 1)
MAX: Version = (2, 90)
"""Above 2.91 `nova keypair-add NAME` would send no key and expect one."""

_FORM = re.compile(r"([1-9]\d{0,5})\.([1-9]\d{0,5}|0)", re.ASCII)
_UPDATED = "2013-07-23T11:33:21Z"


def version_of(request: webob.Request) -> Version:
    """The microversion that a request asks for; 2.1 when it asks for none.

    Raises `Invalid`: code `bad_microversion` (406) for one that is not served, else 400.
    """
    asked = _asked(request)
    if asked is None:
        return MIN
    if asked == "latest":
        return MAX
    version = parse(asked)
    if version is None:
        raise Invalid(f"API Version String '{asked[:64]}' is of invalid format. Must be of format "
                      "MajorNum.MinorNum.", code="malformed_microversion")
    if not MIN <= version <= MAX:
        raise Invalid(f"Version {asked} is not supported by the API. Minimum is {_text(MIN)} and "
                      f"maximum is {_text(MAX)}.", code="bad_microversion")
    return version


def parse(text: str) -> Version | None:
    """A microversion such as "2.90"; None for any other text."""
    form = _FORM.fullmatch(text)
    return None if form is None else (int(form[1]), int(form[2]))


def _asked(request: webob.Request) -> str | None:
    for part in request.headers.get("OpenStack-API-Version", "").split(","):
        service, _, version = part.strip().partition(" ")
        if service.lower() == "compute":
            return str(version).strip().lower()
    legacy = request.headers.get("X-OpenStack-Nova-API-Version")
    return None if legacy is None else str(legacy).strip().lower()


def headers_of(version: Version) -> Mapping[str, str]:
    """What every answer says of the microversion that it is in."""
    vary = {"Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version"}
    if version < MIN:  # the request never got as far as to have one
        return vary
    return {"OpenStack-API-Version": f"compute {_text(version)}",
            "X-OpenStack-Nova-API-Version": _text(version), **vary}


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


DIALECT = Dialect(version_of, headers_of, faults.nova, ("X-Openstack-Request-Id", "X-Compute-Request-Id"),
                  "X-Zone-Error")
"""How the Compute API speaks: what `zones.service` gives to `wsgi.Service`."""


def versions(call: Call) -> Reply:
    """GET /: every version that is served."""
    return Reply(200, {"versions": [_document(call)]})


def version(call: Call) -> Reply:
    """GET /v2.1, and /v2.1/{project} for clients whose catalog has the project in the URL."""
    document = _document(call)
    document["media-types"] = [{"base": "application/json",
                                "type": "application/vnd.openstack.compute+json;version=2.1"}]
    return Reply(200, {"version": document})


def _document(call: Call) -> dict[str, object]:
    return {"id": "v2.1", "status": "CURRENT", "version": _text(MAX), "min_version": _text(MIN),
            "updated": _UPDATED, "links": [{"rel": "self", "href": call.url("/v2.1/")}]}
