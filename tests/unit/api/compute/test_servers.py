"""Servers over HTTP: the life of the record, lists, what each microversion takes and shows."""

import base64
import re
from typing import Any

import pytest

from tests.compute_api import Answer, Api, fault
from tests.hosts import report
from tests.server_rows import IMAGE, add_server, server_row, zone_api
from zones.db import leases, links
from zones.db.engine import Database
from zones.protocol import decode_spec

NEW = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE.id}


@pytest.fixture
def zone(sqlite_database: Database) -> Api:
    return zone_api(sqlite_database)


def create(zone: Api, server: dict[str, Any], at: str = "2.1", who: str = "ann", **more: Any) -> Answer:
    networks = {"networks": "auto"} if tuple(map(int, at.split("."))) >= (2, 37) else {}
    return zone("POST", "/servers", {"server": {**NEW, **networks, **server}, **more}, at=at, who=who)


def show(zone: Api, server_id: str, at: str = "2.1", who: str = "ann") -> dict[str, Any]:
    shown: dict[str, Any] = zone.get(f"/servers/{server_id}", at=at, who=who)["server"]
    return shown


def names(zone: Api, query: str = "", at: str = "2.1", who: str = "ann") -> list[str]:
    brief = zone.get(f"/servers?{query}", at=at, who=who)["servers"]
    whole = zone.get(f"/servers/detail?{query}", at=at, who=who)["servers"]
    assert [one["id"] for one in brief] == [one["id"] for one in whole]
    return [one["name"] for one in brief]


# ---------------------------------------------------------------- create

@pytest.mark.parametrize("at", ["2.1", "2.19", "2.32", "2.36", "2.37", "2.42", "2.57", "2.74", "2.90"])
def test_a_create_is_accepted_at_every_microversion(zone: Api, at: str) -> None:
    answer = create(zone, {"metadata": {"a": "b"}, "security_groups": [{"name": "web"}]}, at)
    assert answer.status == 202, answer
    server = answer.body["server"]
    assert set(server) == {"id", "links", "OS-DCF:diskConfig", "adminPass", "security_groups"}
    assert server["security_groups"] == [{"name": "web"}]
    assert answer.headers["Location"].endswith(f"/v2.1/servers/{server['id']}")
    shown = show(zone, server["id"])
    assert (shown["status"], shown["metadata"]) == ("BUILD", {"a": "b"})
    assert shown["security_groups"] == [{"name": "web"}]


def test_an_availability_zone_that_is_surely_nowhere_is_refused(zone: Api) -> None:
    def status(name: str) -> int:
        return create(zone, {"availability_zone": name}).status
    assert status("az9") == 202, "nobody knows yet what there is"
    zone.db.run(leases.register_service, "compute-1", "me", ["a1", "b1"], "nova")
    zone.hosts += [report("a1", availability_zone="az1")]
    assert status("az9") == 202, "b1 was not heard: it may be there"
    zone.hosts += [report("b1", availability_zone="az2")]
    assert fault(create(zone, {"availability_zone": "az9"})) == (
        "The requested availability zone is not available")
    assert [status(name) for name in ("az1", "az2", "nova")] == [202] * 3
    made = zone("POST", "/os-aggregates", {"aggregate": {"name": "a", "availability_zone": "az8"}})
    path = f"/os-aggregates/{made.body['aggregate']['id']}/action"
    assert status("az8") == 400, "no host is in it"
    zone("POST", path, {"add_host": {"host": "a1"}})
    assert status("az8") == 202
    zone.db.run(links.add, {"name": "west", "api_url": "http://x", "state": "cordoned", "created_at": 1.0})
    assert [status(name) for name in ("west", "west/az7", "east/az7")] == [202, 202, 400]
    zone.db.run(leases.register_service, "compute-2", "me", ["c1"], "nova")
    assert status("az9") == 202


