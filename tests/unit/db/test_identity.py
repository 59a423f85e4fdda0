"""Rows of the embedded identity, on each database."""

import uuid
from typing import Any

import pytest

from zones.db.engine import Database
from zones.db.identity import IdentityStore
from zones.errors import Conflict, NotFound


def _user(name: str) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "name": name, "password_hash": None, "enabled": True,
            "default_project_id": None, "email": None, "description": None, "tokens_from": 0,
            "created_at": 1.0}


def _project(name: str) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "name": name, "description": "", "enabled": True, "created_at": 1.0}


def _credential(user: str, name: str) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "user_id": user, "project_id": "p", "name": name,
            "secret_hash": "h", "roles": ["r"], "unrestricted": False, "description": None,
            "expires_at": None, "created_at": 1.0}


@pytest.fixture
def store(database: Database) -> IdentityStore:
    return IdentityStore(database)


def test_a_name_is_taken_once_and_the_same_row_may_come_again(store: IdentityStore) -> None:
    ann = _user("ann")
    assert store.add("user", ann) == ann
    assert store.add("user", ann) == ann
    with pytest.raises(Conflict):
        store.add("user", _user("ann"))
    assert store.rows("user", {"name": "ann"}) == [ann]


def test_a_rename_meets_the_same_rule(store: IdentityStore) -> None:
    one, two = store.add("project", _project("one")), store.add("project", _project("two"))
    with pytest.raises(Conflict):
        store.change("project", two["id"], {"name": "one"})
    assert store.change("project", one["id"], {"name": "one", "enabled": False})["enabled"] is False
    with pytest.raises(NotFound):
        store.change("project", "nobody", {"enabled": True})


def test_rows_are_found_by_every_column_and_sorted_by_name(store: IdentityStore) -> None:
    for name in ("b", "c", "a"):
        store.add("project", {**_project(name), "enabled": name != "c"})
    assert [row["name"] for row in store.rows("project", {"enabled": True})] == ["a", "b"]
    assert store.rows("project", {"name": "c", "enabled": True}) == []


def test_what_hangs_on_a_row_goes_with_it(store: IdentityStore) -> None:
    ann, project = store.add("user", _user("ann")), store.add("project", _project("p"))
    role = store.add("role", {"id": "r", "name": "member"})
    for _ in range(2):
        store.grant(ann["id"], project["id"], role["id"])
    store.add("app_credential", _credential(ann["id"], "robot"))
    assert [(row["user_name"], row["project_name"], row["role_name"])
            for row in store.assignments({"user_id": ann["id"]})] == [("ann", "p", "member")]
    store.remove("user", ann["id"])
    assert store.assignments({}) == []
    assert store.rows("app_credential", {}) == []
    with pytest.raises(NotFound):
        store.remove("user", ann["id"])


def test_a_role_is_withdrawn_once(store: IdentityStore) -> None:
    ann, project = store.add("user", _user("ann")), store.add("project", _project("p"))
    store.add("role", {"id": "r", "name": "member"})
    store.grant(ann["id"], project["id"], "r")
    store.withdraw(ann["id"], project["id"], "r")
    with pytest.raises(NotFound):
        store.withdraw(ann["id"], project["id"], "r")


def test_a_credential_name_is_the_users_own(store: IdentityStore) -> None:
    ann, bob = store.add("user", _user("ann")), store.add("user", _user("bob"))
    store.add("app_credential", _credential(ann["id"], "robot"))
    store.add("app_credential", _credential(bob["id"], "robot"))
    with pytest.raises(Conflict):
        store.add("app_credential", _credential(ann["id"], "robot"))


def test_each_expulsion_is_later_than_the_one_before(store: IdentityStore) -> None:
    ann, bob = store.add("user", _user("ann")), store.add("user", _user("bob"))
    seen = []
    for _ in range(3):
        store.expel([ann["id"]])
        seen.append(store.revocations(0.0)[1][ann["id"]])
    assert seen == sorted(set(seen))
    assert bob["id"] not in store.revocations(0.0)[1]
    assert store.revocations(float(seen[-1]))[1] == {}


def test_revocations_live_until_their_tokens_do_not(store: IdentityStore) -> None:
    store.revoke("gone", 1.0)
    store.revoke("here", 4e9)
    store.revoke("here", 4e9)
    assert store.revocations(0.0)[0] == {"here"}
    assert store.prune() == 1
    assert store.revocations(0.0)[0] == {"here"}
