"""Whatever is sent to the Identity and the Image API, the answer is never a 500."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import webob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.endpoint import PASSWORD, Zone, make_zone
from zones.api.identity.routes import ROUTES as IDENTITY
from zones.api.image.routes import ROUTES as IMAGE
from zones.db.engine import Database
from zones.db.image import ImageQuery

KEPT = (("DELETE", "/v3/auth/tokens"), ("DELETE", "/v2/images/{image_id}"))
"""What would take away what the rest needs."""
ROUTES = sorted({(prefix + path, method)
                 for prefix, routes in (("/identity", IDENTITY), ("/image", IMAGE))
                 for path, methods in routes.items() for method in methods if (method, path) not in KEPT})
WORDS = st.sampled_from((
    "name", "enabled", "domain_id", "user", "project", "role", "auth", "identity", "methods", "password",
    "token", "id", "scope", "secret", "email", "application_credential", "expires_at", "roles", "member",
    "status", "tags", "visibility", "min_disk", "owner", "op", "path", "value", "disk_format", "/name",
    "/a/b", "replace", "public", "9999-12-31T23:59:59+23:59", "\0"))
SCALARS = (st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.floats(allow_nan=False)
           | st.text(max_size=8) | WORDS)
BODIES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        WORDS | st.text(max_size=4), inner, max_size=5), max_leaves=12)
NAMES = st.sampled_from((
    "name", "id", "limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "tag", "size_min",
    "created_at", "enabled", "x", "owner", "member_status", "protected", "min_ram", "user.id",
    "include_names", "os_hidden"))
QUERIES = st.dictionaries(NAMES, st.text(max_size=8) | st.sampled_from((
    "in:a,b", "gt:2026-01-01T00:00:00Z", "lt:x", "name:asc", "9" * 18, "-1", "true", "all")), max_size=4)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def zone(request: pytest.FixtureRequest,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Zone, str]]:
    database = None
    if request.param == "postgresql":
        database = Database(request.getfixturevalue("postgres").new_database(schema=True))
    made = make_zone(tmp_path_factory.mktemp("zone"), database)
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "admin", "password": PASSWORD}}}}}
    login = webob.Request.blank("/v3/auth/tokens", method="POST", body=orjson.dumps(body))
    yield made, login.get_response(made.app).headers["X-Subject-Token"]
    made.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(where=st.sampled_from(ROUTES), body=BODIES, query=QUERIES, wrap=st.sampled_from(
    ("", "user", "project", "role", "application_credential", "auth")))
def test_no_500(zone: tuple[Zone, str], where: tuple[str, str], body: Any, query: dict[str, str],
                wrap: str) -> None:
    path, method = where
    demo = zone[0].rows.find(ImageQuery(project=None))[0]["id"]
    for name in ("image_id", "user_id", "project_id", "role_id", "tag", "member_id", "name", "domain_id",
                 "application_credential_id"):
        path = path.replace(f"{{{name}}}", demo if name == "image_id" else "x")
    request = webob.Request.blank(path, method=method)
    request.body = orjson.dumps({wrap: body} if wrap else body, option=orjson.OPT_NON_STR_KEYS)
    request.headers["X-Auth-Token"] = zone[1]
    request.GET.update(query)
    answer = request.get_response(zone[0].app)
    assert answer.status_int < 500, (method, path, query, body, answer.body)
