"""Flavors, their extra specs and access, by microversion."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compute_api import Api, fault
from zones.db import flavors
from zones.errors import Invalid

TINY = {"name": "f", "ram": 512, "vcpus": 1, "disk": 1}


def make(api: Api, at: str = "2.1", **more: Any) -> Any:
    answer = api("POST", "/flavors", {"flavor": {**TINY, **more}}, at=at)
    assert answer.status == 200, answer
    return answer.body["flavor"]


@pytest.fixture
def defaults(api: Api) -> Api:
    api.db.run(flavors.ensure_defaults)
    return api


def ids(body: Any) -> list[str]:
    return [flavor["id"] for flavor in body["flavors"]]


def test_a_new_zone_has_the_usual_flavors_and_they_are_not_made_again(defaults: Api) -> None:
    assert ids(defaults.get("/flavors", who="ann")) == ["1", "2", "3", "4", "42", "5"]
    assert defaults("DELETE", "/flavors/42").status == 202
    defaults.db.run(flavors.ensure_defaults)
    assert ids(defaults.get("/flavors")) == ["1", "2", "3", "4", "5"]
    small = defaults.get("/flavors/2", at="2.1", who="ann")["flavor"]
    assert small == {
        "id": "2", "name": "m1.small", "ram": 2048, "disk": 20, "vcpus": 1, "swap": "", "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
        "links": [{"rel": "self", "href": "http://localhost/v2.1/flavors/2"},
                  {"rel": "bookmark", "href": "http://localhost/flavors/2"}]}


@pytest.mark.parametrize(("at", "more"), [
    ("2.54", set()), ("2.55", {"description"}), ("2.60", {"description"}),
    ("2.61", {"description", "extra_specs"}), ("2.90", {"description", "extra_specs"})])
def test_fields_by_microversion(defaults: Api, at: str, more: set[str]) -> None:
    plain = set(defaults.get("/flavors/1", at="2.1")["flavor"])
    for body in (
        defaults.get("/flavors/1", at=at)["flavor"],
        defaults.get("/flavors/detail", at=at)["flavors"][0],
    ):
        assert set(body) - plain == more
    brief = {"id", "name", "links"} | (more & {"description"})
    assert set(defaults.get("/flavors", at=at)["flavors"][0]) == brief


def test_swap_becomes_a_number_in_2_75(api: Api) -> None:
    make(api, id="s", swap=0)
    assert api.get("/flavors/s", at="2.74")["flavor"]["swap"] == ""
    assert api.get("/flavors/s", at="2.75")["flavor"]["swap"] == 0
    make(api, id="t", name="t", swap="64")
    assert api.get("/flavors/t", at="2.1")["flavor"]["swap"] == 64


def test_a_name_is_a_clean_404(defaults: Api) -> None:
    for path in ("/flavors/m1.tiny", "/flavors/none%20such", "/flavors/%E2%82%AC"):
        assert "could not be found" in fault(defaults("GET", path))
        assert defaults("GET", path).status == 404


def test_sorting_paging_and_filters(defaults: Api) -> None:
    body = defaults.get("/flavors?sort_key=memory_mb&sort_dir=desc&limit=2")
    assert ids(body) == ["5", "4"]
    (link,) = body["flavors_links"]
    assert link["rel"] == "next"
    path = link["href"].removeprefix("http://localhost/v2.1")
    assert ids(defaults.get(path)) == ["3", "2"]
    seen: list[str] = []
    path = "/flavors/detail?limit=4"
    while path:
        page = defaults.get(path)
        seen += ids(page)
        links = page.get("flavors_links")
        path = links[0]["href"].removeprefix("http://localhost/v2.1") if links else ""
    assert seen == ["1", "2", "3", "4", "42", "5"]
    assert ids(defaults.get("/flavors?minRam=4096&minDisk=80")) == ["4", "5"]
    assert ids(defaults.get("/flavors?limit=0")) == []
    assert "marker [nosuch] not found" in fault(defaults("GET", "/flavors?marker=nosuch"))
    for wrong in ("limit=-1", "limit=x", "minRam=-2", "minDisk=a", "sort_key=nosuch", "sort_dir=up",
                  "is_public=maybe", "limit=99999999999999", "marker=%00"):
        assert defaults("GET", f"/flavors?{wrong}").status == 400, wrong
    assert defaults("GET", "/flavors?foo=1", at="2.75").status == 400
    assert defaults("GET", "/flavors?foo=1", at="2.74").status == 200


@pytest.mark.parametrize("key", sorted(flavors.SORT_KEYS))
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_join_to_the_whole_list_whatever_the_order(defaults: Api, key: str, direction: str) -> None:
    order = f"sort_key={key}&sort_dir={direction}"
    whole, marker, seen = ids(defaults.get(f"/flavors?{order}")), "", []
    while page := ids(defaults.get(f"/flavors?{order}&limit=2{marker}")):
        seen += page
        marker = f"&marker={page[-1]}"
    assert seen == whole
    assert sorted(whole) == ["1", "2", "3", "4", "42", "5"]


def test_private_flavors_are_seen_by_those_who_may(api: Api) -> None:
    make(api, id="pub", name="pub")
    make(api, id="priv", name="priv", **{"os-flavor-access:is_public": False})
    assert api("GET", "/flavors/priv", who="ann").status == 404
    assert ids(api.get("/flavors")) == ["pub"]
    assert ids(api.get("/flavors?is_public=None")) == ["priv", "pub"]
    assert ids(api.get("/flavors?is_public=false")) == ["priv"]
    assert ids(api.get("/flavors?is_public=None", who="ann")) == ["pub"]
    add, path = {"addTenantAccess": {"tenant": "p1"}}, "/flavors/priv/action"
    assert api("POST", path, add, who="ann").status == 403
    assert api("POST", path, add).body == {"flavor_access": [{"flavor_id": "priv", "tenant_id": "p1"}]}
    assert api("POST", path, add).status == 409
    assert ids(api.get("/flavors?is_public=None", who="ann")) == ["priv", "pub"]
    assert ids(api.get("/flavors", who="bob")) == ["pub"]
    assert api("GET", "/flavors/priv", who="ann").status == 200
    assert api.get("/flavors/priv/os-flavor-access") == {
        "flavor_access": [{"flavor_id": "priv", "tenant_id": "p1"}]}
    assert api("GET", "/flavors/pub/os-flavor-access").status == 404
    assert api("POST", "/flavors/pub/action", add, at="2.7").status == 409
    assert api("POST", "/flavors/pub/action", add, at="2.6").status == 200
    remove = {"removeTenantAccess": {"tenant": "p1"}}
    assert api("POST", path, remove).body == {"flavor_access": []}
    assert api("POST", path, remove).status == 404
    assert api("POST", "/flavors/none/action", remove).status == 404
    for wrong in ({}, [], {"nosuch": {}}, {**add, **remove}, {"addTenantAccess": {}},
                  {"addTenantAccess": {"tenant": "p", "x": 1}}, b"{"):
        assert api("POST", path, wrong).status == 400, wrong


def test_create_update_delete(api: Api) -> None:
    made = make(api, at="2.61", id="7", swap=8, rxtx_factor="2.5", description="d",
                **{"OS-FLV-EXT-DATA:ephemeral": "3", "os-flavor-access:is_public": "false"})
    assert (made["swap"], made["rxtx_factor"], made["description"], made["extra_specs"]) == (8, 2.5, "d", {})
    assert (made["OS-FLV-EXT-DATA:ephemeral"], made["os-flavor-access:is_public"]) == (3, False)
    assert len(make(api, name="auto", id="auto")["id"]) == 36
    assert len(make(api, name="none")["id"]) == 36
    assert make(api, name="number", id=12)["id"] == "12"
    clash = api("POST", "/flavors", {"flavor": {**TINY, "name": "new", "id": "7"}})
    assert (clash.status, fault(clash)) == (409, "Flavor with ID 7 already exists.")
    clash = api("POST", "/flavors", {"flavor": TINY})
    assert (clash.status, fault(clash)) == (409, "Flavor with name f already exists.")
    assert api("PUT", "/flavors/7", {"flavor": {"description": None}}, at="2.54").status == 404
    answer = api("PUT", "/flavors/7", {"flavor": {"description": None}}, at="2.55")
    assert answer.status == 200
    assert answer.body["flavor"]["description"] is None
    for method in ("PUT", "DELETE"):
        assert api(method, "/flavors/none", {"flavor": {"description": ""}}).status == 404
    assert api("DELETE", "/flavors/7", who="ann").status == 403
    assert api("DELETE", "/flavors/7").status == 202
    assert api("GET", "/flavors/7").status == 404


@pytest.mark.parametrize("wrong", [
    {"name": ""}, {"name": " x"}, {"name": "a\u0000"}, {"name": "x" * 256}, {"name": 5}, {"ram": 0},
    {"ram": -1}, {"ram": "0"}, {"ram": 2**31}, {"ram": 1.5}, {"ram": "x"}, {"vcpus": 0}, {"disk": -1},
    {"disk": None}, {"id": ""}, {"id": " 1"}, {"id": "a/b"}, {"id": "x" * 256}, {"swap": -1},
    {"rxtx_factor": 0}, {"rxtx_factor": "0"}, {"rxtx_factor": "1.x"}, {"rxtx_factor": 1e39},
    {"os-flavor-access:is_public": "maybe"}, {"os-flavor-access:is_public": 7}, {"unknown": 1},
    {"description": "below 2.55"}, {"ram": True}])
def test_a_wrong_flavor_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert api("POST", "/flavors", {"flavor": {**TINY, **wrong}}, at="2.54").status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"flavor": null}', b'{"flavor": []}',
                                  b'{"flavor": {}}', b'{"a": 1}', b"\xff"])
def test_a_body_that_is_none_is_refused(api: Api, body: bytes) -> None:
    assert api("POST", "/flavors", body).status == 400


def test_extra_specs(api: Api) -> None:
    make(api, id="f")
    path = "/flavors/f/os-extra_specs"
    assert api.get(path, who="ann") == {"extra_specs": {}}
    assert api("POST", path, {"extra_specs": {"a:b": "1", "n": 2}}).body == {
        "extra_specs": {"a:b": "1", "n": "2"}}
    assert api("PUT", f"{path}/a:b", {"a:b": "x"}).body == {"a:b": "x"}
    assert api("PUT", f"{path}/a:b", {"other": "x"}).status == 400
    assert api.get(f"{path}/a:b", who="ann") == {"a:b": "x"}
    assert api.get("/flavors/f", at="2.61", who="ann")["flavor"]["extra_specs"] == {"a:b": "x", "n": "2"}
    assert api("DELETE", f"{path}/n").status == 200
    assert api("DELETE", f"{path}/n").status == 404
    assert api("GET", f"{path}/n").status == 404
    assert api("POST", path, {"extra_specs": {}}, who="ann").status == 403
    for wrong in ({"extra_specs": {"a/b": "1"}}, {"extra_specs": {"a": None}}, {"extra_specs": {"": "1"}},
                  {"extra_specs": {"a": "x" * 256}}, {"extra_specs": {"a": {}}}, {}, {"x": {}}):
        assert api("POST", path, wrong).status == 400, wrong
    for method, body in (("GET", None), ("POST", {"extra_specs": {"a": "1"}})):
        assert api(method, "/flavors/none/os-extra_specs", body).status == 404


@pytest.mark.parametrize(("specs", "valid"), [
    ({"hw:cpu_policy": "dedicated"}, True), ({"hw:cpu_policy": "wrong"}, False),
    ({"hw:cpu_polcy": "dedicated"}, False), ({"resources:VGPU": "1"}, True), ({"resources:VGPU": "x"}, False),
    ({"trait:HW_CPU": "required"}, True), ({"trait:HW_CPU": "wanted"}, False), ({"zones:gpu": "yes"}, True),
    ({"gpu": "yes"}, True), ({"quota:disk_read_iops_sec": "10"}, True), ({"group_policy": "none"}, True),
    ({"hw:mem_page_size": "2MB"}, True), ({"capabilities:anything": "<in> x"}, True)])
def test_known_extra_specs_are_checked_from_2_86_on(api: Api, specs: dict[str, str], valid: bool) -> None:
    make(api, id="f")
    path = "/flavors/f/os-extra_specs"
    assert api("POST", path, {"extra_specs": specs}, at="2.85").status == 200
    assert api("POST", path, {"extra_specs": specs}, at="2.86").status == (200 if valid else 400)


def test_a_boot_takes_flavors_by_value(defaults: Api) -> None:
    from tests.compute_api import CALLERS
    value = defaults.db.run(flavors.value, CALLERS["ann"], "3")
    assert (value.name, value.vcpus, value.ram, value.disk, value.extra_specs) == (
        "m1.medium",
        2,
        4096,
        40,
        {},
    )
    make(defaults, id="priv", name="priv", **{"os-flavor-access:is_public": False})
    for flavor_id in ("priv", "none"):
        with pytest.raises(Invalid, match="could not be found"):
            defaults.db.run(flavors.value, CALLERS["ann"], flavor_id)
    assert defaults.db.run(flavors.value, CALLERS["admin"], "priv").id == "priv"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(["name", "ram", "vcpus", "disk", "id", "swap", "rxtx_factor", "description",
                              "OS-FLV-EXT-DATA:ephemeral", "os-flavor-access:is_public"]), value=_JSON)
def test_whatever_is_in_a_field_the_answer_is_no_500(api: Api, field: str, value: Any) -> None:
    from orjson import JSONEncodeError
    try:
        answer = api("POST", "/flavors", {"flavor": {**TINY, field: value}})
    except (JSONEncodeError, TypeError):
        return  # not JSON at all: a surrogate or an integer of more than 64 bits
    assert answer.status in (200, 400, 409), answer
