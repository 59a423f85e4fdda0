"""What hangs on a server: metadata, tags, history, addresses, diagnostics."""

from typing import Any

import pytest

from tests.compute_api import Api, fault
from tests.server_rows import FarEnds, add_action, add_server, server_row, zone_api
from zones.db.engine import Database


@pytest.fixture
def ends() -> FarEnds:
    return FarEnds()


@pytest.fixture
def zone(sqlite_database: Database, ends: FarEnds) -> Api:
    return zone_api(sqlite_database, ends)


def test_metadata(zone: Api) -> None:
    path = f"/servers/{add_server(zone.db, metadata={'a': '1'})}/metadata"
    assert zone.get(path, who="ann") == {"metadata": {"a": "1"}}
    assert zone("POST", path, {"metadata": {"b": "2"}}, who="ann").body == {"metadata": {"a": "1", "b": "2"}}
    assert zone("PUT", path, {"metadata": {"c": "3"}}, who="ann").body == {"metadata": {"c": "3"}}
    assert zone("PUT", f"{path}/d", {"meta": {"d": "4"}}, who="ann").body == {"meta": {"d": "4"}}
    assert zone.get(f"{path}/d", who="ann") == {"meta": {"d": "4"}}
    assert zone("PUT", f"{path}/d", {"meta": {"e": "4"}}, who="ann").status == 400
    assert zone("PUT", f"{path}/d", {"meta": {}}, who="ann").status == 400
    assert zone("PUT", f"{path}/d", {"meta": {"d": "4", "e": "5"}}, who="ann").status == 400
    assert zone("POST", path, {"metadata": {"k" * 256: "1"}}, who="ann").status == 400
    assert zone("DELETE", f"{path}/d", who="ann").status == 204
    assert zone("DELETE", f"{path}/d", who="ann").status == 404
    assert zone("GET", f"{path}/d", who="ann").status == 404
    assert zone("GET", path, who="bob").status == 404
    many = {str(number): "x" for number in range(129)}
    assert zone("PUT", path, {"metadata": many}, who="ann").status == 403


def test_each_change_is_a_version_that_the_feed_has_not_numbered(zone: Api) -> None:
    server_id = add_server(zone.db)
    zone("PUT", f"/servers/{server_id}/metadata", {"metadata": {"a": "1"}}, who="ann")
    zone("PUT", f"/servers/{server_id}/metadata", {"metadata": {"a": "1"}}, who="ann")
    zone("PUT", f"/servers/{server_id}/tags/t", who="ann")
    row = server_row(zone.db, server_id)
    assert (row["version"], row["feed_seq"]) == (3, None)


def test_tags(zone: Api) -> None:
    path = f"/servers/{add_server(zone.db, tags=['a'])}/tags"
    assert zone.get(path, who="ann") == {"tags": ["a"]}
    assert zone("GET", path, at="2.25", who="ann").status == 404
    answer = zone("PUT", f"{path}/b", who="ann")
    assert (answer.status, answer.headers["Location"][-7:]) == (201, "/tags/b")
    assert zone("PUT", f"{path}/b", who="ann").status == 204
    assert zone("GET", f"{path}/b", who="ann").status == 204
    assert zone("GET", f"{path}/z", who="ann").status == 404
    assert zone("PUT", f"{path}/a%2Cb", who="ann").status == 400
    assert zone("PUT", f"{path}/{'x' * 61}", who="ann").status == 400
    assert zone("PUT", path, {"tags": ["x", "y", "x"]}, who="ann").body == {"tags": ["x", "y"]}
    assert zone("PUT", path, {"tags": [str(number) for number in range(51)]}, who="ann").status == 400
    assert zone("PUT", path, {"tags": [str(number) for number in range(50)]}, who="ann").status == 200
    assert zone("PUT", f"{path}/more", who="ann").status == 400
    assert zone("DELETE", f"{path}/7", who="ann").status == 204
    assert zone("DELETE", f"{path}/7", who="ann").status == 404
    assert zone("DELETE", path, who="ann").status == 204
    assert zone.get(path, who="ann") == {"tags": []}


# ---------------------------------------------------------------- history

BASE = {"action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"}


@pytest.mark.parametrize(("at", "who", "more", "event"), [
    ("2.50", "ann", set(), None),
    ("2.50", "admin", set(), {"traceback"}),
    ("2.51", "ann", set(), set()),
    ("2.58", "ann", {"updated_at"}, set()),
    ("2.62", "ann", {"updated_at"}, {"hostId"}),
    ("2.62", "admin", {"updated_at"}, {"hostId", "host", "traceback"}),
    ("2.84", "ann", {"updated_at"}, {"hostId"}),
    ("2.84", "admin", {"updated_at"}, {"hostId", "host", "traceback", "details"}),
])
def test_an_action_by_microversion(zone: Api, at: str, who: str, more: set[str],
                                   event: set[str] | None) -> None:
    server_id = add_server(zone.db)
    add_action(zone.db, server_id, request_id="req-1", result="Error", message="no room")
    path = f"/servers/{server_id}/os-instance-actions"
    (brief,) = zone.get(path, at=at, who=who)["instanceActions"]
    assert set(brief) == BASE | more
    shown: dict[str, Any] = zone.get(f"{path}/req-1", at=at, who=who)["instanceAction"]
    assert set(shown) == BASE | more | (set() if event is None else {"events"})
    if event is not None:
        (one,) = shown["events"]
        assert set(one) == {"event", "start_time", "finish_time", "result"} | event
        assert (one["event"], one["result"], one["start_time"]) == (
            "compute_create", "Error", "2001-09-09T01:46:40.000000")
    assert zone("GET", f"{path}/req-2", at=at, who=who).status == 404


