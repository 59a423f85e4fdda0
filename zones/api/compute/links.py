"""The links of a resource, as the client reached this service."""

from urllib.parse import quote

from zones.api.wsgi import Call


def resource_links(call: Call, collection: str, resource_id: str) -> list[dict[str, str]]:
    """`self`, below the version (and the project, if the client has it in its URLs), and `bookmark`."""
    project = call.params.get("url_project")
    below = f"/{project}" if project else ""
    path = f"{below}/{collection}/{quote(resource_id)}"
    return [{"rel": "self", "href": call.url(f"/v2.1{path}")}, {"rel": "bookmark", "href": call.url(path)}]
