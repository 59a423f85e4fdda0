"""The query of GET /v2/images: filters, sorting and paging, as Glance has them."""

from typing import Any
from urllib.parse import urlencode

from zones.api.bodies import query_flag, query_number, read_time
from zones.api.image.views import VISIBILITIES
from zones.api.wsgi import Call
from zones.db.image import ImageQuery
from zones.errors import Invalid

_EQUAL = ("id", "name", "status", "disk_format", "container_format", "owner", "checksum",
          "os_hash_algo", "os_hash_value")
_LISTS = frozenset(("id", "name", "status", "disk_format", "container_format"))
_BOUNDS = {"size_min": ("size", "gte"), "size_max": ("size", "lte")}
_TIMES = ("created_at", "updated_at")
_OPERATORS = frozenset(("gt", "gte", "lt", "lte", "eq", "neq"))
_SORTED = frozenset(("name", "status", "container_format", "disk_format", "size", "id", "created_at",
                     "updated_at", "min_disk", "min_ram"))
_OTHER = frozenset(("limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status",
                    "tag", "protected", "os_hidden", "min_disk", "min_ram", *_BOUNDS, *_TIMES))
_MEMBER = frozenset(("accepted", "pending", "rejected", "all"))


def query_of(call: Call) -> ImageQuery:
    """What the request asks for. Raises `Invalid`."""
    query = call.request.GET
    visibility = query.get("visibility", "")
    if visibility not in ("", "all", *VISIBILITIES):
        raise Invalid(f"{visibility[:32]!r} is no visibility.", code="bad_query")
    member_status = query.get("member_status", "accepted")
    if member_status not in _MEMBER:
        raise Invalid(f"{member_status[:32]!r} is no member status.", code="bad_query")
    return ImageQuery(
        project=None if call.caller.is_admin else call.caller.project_id,
        visibility=visibility, member_status=member_status, equal=_equal(query), within=_within(query),
        properties={name: value for name, value in query.items()
                    if name not in _EQUAL and name not in _OTHER},
        tags=query.getall("tag"), sort=_sort(query), marker=_marker(call), limit=_limit(call))


def page_links(call: Call, query: ImageQuery, rows: list[dict[str, Any]]) -> dict[str, str]:
    """`first`, and `next` when there may be more."""
    plain = [(name, value) for name, value in call.request.GET.items() if name != "marker"]
    links = {"first": f"/v2/images?{urlencode(plain)}" if plain else "/v2/images"}
    if rows and len(rows) == query.limit:
        links["next"] = f"/v2/images?{urlencode([*plain, ('marker', rows[-1]['id'])])}"
    return links


def _equal(query: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in _EQUAL:
        if name in query:
            value = query[name]
            is_list = name in _LISTS and value.startswith("in:")
            found[name] = [part.strip('"') for part in value[3:].split(",")] if is_list else [value]
    protected = query_flag(query, "protected")
    if protected is not None:
        found["protected"] = [protected]
    for name in ("min_disk", "min_ram"):
        number = query_number(query, name)
        if number is not None:
            found[name] = [number]
    if query_flag(query, "os_hidden"):
        found["id"] = []  # nothing is hidden here
    return found


def _within(query: Any) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    for name, (column, operator) in _BOUNDS.items():
        number = query_number(query, name)
        if number is not None:
            found.append((column, operator, number))
    for name in _TIMES:
        for text in query.getall(name):
            operator, colon, rest = text.partition(":")
            if operator not in _OPERATORS or not colon:
                operator, rest = "eq", text
            found.append((name, operator, read_time(rest)))
    return found


def _sort(query: Any) -> list[tuple[str, bool]]:
    if "sort" in query:
        pairs = [part.strip().partition(":")[::2] for part in query["sort"].split(",")]
    else:
        directions = query.getall("sort_dir")
        keys = query.getall("sort_key") or ["created_at"]
        if len(directions) > 1 and len(directions) != len(keys):
            raise Invalid("There must be one sort_dir, or one for each sort_key.", code="bad_query")
        pairs = [(key, directions[place if len(directions) > 1 else 0] if directions else "")
                 for place, key in enumerate(keys)]
    for key, direction in pairs:
        if key not in _SORTED or direction not in ("", "asc", "desc"):
            raise Invalid(f"Can't sort by {key[:32]!r} {direction[:32]!r}.", code="bad_query")
    return list({key: (key, direction == "asc") for key, direction in pairs}.values())


def _marker(call: Call) -> dict[str, Any] | None:
    marker = call.request.GET.get("marker")
    if marker is None:
        return None
    row: dict[str, Any] = call.parts.images.visible(call.caller, marker)
    return row


def _limit(call: Call) -> int:
    limit = query_number(call.request.GET, "limit")
    return int(call.parts.page if limit is None else min(limit, call.parts.max_page))
