"""What operators see of hosts: services, hypervisors, availability zones, aggregates."""

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute_api import Api, fault
from zones.capabilities.link_table import LinkState
from zones.capabilities.summary import Entry
from zones.db import leases
from zones.db.engine import Database
from zones.db.tables import server, service
from zones.protocol import HostReport

SIZES = {"vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
         "free_disk_gb", "current_workload", "running_vms", "disk_available_least"}


def report(host: str, zone: str = "nova", **more: Any) -> HostReport:
    return HostReport(
        service="compute-1",
        host=host,
        boot=1,
        seq=1,
        availability_zone=zone,
        vcpus=8,
        ram=1024,
        disk=100,
        **{"vcpus_used": 2, "ram_used": 256, "disk_used": 10, "servers": 2, **more},
    )


@pytest.fixture
def zone(api: Api) -> Api:
    """compute-1 is up and owns a1 and b1; compute-2 has not been heard for long and owns c1."""
    api.db.run(leases.register_service, "compute-1", "me", ["a1", "b1"], "nova")
    api.db.run(leases.register_service, "compute-2", "me", ["c1"], "nova")
    api.db.run(lambda conn: conn.execute(
        sa.update(service).where(service.c.host == "compute-2").values(heartbeat_at=1.0)))
    api.hosts += [
        report("a1"),
        report("b1", "az2", capabilities={"arch": ["x86_64"]}, live={"uptime": 93784.0}),
    ]
    return api


def add_server(api: Api, server_id: str, host: str, **more: Any) -> None:
    api.db.run(lambda conn: conn.execute(sa.insert(server), {
        "id": server_id, "project_id": "p1", "user_id": "ann", "name": f"name-{server_id}", "host": host,
        "vm_state": "active", "created_at": 1.0, **more}))


# ------------------------------------------------------------------ services

def services(api: Api, path: str = "", at: str = "2.90") -> dict[str, Any]:
    return {one["host"]: one for one in api.get(f"/os-services{path}", at=at)["services"]}


@pytest.mark.parametrize(("at", "kind", "forced"), [("2.1", int, False), ("2.11", int, True),
                                                    ("2.53", str, True), ("2.69", str, True)])
def test_services_by_microversion(zone: Api, at: str, kind: type, forced: bool) -> None:
    found = services(zone, at=at)
    assert set(found) == {"compute-1", "compute-2"}
    one, two = found["compute-1"], found["compute-2"]
    assert set(one) == {
        "id",
        "binary",
        "host",
        "zone",
        "status",
        "state",
        "updated_at",
        "disabled_reason",
    } | ({"forced_down"} if forced else set())
    assert isinstance(one["id"], kind)
    assert (one["state"], two["state"]) == ("up", "down")
    assert (one["zone"], two["zone"]) == ("az2,nova", "nova")
    assert services(zone, at=at) == found
    assert set(services(zone, "?host=compute-2", at)) == {"compute-2"}
    assert services(zone, "?binary=nova-scheduler", at) == {}
    assert zone("GET", "/os-services", at=at, who="ann").status == 403


def test_enable_disable_and_force_down_below_2_53(zone: Api) -> None:
    which = {"host": "compute-1", "binary": "nova-compute"}
    def put(action: str, more: Any = None, at: str = "2.52") -> Any:
        return zone("PUT", f"/os-services/{action}", {**which, **(more or {})}, at=at)
    assert put("disable").body == {"service": {**which, "status": "disabled"}}
    assert services(zone)["compute-1"]["status"] == "disabled"
    assert put("disable-log-reason", {"disabled_reason": "why"}).body == {
        "service": {**which, "status": "disabled", "disabled_reason": "why"}}
    assert services(zone)["compute-1"]["disabled_reason"] == "why"
    assert put("enable").body == {"service": {**which, "status": "enabled"}}
    assert services(zone)["compute-1"]["disabled_reason"] is None
    assert put("force-down", {"forced_down": True}, "2.10").status == 404
    assert put("force-down", {"forced_down": "true"}, "2.11").body == {
        "service": {**which, "forced_down": True}
    }
    assert services(zone)["compute-1"]["state"] == "down"
    assert put("disable-log-reason").status == 400
    assert put("nosuch").status == 404
    assert put("enable", {"extra": 1}).status == 400
    assert put("enable", {"host": "none"}).status == 404
    assert put("enable", {"binary": "nova-scheduler"}).status == 400


