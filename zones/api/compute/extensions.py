"""The extensions that old clients look for: literal, since all that there is is always on."""

from typing import Any

from zones.api.wsgi import Call, Reply
from zones.errors import NotFound

_SERVED = {
    "extensions": "Extensions", "flavors": "Flavors", "image-size": "ImageSize", "ips": "Ips",
    "limits": "Limits", "os-access-ips": "AccessIPs", "os-admin-actions": "AdminActions",
    "os-admin-password": "AdminPassword", "os-aggregates": "Aggregates",
    "os-availability-zone": "AvailabilityZone", "os-config-drive": "ConfigDrive",
    "os-console-output": "ConsoleOutput",
    "os-extended-availability-zone": "ExtendedAvailabilityZone",
    "os-extended-server-attributes": "ExtendedServerAttributes",
    "os-extended-status": "ExtendedStatus", "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs", "os-flavor-manage": "FlavorManage",
    "os-flavor-rxtx": "FlavorRxtx", "os-hypervisors": "Hypervisors",
    "os-instance-actions": "InstanceActions", "os-keypairs": "Keypairs",
    "os-lock-server": "LockServer", "os-multiple-create": "MultipleCreate",
    "os-pause-server": "PauseServer", "os-quota-class-sets": "QuotaClasses",
    "os-quota-sets": "Quotas", "os-rescue": "Rescue", "os-scheduler-hints": "SchedulerHints",
    "os-security-groups": "SecurityGroups", "os-server-diagnostics": "ServerDiagnostics",
    "os-server-groups": "ServerGroups", "os-server-usage": "ServerUsage", "os-services": "Services",
    "os-shelve": "Shelve", "os-simple-tenant-usage": "SimpleTenantUsage",
    "os-suspend-server": "SuspendServer", "os-used-limits": "UsedLimits", "os-user-data": "UserData",
    "server-metadata": "ServerMetadata", "servers": "Servers", "versions": "Versions",
}


def index(call: Call) -> Reply:
    """GET /extensions."""
    return Reply(200, {"extensions": [_view(alias) for alias in _SERVED]})


def show(call: Call) -> Reply:
    """GET /extensions/{id}."""
    alias = call.params["id"]
    if alias not in _SERVED:
        raise NotFound(f"There is no extension {alias}.", code="no_extension")
    return Reply(200, {"extension": _view(alias)})


def _view(alias: str) -> dict[str, Any]:
    return {"alias": alias, "name": _SERVED[alias], "description": f"{_SERVED[alias]} support.",
            "links": [], "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
            "updated": "2014-12-03T00:00:00Z"}
