"""The proxies to the network of old, below 2.36: there so that clients of 2.1 can ask.

Networks, addresses and security groups belong to where a server runs. A zone of its own has one
security group, `default`, without rules, in each project, and no floating addresses or networks
to choose from.
"""

import uuid
from typing import Any

from zones.api.wsgi import Call, Reply
from zones.errors import NotFound

UNTIL = (2, 35)
_NAMESPACE = uuid.UUID("0d4c7c52-33d3-5c3c-8d0b-6f1b1d7a9c44")


def networks(_call: Call) -> Reply:
    """GET /os-networks."""
    return Reply(200, {"networks": []})


def network(call: Call) -> Reply:
    """GET /os-networks/{id}."""
    raise NotFound(f"Network {call.params['id']} could not be found.", code="no_network")


def security_groups(call: Call) -> Reply:
    """GET /os-security-groups."""
    return Reply(200, {"security_groups": [default_group(call.caller.project_id)]})


def security_group(call: Call) -> Reply:
    """GET /os-security-groups/{id}."""
    if call.params["id"] != default_group(call.caller.project_id)["id"]:
        raise NotFound(f"Security group {call.params['id']} not found.", code="no_security_group")
    return Reply(200, {"security_group": default_group(call.caller.project_id)})


def floating_ips(_call: Call) -> Reply:
    """GET /os-floating-ips."""
    return Reply(200, {"floating_ips": []})


def floating_ip_pools(_call: Call) -> Reply:
    """GET /os-floating-ip-pools."""
    return Reply(200, {"floating_ip_pools": []})


def elsewhere(_call: Call) -> Reply:
    """GET of what other services serve: 404, lest it be taken for a project's version document."""
    raise NotFound("The resource could not be found.", code="no_such_path")


def default_group(project_id: str) -> dict[str, Any]:
    """The one security group of a project."""
    return {"id": str(uuid.uuid5(_NAMESPACE, project_id)), "name": "default",
            "description": "Default security group", "tenant_id": project_id, "rules": []}