def test_everything_that_is_given_reaches_the_spec(zone: Api) -> None:
    data = base64.b64encode(b"#!/bin/sh").decode()
    answer = create(zone, {
        "description": "d", "tags": ["t", "t"], "user_data": data, "config_drive": "true",
        "adminPass": "secret", "hostname": "h1", "accessIPv4": "192.0.2.1", "accessIPv6": "2001:db8::1",
        "availability_zone": "nova", "networks": "none", "block_device_mapping_v2": [{
            "uuid": IMAGE.id, "boot_index": 0, "source_type": "image", "destination_type": "local",
            "delete_on_termination": True}]}, "2.90", **{"OS-SCH-HNT:scheduler_hints": {"zone": "eu"}})
    assert answer.status == 202, answer
    assert answer.body["server"]["adminPass"] == "secret"
    row = server_row(zone.db, answer.body["server"]["id"])
    spec = decode_spec(row["spec"])
    assert (spec.description, spec.tags, spec.user_data, spec.config_drive, spec.hostname) == (
        "d", ["t"], data, True, "h1")
    assert (spec.availability_zone, spec.networks, spec.hints) == ("nova", "none", {"zone": "eu"})
    assert (row["access_ip_v4"], row["access_ip_v6"]) == ("192.0.2.1", "2001:db8::1")


def test_hints_are_taken_under_both_names(zone: Api) -> None:
    for name in ("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"):
        answer = create(zone, {}, "2.1", **{name: {"a": "b"}})
        row = server_row(zone.db, answer.body["server"]["id"])
        assert decode_spec(row["spec"]).hints == {"a": "b"}


def test_several_servers_share_a_reservation(zone: Api) -> None:
    answer = create(zone, {"min_count": "2", "max_count": 3, "return_reservation_id": True})
    assert answer.status == 202
    assert set(answer.body) == {"reservation_id"}
    assert names(zone, f"reservation_id={answer.body['reservation_id']}&sort_key=display_name&sort_dir=asc"
                 ) == ["vm-1", "vm-2", "vm-3"]


@pytest.mark.parametrize(("server", "at", "words"), [
    ({"name": ""}, "2.1", "server.name"),
    ({"name": " a"}, "2.1", "server.name"),
    ({"name": "a\x00"}, "2.1", "server.name"),
    ({"name": 5}, "2.1", "type string"),
    ({"colour": "red"}, "2.1", "'colour'"),
    ({"description": "d"}, "2.18", "'description'"),
    ({"tags": ["a"]}, "2.51", "'tags'"),
    ({"tags": ["a,b"]}, "2.52", "server.tags"),
    ({"tags": [str(number) for number in range(51)]}, "2.52", "50"),
    ({"personality": []}, "2.57", "'personality'"),
    ({"host": "h"}, "2.73", "'host'"),
    ({"hostname": "h"}, "2.89", "'hostname'"),
    ({"hostname": "-h"}, "2.90", "server.hostname"),
    ({"hostname": "h", "max_count": 2}, "2.90", "hostname"),
    ({"networks": "auto"}, "2.36", "server.networks"),
    ({"networks": "all"}, "2.37", "server.networks"),
    ({"networks": [{}]}, "2.37", "uuid or a port"),
    ({"networks": [{"uuid": IMAGE.id, "fixed_ip": "1.2"}]}, "2.37", "fixed_ip"),
    ({"networks": [{"uuid": IMAGE.id, "tag": "t"}]}, "2.41", "server.networks"),
    ({"min_count": 3, "max_count": 2}, "2.1", "min_count"),
    ({"min_count": 0}, "2.1", "min_count"),
    ({"max_count": 10**6}, "2.1", "max_count"),
    ({"metadata": {"k": 1}}, "2.1", "server.metadata.k"),
    ({"metadata": {"k": "x" * 256}}, "2.1", "255"),
    ({"metadata": {"k" * 256: "x"}}, "2.1", "server.metadata"),
    ({"accessIPv4": "2001:db8::1"}, "2.1", "accessIPv4"),
    ({"accessIPv6": "1.2.3"}, "2.1", "accessIPv6"),
    ({"user_data": "\u00e4"}, "2.1", "user_data"),
    ({"user_data": "x" * 65536}, "2.1", "65535"),
    ({"imageRef": ""}, "2.1", "imageRef"),
    ({"block_device_mapping": [{"volume_id": IMAGE.id}]}, "2.1", "no volumes"),
    ({"block_device_mapping_v2": [{"uuid": IMAGE.id, "boot_index": 0, "source_type": "volume",
                                   "destination_type": "volume"}]}, "2.1", "no volumes"),
    ({"block_device_mapping_v2": [{"source_type": "blank", "destination_type": "local"}]}, "2.1",
     "no volumes"),
    ({"trusted_image_certificates": ["a"]}, "2.63", "certificate"),
    ({"config_drive": "perhaps"}, "2.1", "config_drive"),
    ({"OS-DCF:diskConfig": "FULL"}, "2.1", "diskConfig"),
    ({"flavorRef": "nosuch"}, "2.1", "nosuch"),
    ({"personality": [{"path": "/a", "contents": "\u00e4"}]}, "2.1", "base64"),
])
def test_what_is_wrong_is_named(zone: Api, server: dict[str, Any], at: str, words: str) -> None:
    answer = create(zone, server, at)
    assert (answer.status, words in fault(answer)) == (400, True), answer
    assert names(zone) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"server": []}', b'{"server": {}}',
                                  b'{"server": {"name": "a", "flavorRef": "1"}, "x": 1}'])