def test_update_by_id_from_2_53_on(zone: Api) -> None:
    path = f"/os-services/{services(zone)['compute-1']['id']}"
    answer = zone("PUT", path, {"status": "disabled", "disabled_reason": "why"})
    assert answer.status == 200
    assert (answer.body["service"]["status"], answer.body["service"]["disabled_reason"]) == (
        "disabled",
        "why",
    )
    assert zone("PUT", path, {"forced_down": True}).body["service"]["state"] == "down"
    enabled = zone("PUT", path, {"status": "enabled", "forced_down": False}).body["service"]
    assert (enabled["status"], enabled["state"], enabled["disabled_reason"]) == ("enabled", "up", None)
    for wrong in ({}, {"status": "x"}, {"status": "enabled", "disabled_reason": "why"},
                  {"disabled_reason": "why"}, {"x": 1}, [], {"forced_down": "maybe"}):
        assert zone("PUT", path, wrong).status == 400, wrong
    assert zone("PUT", "/os-services/none", {"status": "enabled"}).status == 404


def test_a_service_is_forgotten_only_when_nothing_needs_it(zone: Api) -> None:
    ids = {host: one["id"] for host, one in services(zone).items()}
    group = zone("POST", "/os-aggregates", {"aggregate": {"name": "agg"}}).body["aggregate"]["id"]
    zone("POST", f"/os-aggregates/{group}/action", {"add_host": {"host": "c1"}})
    up = zone("DELETE", f"/os-services/{ids['compute-1']}")
    assert (up.status, "running" in fault(up)) == (409, True)
    add_server(zone, "s1", "c1")
    used = zone("DELETE", f"/os-services/{ids['compute-2']}")
    assert (used.status, "hosting instances" in fault(used)) == (409, True)
    zone.db.run(lambda conn: conn.execute(sa.update(server).values(deleted=True)))
    assert zone("DELETE", f"/os-services/{ids['compute-2']}").status == 204
    assert set(services(zone)) == {"compute-1"}
    assert zone.get(f"/os-aggregates/{group}")["aggregate"]["hosts"] == []
    assert zone("DELETE", f"/os-services/{ids['compute-2']}").status == 404


# ------------------------------------------------------------------ hypervisors

def hypervisors(api: Api, path: str = "", at: str = "2.90") -> list[Any]:
    return list(api.get(f"/os-hypervisors{path}", at=at)["hypervisors"])


@pytest.mark.parametrize(("at", "kind", "sizes", "cpu"), [
    ("2.1", int, True, ""), ("2.27", int, True, ""), ("2.28", int, True, {}), ("2.53", str, True, {}),
    ("2.87", str, True, {}), ("2.88", str, False, None)])
def test_hypervisors_by_microversion(zone: Api, at: str, kind: type, sizes: bool, cpu: Any) -> None:
    brief = hypervisors(zone, at=at)
    assert [(one["hypervisor_hostname"], one["state"]) for one in brief] == [
        ("a1", "up"), ("b1", "up"), ("c1", "down")]
    assert set(brief[0]) == {"id", "hypervisor_hostname", "state", "status"}
    assert all(isinstance(one["id"], kind) for one in brief)
    full = hypervisors(zone, "/detail", at)
    fields = {
        "id",
        "hypervisor_hostname",
        "state",
        "status",
        "hypervisor_type",
        "hypervisor_version",
        "host_ip",
        "service",
    } | (SIZES | {"cpu_info"} if sizes else {"uptime"})
    assert set(full[0]) == fields
    assert set(full[0]["service"]) == {"id", "host", "disabled_reason"}
    assert full[0]["service"]["id"] == services(zone, at=at)["compute-1"]["id"]
    assert zone.get(f"/os-hypervisors/{full[1]['id']}", at=at)["hypervisor"] == full[1]
    if sizes:
        assert full[0]["cpu_info"] == cpu
        assert full[1]["cpu_info"] == ({"arch": "x86_64"} if cpu == {} else '{"arch":"x86_64"}')
        assert (full[0]["free_ram_mb"], full[0]["free_disk_gb"], full[2]["memory_mb"]) == (768, 90, 0)
    else:
        assert [one["uptime"] for one in full] == [None, "up 1 days, 2:03", None]
    assert zone("GET", "/os-hypervisors", at=at, who="ann").status == 403