def test_pages_and_times_of_actions(zone: Api) -> None:
    server_id = add_server(zone.db)
    for number in range(5):
        add_action(zone.db, server_id, request_id=f"req-{number}", updated_at=1e9 + number)
    path = f"/servers/{server_id}/os-instance-actions"

    def found(query: str, at: str = "2.66") -> list[str]:
        body = zone.get(f"{path}?{query}", at=at, who="ann")
        return [one["request_id"][-1] for one in body["instanceActions"]]
    assert found("") == ["4", "3", "2", "1", "0"]
    assert found("limit=2") == ["4", "3"]
    assert found("limit=2&marker=req-3") == ["2", "1"]
    assert found("limit=2", "2.57") == ["4", "3", "2", "1", "0"]
    assert found("changes-since=2001-09-09T01:46:43Z") == ["4", "3"]
    assert found("changes-before=2001-09-09T01:46:41Z") == ["1", "0"]
    body = zone.get(f"{path}?limit=2", at="2.58", who="ann")
    assert "marker=req-3" in body["links"][0]["href"]
    for query in ("marker=req-9", "limit=x", "changes-since=x", "colour=red",
                  "changes-since=2002-01-01T00:00:00&changes-before=2001-01-01T00:00:00"):
        assert zone("GET", f"{path}?{query}", at="2.66", who="ann").status == 400


def test_the_history_of_a_deleted_server(zone: Api) -> None:
    server_id = add_server(zone.db, deleted=True)
    add_action(zone.db, server_id)
    path = f"/servers/{server_id}/os-instance-actions"
    assert zone("GET", path, at="2.20", who="ann").status == 404
    assert len(zone.get(path, at="2.21", who="ann")["instanceActions"]) == 1


# ---------------------------------------------------------------- attachments, diagnostics

def test_addresses_and_interfaces(zone: Api) -> None:
    path = f"/servers/{add_server(zone.db)}"
    entry = {"addr": "10.0.0.9", "version": 4}
    assert zone.get(f"{path}/ips", who="ann") == {"addresses": {"private": [entry]}}
    assert zone.get(f"{path}/ips/private", who="ann") == {"private": [entry]}
    assert zone("GET", f"{path}/ips/public", who="ann").status == 404
    (one,) = zone.get(f"{path}/os-interface", at="2.69", who="ann")["interfaceAttachments"]
    assert one["mac_addr"] == "fa:16:3e:00:00:09"
    assert one["fixed_ips"][0]["ip_address"] == "10.0.0.9"
    shown = zone.get(f"{path}/os-interface/{one['port_id']}", at="2.70", who="ann")["interfaceAttachment"]
    assert shown == {**one, "tag": None}
    assert zone("GET", f"{path}/os-interface/nosuch", who="ann").status == 404
    assert zone("POST", f"{path}/os-interface", {"interfaceAttachment": {}}, who="ann").status == 501


def test_groups_volumes_password(zone: Api) -> None:
    path = f"/servers/{add_server(zone.db, security_groups=('default', 'web'))}"
    groups = zone.get(f"{path}/os-security-groups", at="2.1", who="ann")["security_groups"]
    assert [group["name"] for group in groups] == ["default", "web"]
    (known,) = zone.get("/os-security-groups", at="2.1", who="ann")["security_groups"]
    assert groups[0] == known
    assert zone.get(f"{path}/os-volume_attachments", who="ann") == {"volumeAttachments": []}
    assert zone("POST", f"{path}/os-volume_attachments", {}, who="ann").status == 501
    assert zone("GET", f"{path}/os-volume_attachments/x", who="ann").status == 404
    assert zone.get(f"{path}/os-server-password", who="ann") == {"password": ""}
    assert zone("DELETE", f"{path}/os-server-password", who="ann").status == 204
    assert "consoles" in fault(zone("POST", f"{path}/remote-consoles", {}, who="ann"))
    assert zone.get(f"{path}/migrations") == {"migrations": []}


def test_diagnostics(zone: Api, ends: FarEnds) -> None:
    ends.answers["diagnostics"] = {
        "state": "running", "driver": "simulated", "uptime": 5, "num_cpus": 1,
        "cpu_details": [{"id": 0, "time": 17}], "memory_details": {"maximum": 512, "used": 128},
        "disk_details": [{"read_bytes": 1}], "nic_details": [{"mac_address": "m", "rx_octets": 3}],
        "secret": "x"}
    path = f"/servers/{add_server(zone.db)}/diagnostics"
    shown = zone.get(path, at="2.48")
    assert (shown["state"], shown["hypervisor"], shown["memory_details"]) == (
        "running", None, {"maximum": 512, "used": 128})
    assert shown["cpu_details"] == [{"id": 0, "time": 17, "utilisation": None}]
    assert "secret" not in shown
    old = zone.get(path, at="2.47")
    assert (old["cpu0_time"], old["memory"], old["vda_read"], old["vnet0_rx"]) == (17, 512 * 1024, 1, 3)
    assert zone("GET", path, who="ann").status == 403
