"""Flavors as the Compute API shows them, by microversion."""

from collections.abc import Mapping
from typing import Any

from zones.api.compute.links import resource_links
from zones.api.wsgi import Call

DESCRIBED, WITH_SPECS, SWAP_IS_A_NUMBER = (2, 55), (2, 61), (2, 75)


def brief(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    """Id, name and links; from 2.55 the description."""
    shown = {"id": row["id"], "name": row["name"], "links": resource_links(call, "flavors", row["id"])}
    if call.version >= DESCRIBED:
        shown["description"] = row["description"]
    return shown


def full(call: Call, row: Mapping[str, Any], *, specs: bool) -> dict[str, Any]:
    """All of it; the extra specs from 2.61 on where the caller may see them."""
    shown = {
        **brief(call, row), "ram": row["ram"], "disk": row["disk"], "vcpus": row["vcpus"],
        "swap": row["swap"] if row["swap"] or call.version >= SWAP_IS_A_NUMBER else "",
        "OS-FLV-EXT-DATA:ephemeral": row["ephemeral"], "OS-FLV-DISABLED:disabled": row["disabled"],
        "os-flavor-access:is_public": row["is_public"], "rxtx_factor": row["rxtx_factor"],
    }
    if call.version >= WITH_SPECS and specs:
        shown["extra_specs"] = row["extra_specs"] or {}
    return shown