def test_paging_of_hypervisors_from_2_33_on(zone: Api) -> None:
    assert len(hypervisors(zone, "?limit=1", "2.32")) == 3
    for at in ("2.33", "2.90"):
        seen, path = [], "/os-hypervisors?limit=2"
        while path:
            page = zone.get(path, at=at)
            seen += [one["hypervisor_hostname"] for one in page["hypervisors"]]
            path = page.get("hypervisors_links", [{"href": ""}])[0]["href"].removeprefix("http://localhost/v2.1")
        assert seen == ["a1", "b1", "c1"]
        assert zone("GET", "/os-hypervisors?marker=none", at=at).status == 400


def test_search_and_servers_by_path_below_2_53_by_query_after(zone: Api) -> None:
    add_server(zone, "s1", "a1")
    add_server(zone, "s2", "a1", deleted=True)
    assert [one["hypervisor_hostname"] for one in hypervisors(zone, "/1/search", "2.1")] == ["a1", "b1", "c1"]
    assert hypervisors(zone, "/a/servers", "2.1")[0]["servers"] == [{"uuid": "s1", "name": "name-s1"}]
    assert "servers" not in hypervisors(zone, "/b/servers", "2.1")[0]
    for path in ("/zz/search", "/zz/servers"):
        assert zone("GET", f"/os-hypervisors{path}", at="2.1").status == 404
        assert zone("GET", f"/os-hypervisors{path}", at="2.53").status == 404
    assert [one["hypervisor_hostname"] for one in
            hypervisors(zone, "?hypervisor_hostname_pattern=b", "2.53")] == ["b1"]
    assert zone("GET", "/os-hypervisors?hypervisor_hostname_pattern=zz").status == 404
    assert zone("GET", "/os-hypervisors?hypervisor_hostname_pattern=b&limit=1").status == 400
    assert zone("GET", "/os-hypervisors?with_servers=maybe").status == 400
    assert zone("GET", "/os-hypervisors?nosuch=1", at="2.53").status == 400
    shown = hypervisors(zone, "/detail?with_servers=true", "2.53")
    assert (shown[0]["servers"], "servers" in shown[1]) == ([{"uuid": "s1", "name": "name-s1"}], False)
    shown = hypervisors(zone, "/detail?with_servers=1", "2.75")
    assert shown[1]["servers"] == []
    assert zone.get(f"/os-hypervisors/{shown[0]['id']}?with_servers=1")["hypervisor"]["servers"]


def test_show_of_a_name_is_a_clean_404(zone: Api) -> None:
    for at in ("2.1", "2.53", "2.90"):
        assert zone("GET", "/os-hypervisors/a1", at=at).status == 404


def test_uptime_and_statistics_end_with_2_88(zone: Api) -> None:
    a1, b1, c1 = (one["id"] for one in hypervisors(zone, at="2.87"))
    told = zone.get(f"/os-hypervisors/{b1}/uptime", at="2.87")["hypervisor"]
    assert (told["uptime"], told["hypervisor_hostname"]) == ("up 1 days, 2:03", "b1")
    assert zone("GET", f"/os-hypervisors/{a1}/uptime", at="2.87").status == 501
    assert zone("GET", f"/os-hypervisors/{c1}/uptime", at="2.87").status == 400
    assert zone("GET", f"/os-hypervisors/{b1}/uptime", at="2.88").status == 404
    total = zone.get("/os-hypervisors/statistics", at="2.87")["hypervisor_statistics"]
    assert set(total) == SIZES | {"count"}
    assert (total["count"], total["vcpus"], total["memory_mb_used"], total["running_vms"]) == (3, 16, 512, 4)
    assert zone("GET", "/os-hypervisors/statistics", at="2.88").status == 404


# ------------------------------------------------------------------ hosts, below 2.43

