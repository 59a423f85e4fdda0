"""What a project may have and what it used: quota sets, classes, limits, usage; and the old proxies."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compute_api import Api, fault
from zones.api.compute.routes import V21
from zones.config import Quota
from zones.db import quotas
from zones.db.tables import server

NETWORK = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
FILES = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
GROUPS = {"server_groups", "server_group_members"}
PLAIN = {"instances", "cores", "ram", "key_pairs", "metadata_items"}


@pytest.mark.parametrize(("at", "names"), [
    ("2.1", PLAIN | GROUPS | FILES | NETWORK), ("2.36", PLAIN | GROUPS | FILES), ("2.57", PLAIN | GROUPS)])
def test_quota_sets_by_microversion(api: Api, at: str, names: set[str]) -> None:
    api.db.run(quotas.reserve, "", "p1", api.quota, 1, 2, 512)
    shown = api.get("/os-quota-sets/p1", at=at, who="ann")["quota_set"]
    assert set(shown) == names | {"id"}
    assert (shown["id"], shown["instances"], shown.get("fixed_ips", -1)) == ("p1", 100, -1)
    detail = api.get("/os-quota-sets/p1/detail", at=at, who="ann")["quota_set"]
    assert set(detail) == names | {"id"}
    assert detail["cores"] == {"limit": 400, "in_use": 2, "reserved": 0}
    assert api.get("/os-quota-sets/p1/defaults", at=at, who="ann")["quota_set"] == {**shown, "id": "p1"}
    assert api("GET", "/os-quota-sets/p1", at=at, who="bob").status == 403
    assert api("GET", "/os-quota-sets/p1/detail", at=at, who="bob").status == 403
    updated = api("PUT", "/os-quota-sets/p1", {"quota_set": {"cores": "7", "ram": -1}}, at=at)
    assert updated.status == 200
    assert set(updated.body["quota_set"]) == names
    assert (updated.body["quota_set"]["cores"], updated.body["quota_set"]["ram"]) == (7, -1)
    assert api.get("/os-quota-sets/p1", at=at, who="ann")["quota_set"]["cores"] == 7
    assert api.get("/os-quota-sets/p1/defaults", at=at, who="ann")["quota_set"]["cores"] == 400
    assert api("DELETE", "/os-quota-sets/p1", at=at).status == 202
    assert api.get("/os-quota-sets/p1", at=at)["quota_set"]["cores"] == 400


def test_limits_below_use_need_force_and_wrong_ones_are_refused(api: Api) -> None:
    api.db.run(quotas.reserve, "", "p1", api.quota, 3, 3, 512)
    def put(at: str = "2.90", who: str = "admin", **limits: Any) -> Any:
        return api("PUT", "/os-quota-sets/p1", {"quota_set": limits}, at=at, who=who)
    low = put(instances=2)
    assert (low.status, "already used and reserved 3" in fault(low)) == (400, True)
    assert put(instances=2, force=True).body["quota_set"]["instances"] == 2
    assert put(instances=2, force="True").status == 200
    assert put(who="ann", instances=5).status == 403
    for wrong in (
        {"instances": -2},
        {"instances": "x"},
        {"instances": 2**31},
        {"instances": 1.5},
        {"nosuch": 1},
        {"instances": None},
        {"force": "maybe"},
        {"tenant_id": "other"},
        {"injected_files": 1},
    ):
        assert put(**wrong).status == 400, wrong
    assert put("2.56", injected_files=1).status == 200
    assert put("2.35", floating_ips=-1).status == 200
    assert put("2.35", floating_ips=5).status == 400
    assert put("2.36", floating_ips=-1).status == 400
    assert api("PUT", "/os-quota-sets/p1?user_id=ann", {"quota_set": {"cores": 1}}).status == 400
    assert api("GET", "/os-quota-sets/p1?user_id=ann").status == 200
    assert api("GET", "/os-quota-sets/p1?x=1", at="2.75").status == 400


@pytest.mark.parametrize(("at", "names"), [
    ("2.1", PLAIN | FILES | NETWORK), ("2.50", PLAIN | GROUPS | FILES), ("2.57", PLAIN | GROUPS)])
def test_the_quota_class_holds_for_all(api: Api, at: str, names: set[str]) -> None:
    path = "/os-quota-class-sets/default"
    assert set(api.get(path, at=at)["quota_class_set"]) == names | {"id"}
    answer = api("PUT", path, {"quota_class_set": {"instances": 3}}, at=at)
    assert (answer.status, set(answer.body["quota_class_set"])) == (200, names)
    assert api.get("/os-quota-sets/p1", who="ann")["quota_set"]["instances"] == 3
    assert api.get("/os-quota-sets/p1/defaults", who="ann")["quota_set"]["instances"] == 3
    assert (
        api("PUT", "/os-quota-class-sets/other", {"quota_class_set": {"instances": 3}}, at=at).status == 400
    )
    assert api("PUT", path, {"quota_class_set": {}}, at=at).status == 400
    assert api("GET", path, at=at, who="ann").status == 403


@pytest.mark.parametrize("at", ["2.1", "2.36", "2.39", "2.57", "2.90"])
def test_limits_by_microversion(api: Api, at: str) -> None:
    version = tuple(int(part) for part in at.split("."))
    api.db.run(quotas.reserve, "", "p1", api.quota, 1, 2, 512)
    api("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}}, who="ann")
    body = api.get("/limits?reserved=False", at=at, who="ann")["limits"]
    assert body["rate"] == []
    absolute = body["absolute"]
    wanted = {
        "maxTotalInstances",
        "maxTotalCores",
        "maxTotalRAMSize",
        "maxTotalKeypairs",
        "maxServerMeta",
        "maxServerGroups",
        "maxServerGroupMembers",
        "totalInstancesUsed",
        "totalCoresUsed",
        "totalRAMUsed",
        "totalServerGroupsUsed",
    }
    if version < (2, 57):
        wanted |= {"maxPersonality", "maxPersonalitySize"}
    if version < (2, 39):
        wanted |= {"maxImageMeta"}
    if version < (2, 36):
        wanted |= {
            "maxSecurityGroups",
            "maxSecurityGroupRules",
            "maxTotalFloatingIps",
            "totalFloatingIpsUsed",
            "totalSecurityGroupsUsed",
        }
    assert set(absolute) == wanted
    used = ("totalInstancesUsed", "totalCoresUsed", "totalRAMUsed", "totalServerGroupsUsed")
    assert [absolute[name] for name in used] == [1, 2, 512, 1]
    assert api.get("/limits?tenant_id=p1", at=at)["limits"]["absolute"]["totalCoresUsed"] == 2
    assert api("GET", "/limits?tenant_id=p1", at=at, who="bob").status == 403


# ------------------------------------------------------------------ usage

HOUR = 3600.0
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
PERIOD = "start=2026-01-01T00:00:00&end=2026-01-01T10:00:00.000000"
FLAVOR = {"id": "1", "name": "m1", "vcpus": 2, "ram": 100, "disk": 5, "ephemeral": 1}


def add(api: Api, server_id: str, launched: float | None, ended: float | None = None, **more: Any) -> None:
    def at(hours: float | None) -> float | None:
        return None if hours is None else START + hours * HOUR
    api.db.run(
        lambda conn: conn.execute(
            sa.insert(server),
            {
                "id": server_id,
                "project_id": "p1",
                "user_id": "ann",
                "name": server_id,
                "flavor": FLAVOR,
                "vm_state": "active",
                "created_at": 1.0,
                "launched_at": at(launched),
                "terminated_at": at(ended),
                **more,
            },
        )
    )


def test_usage_counts_the_hours_within_the_period(api: Api) -> None:
    add(api, "whole", -5)
    add(api, "part", 1, 3, vm_state="deleted", deleted=True)
    add(api, "before", -5, -1)
    add(api, "after", 11)
    add(api, "never", None)
    add(api, "peers", 1, owner_peer="peer")
    add(api, "others", 2, 4, project_id="p2")
    shown = api.get(f"/os-simple-tenant-usage/p1?{PERIOD}", who="ann")["tenant_usage"]
    assert {name: shown[name] for name in shown if name.startswith("total")} == {
        "total_hours": 12.0, "total_memory_mb_usage": 1200.0, "total_local_gb_usage": 72.0,
        "total_vcpus_usage": 24.0}
    assert (shown["start"], shown["stop"]) == ("2026-01-01T00:00:00.000000", "2026-01-01T10:00:00.000000")
    part, whole = shown["server_usages"]
    assert (part["instance_id"], part["hours"], part["state"], part["uptime"]) == (
        "part",
        2.0,
        "terminated",
        7200,
    )
    assert (whole["hours"], whole["state"], whole["ended_at"], whole["flavor"]) == (
        10.0,
        "active",
        None,
        "m1",
    )
    listed = api.get(f"/os-simple-tenant-usage?{PERIOD}")["tenant_usages"]
    assert {one["tenant_id"]: one["total_hours"] for one in listed} == {"p1": 12.0, "p2": 2.0}
    assert "server_usages" not in listed[0]
    assert "server_usages" in api.get(f"/os-simple-tenant-usage?{PERIOD}&detailed=1")["tenant_usages"][0]
    assert api.get(f"/os-simple-tenant-usage/p9?{PERIOD}")["tenant_usage"] == {}
    assert api("GET", f"/os-simple-tenant-usage/p1?{PERIOD}", who="bob").status == 403
    assert api("GET", f"/os-simple-tenant-usage?{PERIOD}", who="ann").status == 403


def test_usage_pages_from_2_40_on_and_the_pages_add_up(api: Api) -> None:
    for number in range(5):
        add(api, f"s{number}", 1, 2, project_id=f"p{number % 2}")
    hours, pages, path = 0.0, 0, f"/os-simple-tenant-usage?{PERIOD}&limit=2"
    while path:
        page = api.get(path, at="2.40")
        hours += sum(one["total_hours"] for one in page["tenant_usages"])
        pages += 1
        path = page.get("tenant_usages_links", [{"href": ""}])[0]["href"].removeprefix("http://localhost/v2.1")
    assert (hours, pages) == (5.0, 3)
    assert "tenant_usages_links" not in api.get(f"/os-simple-tenant-usage?{PERIOD}&limit=2", at="2.39")
    one = api.get(f"/os-simple-tenant-usage/p0?{PERIOD}&limit=2", at="2.40", who="admin")
    assert one["tenant_usage_links"][0]["href"].endswith("marker=s2")
    assert api("GET", f"/os-simple-tenant-usage?{PERIOD}&marker=none", at="2.40").status == 400


@pytest.mark.parametrize(
    "period",
    [
        "start=x",
        "end=2026-13-01T00:00:00",
        "start=2026-01-02T00:00:00&end=2026-01-01T00:00:00",
        "start=2026-01-01T00:00:00&end=2026-01-01T00:00:00",
        "start=2999-01-01T00:00:00",
    ],
)
def test_a_wrong_period_is_refused(api: Api, period: str) -> None:
    assert api("GET", f"/os-simple-tenant-usage?{period}").status == 400
    assert api("GET", "/os-simple-tenant-usage").status == 200


# ------------------------------------------------------------------ proxies, extensions, anything else

def test_network_proxies_end_with_2_36(api: Api) -> None:
    (group,) = api.get("/os-security-groups", at="2.35", who="ann")["security_groups"]
    assert (group["name"], group["tenant_id"]) == ("default", "p1")
    assert api.get(f"/os-security-groups/{group['id']}", at="2.1", who="ann") == {"security_group": group}
    assert api("GET", "/os-security-groups/default", at="2.1", who="ann").status == 404
    assert api.get("/os-networks", at="2.1") == {"networks": []}
    assert api("GET", "/os-networks/net0", at="2.1").status == 404
    for path in ("os-security-groups", "os-networks", "os-floating-ips", "os-floating-ip-pools", "images",
                 "os-volumes", "os-fixed-ips"):
        assert api("GET", f"/{path}", at="2.36").status == 404


def test_extensions(api: Api) -> None:
    listed = api.get("/extensions", who="ann")["extensions"]
    assert set(listed[0]) == {"alias", "name", "description", "links", "namespace", "updated"}
    assert api.get("/extensions/os-keypairs")["extension"] in listed
    assert api("GET", "/extensions/none").status == 404


OURS = sorted(
    (path, method)
    for path, methods in V21.items()
    for method in methods
    if path.startswith(
        (
            "/flavors",
            "/os-keypairs",
            "/os-server-groups",
            "/os-availability-zone",
            "/os-hypervisors",
            "/os-services",
            "/os-aggregates",
            "/limits",
            "/os-quota",
            "/os-simple",
            "/extensions",
            "/os-net",
            "/os-sec",
            "/os-float",
        )
    )
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/?#%"), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "flavor",
                    "keypair",
                    "server_group",
                    "aggregate",
                    "quota_set",
                    "add_host",
                    "name",
                    "host",
                    "policies",
                    "extra_specs",
                    "quota_class_set",
                    "metadata",
                    "status",
                    "x",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(OURS), text=TEXT, query=st.dictionaries(st.sampled_from([
    "limit", "marker", "sort_key", "is_public", "user_id", "start", "end", "offset", "with_servers", "host"]),
    TEXT, max_size=2), body=JSON, minor=st.integers(1, 90), who=st.sampled_from(["ann", "admin"]))
def test_nothing_that_is_sent_makes_a_500(
        api_on_both: Api, route: tuple[str, str], text: str, query: dict[str, str], body: Any, minor: int,
        who: str) -> None:
    path, method = route
    path = path.replace("{id}", quote(text)).replace("{key}", quote(text))
    answer = api_on_both(
        method, f"{path}?{urlencode(query)}", None if method == "GET" else body, at=f"2.{minor}", who=who
    )
    assert answer.status < 500 or answer.status == 501, answer
    if answer.status >= 400:
        assert fault(answer)


def test_quota_of_a_zone_is_the_default(api: Api) -> None:
    few = Api(api.db, Quota(instances=-1, cores=9))
    assert few.get("/os-quota-sets/p1")["quota_set"]["cores"] == 9
    assert few.get("/limits")["limits"]["absolute"]["maxTotalInstances"] == -1
