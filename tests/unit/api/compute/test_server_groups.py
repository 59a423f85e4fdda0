"""Server groups by microversion, their members and quota."""

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute_api import CALLERS, Api, fault
from zones.config import Quota
from zones.db import incoming, quotas, server_groups
from zones.db.tables import server
from zones.errors import Invalid, OverQuota

OLD = {"name": "g", "policies": ["affinity"]}
NEW = {"name": "g", "policy": "anti-affinity"}


def make(api: Api, body: dict[str, Any], at: str = "2.90", who: str = "ann") -> Any:
    return api("POST", "/os-server-groups", {"server_group": body}, at=at, who=who)


def add_server(api: Api, server_id: str, group: str, **more: Any) -> None:
    api.db.run(lambda conn: conn.execute(sa.insert(server), {
        "id": server_id, "project_id": "p1", "user_id": "ann", "name": server_id, "group_id": group,
        "vm_state": "active", "created_at": 1.0, **more}))


@pytest.mark.parametrize(("at", "body", "fields"), [
    ("2.1", OLD, {"id", "name", "policies", "members", "metadata"}),
    ("2.13", OLD, {"id", "name", "policies", "members", "metadata", "project_id", "user_id"}),
    ("2.64", NEW, {"id", "name", "policy", "rules", "members", "project_id", "user_id"})])
def test_fields_by_microversion(api: Api, at: str, body: dict[str, Any], fields: set[str]) -> None:
    answer = make(api, body, at)
    assert answer.status == 200
    made = answer.body["server_group"]
    assert set(made) == fields
    assert api.get(f"/os-server-groups/{made['id']}", at=at, who="ann") == {"server_group": made}
    assert api.get("/os-server-groups", at=at, who="ann") == {"server_groups": [made]}
    assert api("GET", f"/os-server-groups/{made['id']}", who="bob").status == 404
    assert api("DELETE", f"/os-server-groups/{made['id']}", who="bob").status == 404
    assert api("DELETE", f"/os-server-groups/{made['id']}", who="ann").status == 204
    assert api("DELETE", f"/os-server-groups/{made['id']}", who="ann").status == 404


@pytest.mark.parametrize(("at", "body", "status"), [
    ("2.14", {"name": "g", "policies": ["soft-affinity"]}, 400),
    ("2.15", {"name": "g", "policies": ["soft-affinity"]}, 200),
    ("2.63", {"name": "g", "policies": ["affinity", "anti-affinity"]}, 400),
    ("2.63", {"name": "g", "policies": []}, 400), ("2.63", NEW, 400), ("2.64", OLD, 400),
    ("2.64", {**NEW, "policy": "nosuch"}, 400), ("2.64", {**NEW, "rules": {"max_server_per_host": 3}}, 200),
    ("2.64", {**NEW, "rules": {"max_server_per_host": "3"}}, 200),
    ("2.64", {**NEW, "rules": {"max_server_per_host": 0}}, 400), ("2.64", {**NEW, "rules": {"x": 1}}, 400),
    ("2.64", {"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 3}}, 400),
    ("2.64", {"policy": "affinity"}, 400), ("2.64", {**NEW, "name": ""}, 400),
    ("2.64", {**NEW, "name": "x" * 256}, 400), ("2.64", {**NEW, "metadata": {}}, 400)])
def test_bodies(api: Api, at: str, body: dict[str, Any], status: int) -> None:
    assert make(api, body, at).status == status


def test_members_are_the_living_servers(api: Api) -> None:
    group = make(api, NEW).body["server_group"]["id"]
    add_server(api, "s1", group, host="h1")
    add_server(api, "s2", group)
    add_server(api, "s3", group, deleted=True, host="h9")
    add_server(api, "s4", group, hidden=True)
    assert api.get(f"/os-server-groups/{group}", who="ann")["server_group"]["members"] == ["s1", "s2"]
    value = api.db.run(server_groups.value, CALLERS["ann"], group)
    assert (value.policy, value.members) == ("anti-affinity", ["h1"])
    with pytest.raises(Invalid):
        api.db.run(server_groups.value, CALLERS["bob"], group)
    limits = Quota(server_group_members=3)
    api.db.run(server_groups.check_room, CALLERS["ann"], group, 1, limits)
    with pytest.raises(OverQuota):
        api.db.run(server_groups.check_room, CALLERS["ann"], group, 2, limits)


def test_pages_projects_and_quota(api: Api) -> None:
    few = Api(api.db, Quota(server_groups=3))
    made = [make(few, {**NEW, "name": name}) for name in "abcd"]
    assert [answer.status for answer in made] == [200, 200, 200, 403]
    assert fault(made[3]) == "Quota exceeded, too many server groups."
    def names(path: str, who: str = "ann") -> list[str]:
        return [group["name"] for group in few.get(path, who=who)["server_groups"]]
    assert names("/os-server-groups") == ["a", "b", "c"]
    assert names("/os-server-groups?limit=1&offset=1") == ["b"]
    assert names("/os-server-groups?all_projects=True", "bob") == []
    assert names("/os-server-groups", "admin") == []
    assert names("/os-server-groups?all_projects=True", "admin") == ["a", "b", "c"]
    assert few("GET", "/os-server-groups?offset=-1").status == 400


def test_what_keeps_a_peers_servers_together_is_nobodys_group(api: Api) -> None:
    """A peer with `identity=shared` boots into the projects of the zone's own users."""
    api.db.run(incoming.keep_group, {
        "id": "theirs", "project_id": "p1", "name": "of a neighbour's user", "policy": "affinity",
        "rules": {}, "anchor": None, "created_at": 1.0})
    mine = make(api, NEW).body["server_group"]["id"]
    for who, query in (("ann", ""), ("admin", "?all_projects=1")):
        assert [one["id"] for one in api.get(f"/os-server-groups{query}", who=who)["server_groups"]] == [mine]
        assert api("GET", "/os-server-groups/theirs", who=who).status == 404
        assert api("DELETE", "/os-server-groups/theirs", who=who).status == 404
    with pytest.raises(Invalid):
        api.db.run(server_groups.value, CALLERS["ann"], "theirs")
    assert api.db.run(quotas.count_groups, "p1") == 1