def test_hosts_are_listed_with_their_zones(zone: Api) -> None:
    def listed(query: str = "") -> list[tuple[str, str, str]]:
        return [(one["host_name"], one["service"], one["zone"])
                for one in zone.get(f"/os-hosts{query}", at="2.1")["hosts"]]
    assert listed() == [("a1", "compute", "nova"), ("b1", "compute", "az2"), ("c1", "compute", "nova")]
    assert listed("?zone=az2") == [("b1", "compute", "az2")]
    zone("PUT", "/os-services/disable", {"host": "compute-2", "binary": "nova-compute"}, at="2.1")
    assert "c1" not in [name for name, _, _ in listed()]
    assert zone("GET", "/os-hosts", at="2.43").status == 404
    assert zone("GET", "/os-hosts", at="2.1", who="ann").status == 403


def test_a_host_shows_what_it_has_and_who_takes_it(zone: Api) -> None:
    add_server(zone, "one", "a1", flavor={"vcpus": 1, "ram": 100, "disk": 3, "ephemeral": 1})
    add_server(zone, "two", "a1", flavor={"vcpus": 2, "ram": 200, "disk": 3}, project_id="p2")
    rows = [one["resource"] for one in zone.get("/os-hosts/a1", at="2.42")["host"]]
    assert {row["host"] for row in rows} == {"a1"}
    assert [(row["project"], row["cpu"], row["memory_mb"], row["disk_gb"]) for row in rows] == [
        ("(total)", 8, 1024, 100), ("(used_now)", 2, 256, 10), ("(used_max)", 3, 300, 7),
        ("p1", 1, 100, 4), ("p2", 2, 200, 3)]
    assert [one["resource"]["cpu"] for one in zone.get("/os-hosts/c1", at="2.1")["host"]] == [0, 0, 0]
    assert fault(zone("GET", "/os-hosts/zz", at="2.1")) == "Compute host zz could not be found."


# ------------------------------------------------------------------ availability zones and aggregates

def test_a_link_that_takes_nothing_is_no_available_zone(sqlite_database: Database) -> None:
    entries = {"w": Entry("west", availability_zones=["az1"])}
    for closed in ("", "cordoned", "draining", "inactive", "silent"):
        west = LinkState("w", "west", closed=closed, entries=entries)
        api = Api(sqlite_database, more={"links": lambda west=west: [west]})
        for path in ("", "/detail"):
            assert api.get(f"/os-availability-zone{path}")["availabilityZoneInfo"] == [
                {"zoneName": name, "zoneState": {"available": not closed}, "hosts": None}
                for name in ("west", "west/az1")]