def test_a_body_that_is_none(zone: Api, body: bytes) -> None:
    assert zone("POST", "/servers", body, at="2.1", who="ann").status == 400


def test_a_host_by_name_is_for_administrators(zone: Api) -> None:
    for server in ({"availability_zone": "nova:host-1"}, {"host": "host-1"},
                   {"hypervisor_hostname": "host-1"}, {"availability_zone": "nova::host-1"}):
        assert create(zone, server, "2.74").status == 403
        answer = create(zone, server, "2.74", who="admin")
        row = server_row(zone.db, answer.body["server"]["id"])
        assert decode_spec(row["spec"]).force_host == "host-1"


# ---------------------------------------------------------------- show

SINCE = {
    "locked": "2.9", "description": "2.19", "tags": "2.26", "trusted_image_certificates": "2.63",
    "server_groups": "2.71", "locked_reason": "2.73", "OS-EXT-SRV-ATTR:hostname": "2.90"}
ALWAYS = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created",
    "updated", "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress",
    "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state", "os-extended-volumes:volumes_attached", "security_groups"}


def test_a_user_sees_each_field_from_its_microversion_on(zone: Api) -> None:
    server_id = add_server(zone.db)
    for minor in range(1, 91):
        shown = show(zone, server_id, f"2.{minor}")
        wanted = ALWAYS | {name for name, at in SINCE.items() if int(at.split(".")[1]) <= minor}
        assert set(shown) == wanted, minor
        (listed,) = zone.get("/servers/detail", at=f"2.{minor}", who="ann")["servers"]
        assert set(listed) == wanted - {"server_groups"}, minor
        shown.pop("server_groups", None)
        assert listed == shown, minor


