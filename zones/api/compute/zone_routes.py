"""The routes of zones: below `/os-zones`, and below `/zones`, where they were in 2011."""

from zones.api.compute import zone_images, zone_info, zones
from zones.api.wsgi import Route, Routes

RULE = "os_compute_api:os-zones:"

_ROUTES: Routes = {
    "": {"GET": Route(zones.index, f"{RULE}index"), "POST": Route(zones.create, f"{RULE}create")},
    "/detail": {"GET": Route(zones.index, f"{RULE}detail")},
    "/info": {"GET": Route(zone_info.info, f"{RULE}info")},
    "/images": {"POST": Route(zone_images.offer, f"{RULE}images")},
    "/images/{image_id}": {"DELETE": Route(zone_images.delete, f"{RULE}images")},
    "/images/{image_id}/file": {
        "GET": Route(zone_images.download, f"{RULE}images"),
        "PUT": Route(zone_images.upload, f"{RULE}images")},
    "/tree": {"GET": Route(zones.tree, f"{RULE}tree")},
    "/{id}": {
        "GET": Route(zones.show, f"{RULE}show"), "PUT": Route(zones.update, f"{RULE}update"),
        "DELETE": Route(zones.delete, f"{RULE}delete")},
    "/{id}/action": {"POST": Route(zones.action, f"{RULE}cordon")},
}
ZONE_ROUTES: Routes = {f"{prefix}{path}": methods for prefix in ("/os-zones", "/zones")
                       for path, methods in _ROUTES.items()}
