"""Discovery and schemas of the Image API."""

from zones.api.image.views import SCHEMAS
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound

NEWEST = 9
"""v2.9 is what is served: shared and community images, hashes, hidden images none."""


def index(call: Call) -> Reply:
    """GET / (300) and GET /versions (200): without it the SDK finds no image service."""
    numbers = range(NEWEST, -1, -1)
    body = {"versions": [{
        "id": f"v2.{number}", "status": "CURRENT" if number == NEWEST else "SUPPORTED",
        "links": [{"rel": "self", "href": call.url("/v2/")}]} for number in numbers]}
    return Reply(200 if call.request.path_info.strip("/") else 300, body)


def schema(call: Call) -> Reply:
    """GET /v2/schemas/{name}."""
    found = SCHEMAS.get(call.params["name"])
    if found is None:
        raise NotFound("There is no such schema.", code="no_such_schema")
    return Reply(200, found)