def test_an_administrator_sees_where_it_runs(zone: Api) -> None:
    server_id = add_server(zone.db)
    more = set(show(zone, server_id, "2.2", "admin")) - ALWAYS
    assert more == {f"OS-EXT-SRV-ATTR:{name}" for name in ("host", "hypervisor_hostname", "instance_name")}
    shown = show(zone, server_id, "2.16", "admin")
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["host_status"]) == ("host-1", "UP")
    assert shown["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/vda"
    other = add_server(zone.db, host="silent")
    assert show(zone, other, "2.16", "admin")["host_status"] == "UNKNOWN"


def test_the_forms_of_the_values(zone: Api) -> None:
    server_id = add_server(zone.db, config_drive=True, progress=40)
    shown = show(zone, server_id)
    assert shown["created"] == "2001-09-09T01:46:40Z"
    assert shown["OS-SRV-USG:launched_at"] == "2001-09-09T01:46:42.500000"
    assert shown["OS-SRV-USG:terminated_at"] is None
    assert (shown["config_drive"], shown["progress"], shown["status"]) == ("True", 40, "ACTIVE")
    assert re.fullmatch("[0-9a-f]{56}", shown["hostId"])
    assert shown["flavor"]["id"] == "1"
    assert shown["flavor"]["links"][0]["rel"] == "bookmark"
    assert shown["image"]["id"] == IMAGE.id
    assert shown["links"][0]["href"] == f"http://localhost/v2.1/servers/{server_id}"
    assert show(zone, server_id, "2.47")["flavor"] == {
        "original_name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0,
        "extra_specs": {"a": "b"}}


def test_an_error_has_its_fault_and_no_progress(zone: Api) -> None:
    server_id = add_server(zone.db, vm_state="error", image_id=None, host=None, fault={
        "code": 500, "message": "No valid zone or host", "created": 1e9, "details": "d"})
    shown = show(zone, server_id)
    assert shown["fault"] == {"code": 500, "message": "No valid zone or host",
                              "created": "2001-09-09T01:46:40Z"}
    assert ("progress" in shown, shown["image"], shown["hostId"]) == (False, "", "")
    assert show(zone, server_id, who="admin")["fault"]["details"] == "d"


def test_the_project_in_the_path(zone: Api) -> None:
    server_id = add_server(zone.db)
    shown = zone.get(f"/p1/servers/{server_id}", who="ann")["server"]
    assert shown["links"][0]["href"] == f"http://localhost/v2.1/p1/servers/{server_id}"
    assert shown["links"][1]["href"] == f"http://localhost/p1/servers/{server_id}"
    assert zone("GET", f"/p2/servers/{server_id}", who="ann").status == 400


def test_another_projects_server_is_not_there(zone: Api) -> None:
    server_id = add_server(zone.db)
    for path in (server_id, "vm", "x" * 300, server_id.replace("-", ""), f"{{{server_id}}}"):
        answer = zone("GET", f"/servers/{path}", who="bob")
        assert answer.status == 404
        assert "itemNotFound" in answer.body
    assert show(zone, server_id, who="admin")["id"] == server_id


# ---------------------------------------------------------------- lists

@pytest.fixture
def three(zone: Api) -> Api:
    add_server(zone.db, name="vm-a", created_at=1.0, tags=["red"], flavor_id="1")
    add_server(zone.db, name="vm-b", created_at=2.0, vm_state="stopped", updated_at=5e8)
    add_server(zone.db, name="vm-c", created_at=3.0, locked=True, host="host-2", key_name="k")
    add_server(zone.db, name="other", project_id="p2")
    add_server(zone.db, name="gone", deleted=True, vm_state="deleted", created_at=4.0, terminated_at=5.0)
    return zone


@pytest.mark.parametrize(("query", "at", "found"), [
    ("", "2.1", "vm-c vm-b vm-a"),
    ("name=vm-[ab]", "2.1", "vm-b vm-a"),
    ("status=ACTIVE", "2.1", "vm-c vm-a"),
    ("status=active&status=SHUTOFF", "2.1", "vm-c vm-b vm-a"),
    ("status=NONSENSE", "2.37", ""),
    ("flavor=2", "2.1", ""),
    ("ip=10.0.0", "2.1", "vm-c vm-b vm-a"),
    ("ip=192", "2.1", ""),
    ("tags=red", "2.26", "vm-a"),
    ("tags=red", "2.25", "vm-c vm-b vm-a"),
    ("not-tags-any=red,blue", "2.26", "vm-c vm-b"),
    ("locked=true", "2.73", "vm-c"),
    ("locked=true", "2.72", "vm-c vm-b vm-a"),
    ("key_name=k", "2.83", "vm-c"),
    ("key_name=k", "2.82", "vm-c vm-b vm-a"),
    ("host=host-2", "2.1", "vm-c vm-b vm-a"),
    ("deleted=True", "2.1", "vm-c vm-b vm-a"),
    ("nonsense=1", "2.74", "vm-c vm-b vm-a"),
    ("changes-since=2001-01-01T00:00:00Z", "2.1", "gone vm-c vm-a"),
    ("changes-since=2001-01-01T00:00:00%2B01:00", "2.1", "gone vm-c vm-a"),
    ("changes-before=2001-01-01T00:00:00Z", "2.66", "vm-b"),
    ("sort_key=display_name&sort_dir=asc", "2.1", "vm-a vm-b vm-c"),
    ("sort_key=vm_state&sort_key=display_name&sort_dir=desc&sort_dir=asc", "2.1", "vm-b vm-a vm-c"),
    ("sort_key=locked&sort_dir=desc", "2.73", "vm-c vm-b vm-a"),
    ("limit=1", "2.1", "vm-c"),
])
def test_what_a_user_finds(three: Api, query: str, at: str, found: str) -> None:
    assert names(three, query, at) == found.split()


@pytest.mark.parametrize(("query", "found"), [
    ("", ""),
    ("all_tenants=1&deleted=False", "other vm-c vm-b vm-a"),
    ("all_tenants", "other vm-c vm-b vm-a"),
    ("tenant_id=p2", "other"),
    ("project_id=p1&host=host-2", "vm-c"),
    ("all_tenants=1&deleted=true", "gone"),
    ("all_tenants=1&status=deleted", "gone"),
    ("all_tenants=1&vm_state=stopped", "vm-b"),
    ("all_tenants=0&tenant_id=p2", ""),
    ("all_tenants=1&node=host-2", "vm-c"),
    ("all_tenants=1&created_at=1970-01-01T00:00:02", "vm-b"),
    ("all_tenants=1&power_state=1&name=vm-a", "vm-a"),
    ("all_tenants=1&soft_deleted=true", ""),
    ("all_tenants=1&kernel_id=x", ""),
])
def test_what_an_administrator_finds(three: Api, query: str, found: str) -> None:
    assert names(three, query, "2.90", "admin") == found.split()


@pytest.mark.parametrize(("query", "at", "status", "words"), [
    ("nonsense=1", "2.75", 400, "nonsense"),
    ("tags=a&nonsense=1", "2.90", 400, "nonsense"),
    ("status=NONSENSE", "2.38", 400, "status"),
    ("status=deleted", "2.1", 403, "administrators"),
    ("all_tenants=1", "2.1", 403, "get_all_tenants"),
    ("all_tenants=perhaps", "2.1", 400, "all_tenants"),
    ("limit=-1", "2.1", 400, "limit"),
    ("limit=x", "2.1", 400, "limit"),
    ("marker=nosuch", "2.1", 400, "marker [nosuch] not found"),
    ("sort_key=colour", "2.1", 400, "colour"),
    ("sort_key=vcpus", "2.75", 400, "vcpus"),
    ("sort_key=host", "2.1", 403, "administrators"),
    ("sort_key=uuid&sort_dir=up", "2.1", 400, "up"),
    ("name=(", "2.1", 400, "regular expression"),
    ("ip=(", "2.1", 400, "regular expression"),
    ("changes-since=yesterday", "2.1", 400, "changes-since"),
    ("changes-since=2020-01-01T00:00:00&changes-before=2019-01-01T00:00:00", "2.66", 400, "changes-since"),
    ("locked=perhaps", "2.73", 400, "locked"),
    ("power_state=99999999999", "2.83", 400, "power_state"),
    ("name=a%00", "2.1", 400, "NUL"),
])
def test_what_a_list_refuses(three: Api, query: str, at: str, status: int, words: str) -> None:
    for path in ("/servers", "/servers/detail"):
        answer = three("GET", f"{path}?{query}", at=at, who="ann")
        assert (answer.status, words in fault(answer)) == (status, True), answer


def test_an_administrator_must_not_filter_by_joined_tables(three: Api) -> None:
    for name in ("metadata", "services", "_x"):
        assert three("GET", f"/servers?{name}=1", at="2.1").status == 400


def test_next_links_lead_to_the_end(three: Api) -> None:
    for path in ("/servers", "/servers/detail"):
        found: list[str] = []
        query = "?limit=2&sort_key=display_name&sort_dir=asc"
        while query:
            body = three.get(f"{path}{query}", who="ann")
            found += [one["name"] for one in body["servers"]]
            links = body.get("servers_links", [])
            assert [link["rel"] for link in links] == ["next"][:len(links)]
            assert all(link["href"].startswith(f"http://localhost/v2.1{path}?") for link in links)
            query = f"?{links[0]['href'].partition('?')[2]}" if links else ""
        assert found == ["vm-a", "vm-b", "vm-c"]


# ---------------------------------------------------------------- change

def test_an_update_makes_a_version(zone: Api) -> None:
    server_id = add_server(zone.db)
    body = {"server": {"name": "new", "accessIPv4": "192.0.2.1", "accessIPv6": ""}}
    answer = zone("PUT", f"/servers/{server_id}", body, at="2.1", who="ann")
    assert answer.status == 200
    assert (answer.body["server"]["name"], answer.body["server"]["accessIPv4"]) == ("new", "192.0.2.1")
    assert "OS-EXT-STS:vm_state" not in answer.body["server"]
    row = server_row(zone.db, server_id)
    assert (row["version"], row["feed_seq"]) == (2, None)
    assert row["updated_at"] > 1e9
    zone("PUT", f"/servers/{server_id}", body, at="2.1", who="ann")
    assert server_row(zone.db, server_id)["version"] == 2, "what is set already is no change"


def test_an_update_at_later_microversions(zone: Api) -> None:
    server_id = add_server(zone.db, description="old")
    path, clear = f"/servers/{server_id}", {"server": {"description": None, "hostname": "h"}}
    assert zone("PUT", path, clear, at="2.89", who="ann").status == 400
    shown = zone("PUT", path, clear, at="2.90", who="ann").body["server"]
    assert (shown["description"], shown["OS-EXT-SRV-ATTR:hostname"]) == (None, "h")
    assert shown["OS-EXT-STS:vm_state"] == "active"
    assert zone("PUT", path, {"server": {"name": "a"}}, who="bob").status == 404


def test_delete(zone: Api) -> None:
    answer = create(zone, {})
    path = f"/servers/{answer.body['server']['id']}"
    assert zone("DELETE", path, who="bob").status == 404
    assert zone("DELETE", path, who="ann").status == 204
    assert zone("GET", path, who="ann").status == 404
    assert zone("DELETE", "/servers/some-name", who="ann").status == 404


# ---------------------------------------------------------------- versions

def test_version_documents_and_headers(zone: Api) -> None:
    answer = zone("GET", "", who="nobody")
    assert answer.body["version"]["version"] == "2.90"
    assert zone("GET", "/p1", who="nobody").body["version"]["id"] == "v2.1"
    answer = zone("GET", "/servers", at="2.53", who="ann")
    assert answer.headers["OpenStack-API-Version"] == "compute 2.53"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.53"
    assert "OpenStack-API-Version" in answer.headers["Vary"]
    ids = {value for name, value in answer.headers.items() if name.lower().endswith("-request-id")}
    assert len(ids) == 1
    assert zone("GET", "/servers", at="latest", who="ann").headers["X-OpenStack-Nova-API-Version"] == "2.90"
    assert zone("GET", "/servers", at="2.91", who="ann").status == 406
    assert zone("GET", "/servers", at="3.0", who="ann").status == 406
    assert zone("GET", "/servers", at="two", who="ann").status == 400
