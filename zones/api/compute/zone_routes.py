"""The routes of zones: below `/os-zones`, and below `/zones`, where they were in 2011."""

from zones.api.compute import zone_boot, zone_images, zone_info, zones
from zones.api.wsgi import Route, Routes

_ROUTES: Routes = {
    "": {
        "GET": Route(zones.index, "os_compute_api:os-zones:index"),
        "POST": Route(zones.create, "os_compute_api:os-zones:create")},
    "/detail": {"GET": Route(zones.index, "os_compute_api:os-zones:detail")},
    "/info": {"GET": Route(zone_info.info, "os_compute_api:os-zones:info")},
    "/boot": {"POST": Route(zone_boot.boot, "os_compute_api:os-zones:boot")},
    "/boot/{server_id}": {"DELETE": Route(zone_boot.recall, "os_compute_api:os-zones:recall")},
    "/changes": {"GET": Route(zone_boot.changes, "os_compute_api:os-zones:changes")},
    "/changes/{server_id}": {"GET": Route(zone_boot.document, "os_compute_api:os-zones:changes")},
    "/images": {"POST": Route(zone_images.offer, "os_compute_api:os-zones:images")},
    "/images/{image_id}": {"DELETE": Route(zone_images.delete, "os_compute_api:os-zones:images")},
    "/images/{image_id}/file": {
        "GET": Route(zone_images.download, "os_compute_api:os-zones:images"),
        "PUT": Route(zone_images.upload, "os_compute_api:os-zones:images")},
    "/tree": {"GET": Route(zones.tree, "os_compute_api:os-zones:tree")},
    "/{id}": {
        "GET": Route(zones.show, "os_compute_api:os-zones:show"),
        "PUT": Route(zones.update, "os_compute_api:os-zones:update"),
        "DELETE": Route(zones.delete, "os_compute_api:os-zones:delete")},
    "/{id}/action": {"POST": Route(zones.action, "os_compute_api:os-zones:cordon")},
}
ZONE_ROUTES: Routes = {f"{prefix}{path}": methods for prefix in ("/os-zones", "/zones")
                       for path, methods in _ROUTES.items()}
