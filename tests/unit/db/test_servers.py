"""Listing servers: scope, filters, order, pages; on SQLite and on PostgreSQL."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server_rows import NET, add_server
from zones.db import regexp, servers
from zones.db.engine import Database
from zones.db.servers import Scope, ServerQuery
from zones.errors import Invalid

OURS = Scope("", "p1")


def listed(db: Database, scope: Scope = OURS, **query: Any) -> list[str]:
    """The names that a query finds, in its order."""
    found = db.run(servers.names, scope, ServerQuery(**query))
    whole = db.run(servers.page, scope, ServerQuery(**query))
    assert [row.id for row in whole] == [server_id for server_id, _ in found]
    return [name for _, name in found]


@pytest.fixture
def many(database: Database) -> Database:
    def put(number: int, **values: Any) -> None:
        add_server(database, name=f"vm-{number}", created_at=1000.0 + number, updated_at=2000.0 + number,
                   **values)
    put(0, tags=["red", 'a"b'], metadata={"k": "v"})
    put(1, tags=["red", "blue"], vm_state="stopped", host="host-2")
    put(2, vm_state="active", task_state="rebooting",
        addresses={"private": [{**NET[0], "addr": "10.0.0.91"}]})
    put(3, vm_state="error", locked=True, description="x", addresses={})
    put(4, deleted=True, vm_state="deleted", terminated_at=1.0)
    put(5, hidden=True)
    put(6, project_id="p2")
    put(7, owner_peer="peer-1", peer_id="peer-1")
    return database


def test_a_scope_sees_its_own_and_never_hidden_ones(many: Database) -> None:
    assert listed(many) == ["vm-3", "vm-2", "vm-1", "vm-0"]
    assert listed(many, Scope("", "p2")) == ["vm-6"]
    assert listed(many, Scope("peer-1", "p1")) == ["vm-7"]
    assert listed(many, Scope("", None)) == ["vm-6", "vm-3", "vm-2", "vm-1", "vm-0"]
    assert listed(many, Scope(None, None)) == ["vm-7", "vm-6", "vm-3", "vm-2", "vm-1", "vm-0"]
    assert listed(many, Scope("peer-1", "p1", "peer-1")) == ["vm-7"]
    assert listed(many, Scope("peer-1", "p1", "peer-2")) == listed(many, Scope(None, None, "peer-2")) == []


@pytest.mark.parametrize(("query", "numbers"), [
    ({"matching": {"name": "^vm-[01]$"}}, [1, 0]),
    ({"matching": {"name": "m-2"}}, [2]),
    ({"matching": {"name": "^m-2"}}, []),
    ({"matching": {"name": "^vm-"}}, [3, 2, 1, 0]),
    ({"matching": {"name": "^vm-2$"}}, [2]),
    ({"matching": {"name": "^m-2$"}}, []),
    ({"matching": {"name": "m-2$"}}, [2]),
    ({"matching": {"name": "VM"}}, []),
    ({"matching": {"description": "x"}}, [3]),
    ({"addresses": [r"^10\.0\.0\.9$"]}, [1, 0]),
    ({"addresses": [r"10\.0\.0\.9"]}, [2, 1, 0]),
    ({"addresses": ["10.0", "1$"]}, [2]),
    ({"equal": {"host": ["host-2"]}}, [1]),
    ({"equal": {"vm_state": ["stopped", "error"]}}, [3, 1]),
    ({"equal": {"locked": [True]}}, [3]),
    ({"tags": ["red"]}, [1, 0]),
    ({"tags": ["red", "blue"]}, [1]),
    ({"tags_any": ['a"b', "blue"]}, [1, 0]),
    ({"tags": ["b"]}, []),
    ({"not_tags": ["red", "blue"]}, [3, 2, 0]),
    ({"not_tags_any": ["red", "blue"]}, [3, 2]),
    ({"statuses": [("active", None)]}, [0]),
    ({"statuses": [("active", "rebooting"), ("stopped", None)]}, [2, 1]),
    ({"statuses": []}, []),
    ({"deleted": True}, [4]),
    ({"deleted": None}, [4, 3, 2, 1, 0]),
    ({"changed_since": 2002.0, "deleted": None}, [4, 3, 2]),
    ({"changed_since": 2001.0, "changed_before": 2002.0}, [2, 1]),
    ({"between": {"created_at": (1001.0, 1002.0)}}, [1]),
    ({"sort": [("description", True), ("name", False), ("id", False)]}, [3, 0, 1, 2]),
    ({"limit": 0}, []),
])
def test_filters(many: Database, query: dict[str, Any], numbers: list[int]) -> None:
    assert listed(many, **query) == [f"vm-{number}" for number in numbers]


def test_pages_of_any_order_join_to_the_whole(many: Database) -> None:
    sorts = ([("created_at", True), ("id", True)], [("vm_state", False), ("created_at", True), ("id", True)],
             [("task_state", True), ("id", True)], [("launched_at", False), ("locked", True), ("id", False)])
    for sort in sorts:
        whole = many.run(servers.names, OURS, ServerQuery(sort=sort))
        joined: list[tuple[str, str]] = []
        while page := many.run(servers.names, OURS, ServerQuery(
                sort=sort, limit=2, marker=joined[-1][0] if joined else None)):
            joined += page
        assert joined == whole


def test_an_unknown_marker_is_refused(many: Database) -> None:
    other = many.run(servers.names, Scope("", "p2"), ServerQuery())[0][0]
    for marker in ("nothing", other):
        with pytest.raises(Invalid, match="not found"):
            many.run(servers.page, OURS, ServerQuery(marker=marker))


def test_one_server_is_found_within_the_scope_only(database: Database) -> None:
    mine = add_server(database, security_groups=("web", "db"), tags=["t"], metadata={"k": "v"})
    gone = add_server(database, deleted=True)
    hidden = add_server(database, hidden=True)
    row = database.run(servers.get, OURS, mine)
    assert row is not None
    assert (row.metadata, row.tags, row.locked, row.launched_at) == ('{"k":"v"}', '["t"]', False, 1e9 + 2.5)
    assert row.security_groups is not None
    assert row.security_groups.replace(" ", "") == '["web","db"]'
    assert database.run(servers.get, Scope("", "p2"), mine) is None
    assert database.run(servers.get, Scope("peer-1", None), mine) is None
    assert database.run(servers.get, OURS, gone) is None
    assert database.run(servers.get, OURS, gone, deleted=True) is not None
    assert database.run(servers.get, OURS, hidden, deleted=True) is None


@pytest.mark.parametrize("pattern", ["(", "a{2000}{2000}", r"(a)\1", "(?=a)", "a" * 256, "a\x00"])
def test_what_is_no_expression_is_refused(database: Database, pattern: str) -> None:
    for query in (ServerQuery(matching={"name": pattern}), ServerQuery(addresses=[pattern])):
        with pytest.raises(Invalid):
            database.run(servers.page, OURS, query)


def test_no_expression_takes_long(sqlite_database: Database) -> None:
    add_server(sqlite_database, name="a" * 255)
    began = time.monotonic()
    for pattern in ("^(a+)+$x", "^(a|a)*b", "(.*)(.*)(.*)(.*)(.*)(.*)x", "(a*)*b"):
        assert listed(sqlite_database, matching={"name": pattern}) == []
    assert time.monotonic() - began < 1


@given(st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_text_is_an_expression_or_invalid(text: str) -> None:
    try:
        regexp.check(text)
    except Invalid:
        return
    regexp.matches(text, "some name")