def test_availability_zones(zone: Api) -> None:
    assert zone.get("/os-availability-zone", who="ann")["availabilityZoneInfo"] == [
        {"zoneName": "az2", "zoneState": {"available": True}, "hosts": None},
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    assert zone("GET", "/os-availability-zone/detail", who="ann").status == 403
    az2, nova = zone.get("/os-availability-zone/detail")["availabilityZoneInfo"]
    assert set(az2["hosts"]) == {"b1"}
    assert nova["hosts"]["a1"]["nova-compute"]["available"] is True
    assert nova["hosts"]["c1"]["nova-compute"]["available"] is False
    zone("PUT", "/os-services/disable", {"host": "compute-1", "binary": "nova-compute"}, at="2.1")
    assert [one["zoneState"]["available"] for one in
            zone.get("/os-availability-zone", who="ann")["availabilityZoneInfo"]] == [False, False]


def make(api: Api, at: str = "2.90", **fields: Any) -> Any:
    return api("POST", "/os-aggregates", {"aggregate": {"name": "agg", **fields}}, at=at)


def test_aggregates_by_microversion(zone: Api) -> None:
    made = make(zone, at="2.40", availability_zone="az9")
    assert made.status == 200
    assert set(made.body["aggregate"]) == {
        "id",
        "name",
        "availability_zone",
        "created_at",
        "updated_at",
        "deleted",
        "deleted_at",
    }
    path = f"/os-aggregates/{made.body['aggregate']['id']}"
    shown = zone.get(path, at="2.41")["aggregate"]
    assert set(shown) - set(zone.get(path, at="2.40")["aggregate"]) == {"uuid"}
    assert (shown["hosts"], shown["metadata"]) == ([], {"availability_zone": "az9"})
    assert zone.get("/os-aggregates", at="2.41")["aggregates"] == [shown]
    assert zone("GET", path, who="ann").status == 403
    assert zone("POST", f"{path}/images", {"cache": []}, at="2.80").status == 404
    assert zone("POST", f"{path}/images", {"cache": []}, at="2.81").status == 501
    for bad, status in (("99", 404), ("x", 400), ("-1", 400), ("99999999999", 400), ("2147483648", 400)):
        assert zone("GET", f"/os-aggregates/{bad}").status == status


def test_hosts_come_and_go_and_set_the_availability_zone(zone: Api) -> None:
    one = make(zone, availability_zone="az9").body["aggregate"]["id"]
    two = make(zone, name="two", availability_zone="az8").body["aggregate"]["id"]
    def act(which: int, body: Any, who: str = "admin") -> Any:
        return zone("POST", f"/os-aggregates/{which}/action", body, who=who)
    assert act(one, {"add_host": {"host": "a1"}}).body["aggregate"]["hosts"] == ["a1"]
    assert act(one, {"add_host": {"host": "a1"}}).status == 409
    assert act(one, {"add_host": {"host": "none"}}).status == 404
    assert act(two, {"add_host": {"host": "a1"}}).status == 409
    assert act(99, {"add_host": {"host": "a1"}}).status == 404
    assert act(one, {"add_host": {"host": "b1"}}, "ann").status == 403
    zones = {one["zoneName"] for one in zone.get("/os-availability-zone")["availabilityZoneInfo"]}
    assert zones == {"az9", "az2", "nova"}
    assert services(zone)["compute-1"]["zone"] == "az2,az9"
    add_server(zone, "s1", "a1")
    assert zone("PUT", f"/os-aggregates/{one}", {"aggregate": {"availability_zone": "az7"}}).status == 409
    assert zone("DELETE", f"/os-aggregates/{one}").status == 400
    assert act(one, {"remove_host": {"host": "a1"}}).body["aggregate"]["hosts"] == []
    assert act(one, {"remove_host": {"host": "a1"}}).status == 404
    assert zone("DELETE", f"/os-aggregates/{one}").status == 200
    assert zone("DELETE", f"/os-aggregates/{one}").status == 404


def test_names_and_metadata(zone: Api) -> None:
    one = make(zone).body["aggregate"]["id"]
    two = make(zone, name="two").body["aggregate"]["id"]
    assert make(zone).status == 409
    path = f"/os-aggregates/{two}"
    assert zone("PUT", path, {"aggregate": {"name": "agg"}}).status == 409
    renamed = zone("PUT", path, {"aggregate": {"name": "new", "availability_zone": "az1"}}).body["aggregate"]
    assert (renamed["name"], renamed["availability_zone"], renamed["metadata"]) == (
        "new", "az1", {"availability_zone": "az1"})
    changed = zone("POST", f"{path}/action", {"set_metadata": {"metadata": {
        "ssd": "true", "availability_zone": "az2"}}}).body["aggregate"]
    assert (changed["availability_zone"], changed["metadata"]) == (
        "az2",
        {"availability_zone": "az2", "ssd": "true"},
    )
    changed = zone("POST", f"{path}/action", {"set_metadata": {"metadata": {
        "ssd": None, "availability_zone": None}}}).body["aggregate"]
    assert (changed["availability_zone"], changed["metadata"]) == (None, {})
    for wrong in ({"aggregate": {}}, {"aggregate": {"name": ""}}, {"aggregate": {"x": 1}}, {}, []):
        assert zone("PUT", f"/os-aggregates/{one}", wrong).status == 400, wrong
    for wrong in ({}, {"x": {}}, {"add_host": {}}, {"set_metadata": {"metadata": {"a": 1}}},
                  {"set_metadata": {"metadata": {"availability_zone": " "}}}, b"x", b"[]"):
        assert zone("POST", f"/os-aggregates/{one}/action", wrong).status == 400, wrong
    for wrong in (
        {"availability_zone": "a:b"},
        {"availability_zone": ""},
        {"name": "x" * 256},
        {"hosts": []},
    ):
        assert make(zone, **{"name": "n", **wrong}).status == 400, wrong
