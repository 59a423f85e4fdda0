"""Every route of the Image API."""

from zones.api import faults
from zones.api.image import content, images, members, versions
from zones.api.wsgi import Dialect, Route, Routes

ROUTES: Routes = {
    "/": {"GET": Route(versions.index, None)},
    "/versions": {"GET": Route(versions.index, None)},
    "/v2": {"GET": Route(versions.index, None)},
    "/v2/schemas/{name}": {"GET": Route(versions.schema, "image:get_schemas")},
    "/v2/images": {
        "GET": Route(images.index, "image:get_images"),
        "POST": Route(images.create, "image:add_image"),
    },
    "/v2/images/{image_id}": {
        "GET": Route(images.show, "image:get_image"),
        "PATCH": Route(images.update, "image:modify_image"),
        "DELETE": Route(images.delete, "image:delete_image"),
    },
    "/v2/images/{image_id}/file": {
        "GET": Route(content.download, "image:download_image"),
        "PUT": Route(content.upload, "image:upload_image"),
    },
    "/v2/images/{image_id}/actions/deactivate": {"POST": Route(images.deactivate, "image:deactivate")},
    "/v2/images/{image_id}/actions/reactivate": {"POST": Route(images.reactivate, "image:reactivate")},
    "/v2/images/{image_id}/tags/{tag}": {
        "PUT": Route(images.add_tag, "image:set_tag"),
        "DELETE": Route(images.remove_tag, "image:delete_tag"),
    },
    "/v2/images/{image_id}/members": {
        "GET": Route(members.index, "image:get_members"),
        "POST": Route(members.create, "image:add_member"),
    },
    "/v2/images/{image_id}/members/{member_id}": {
        "GET": Route(members.show, "image:get_member"),
        "PUT": Route(members.update, "image:modify_member"),
        "DELETE": Route(members.delete, "image:delete_member"),
    },
}

DIALECT = Dialect(
    version_of=lambda request: (0, 0),
    headers_of=lambda version: {},
    fault=faults.glance)
