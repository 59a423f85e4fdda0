"""Rows of the embedded image service, on each database."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from zones.db.engine import Database
from zones.db.image import ImageQuery, ImageRows, prune
from zones.image.embedded import new_row


@pytest.fixture
def rows(database: Database) -> ImageRows:
    return ImageRows(database)


Add = Callable[..., str]


@pytest.fixture
def add(rows: ImageRows) -> Add:
    """`add(name, owner, **columns)` → id; each is a second younger than the one before."""
    made: list[str] = []

    def one(name: str | None, owner: str = "p", **columns: Any) -> str:
        made.append(str(uuid.uuid4()))
        assert rows.add(new_row(made[-1], owner, float(len(made)), {"name": name, **columns}))
        return made[-1]
    return one


def _names(rows: ImageRows, query: ImageQuery) -> set[str | None]:
    return {row["name"] for row in rows.find(query)}


ANYBODY = ImageQuery(project=None, limit=100)


def test_who_sees_what(rows: ImageRows, add: Add) -> None:
    for visibility in ("public", "private", "shared", "community"):
        add(f"{visibility}-p", "p", visibility=visibility)
        image_id = add(f"{visibility}-q", "q", visibility=visibility)
        if visibility == "shared":
            rows.add_member({"image_id": image_id, "member": "p", "status": "pending",
                             "created_at": 1.0, "updated_at": 1.0})
    mine = ImageQuery(project="p", limit=100)
    own = {"public-p", "private-p", "shared-p", "community-p"}
    assert _names(rows, mine) == {*own, "public-q"}
    assert _names(rows, replace(mine, member_status="pending")) == {*own, "public-q", "shared-q"}
    assert _names(rows, replace(mine, member_status="all", visibility="shared")) == {
        "shared-p", "shared-q"}
    assert _names(rows, replace(mine, visibility="private")) == {"private-p"}
    assert _names(rows, replace(mine, visibility="community")) == {"community-p", "community-q"}
    assert _names(rows, replace(mine, visibility="all")) == {*own, "public-q", "community-q"}
    assert _names(rows, replace(ANYBODY, visibility="all")) == {
        f"{visibility}-{owner}" for visibility in ("public", "private", "shared", "community")
        for owner in "pq"}


def test_a_share_ends_with_its_member_row(rows: ImageRows, add: Add) -> None:
    image_id = add("x", "q")
    row = {"image_id": image_id, "member": "p", "status": "pending", "created_at": 1.0, "updated_at": 1.0}
    assert rows.add_member(row)
    assert not rows.add_member(row)
    assert rows.change_member(image_id, "p", "accepted", 2.0)
    assert _names(rows, ImageQuery(project="p")) == {"x"}
    assert rows.remove_member(image_id, "p")
    assert not rows.change_member(image_id, "p", "accepted", 2.0)
    assert _names(rows, ImageQuery(project="p")) == set()


@pytest.mark.parametrize("keys", [["name"], ["size"], ["min_disk", "name"], []])
@pytest.mark.parametrize("up", [True, False])
def test_pages_hold_every_image_once(rows: ImageRows, add: Add, keys: list[str], up: bool) -> None:
    for number in range(13):
        add(None if number % 5 == 0 else f"n{number % 3}", min_disk=number % 2,
            size=None if number % 4 == 0 else number % 3)
    query = ImageQuery(project="p", limit=4, sort=[(key, up) for key in keys])
    whole = [row["id"] for row in rows.find(replace(query, limit=100))]
    paged: list[str] = []
    page = rows.find(query)
    while page:
        paged += [row["id"] for row in page]
        page = rows.find(replace(query, marker=page[-1]))
    assert paged == whole
    assert len(set(whole)) == 13


@pytest.mark.parametrize(("properties", "found"), [
    ({"os": "debian"}, {"a", "b"}),
    ({"os": "debian", "arch": "x86"}, {"a"}),
    ({"os": "Debian"}, set()),
    ({"os": "deb"}, set()),
    ({"s": "debian"}, set()),
    ({"arch": 'x","os":"debian'}, set()),
    ({"odd": '"quoted" \\ é'}, {"c"}),
])
def test_properties_match_whole_and_exactly(rows: ImageRows, add: Add, properties: dict[str, str],
                                            found: set[str]) -> None:
    add("a", properties={"os": "debian", "arch": "x86"})
    add("b", properties={"arch": "arm", "os": "debian"})
    add("c", properties={"odd": '"quoted" \\ é', "text": '{"os":"debian"}'})
    assert _names(rows, ImageQuery(project="p", properties=properties)) == found


def test_tags_match_whole(rows: ImageRows, add: Add) -> None:
    add("a", tags=["one", "two"])
    add("b", tags=["two", 'x","one'])
    assert _names(rows, ImageQuery(project="p", tags=["two"])) == {"a", "b"}
    assert _names(rows, ImageQuery(project="p", tags=["two", "one"])) == {"a"}
    assert _names(rows, ImageQuery(project="p", tags=["on"])) == set()


def test_filters(rows: ImageRows, add: Add) -> None:
    ids = [add("a", size=1), add("b", size=2), add("c", size=3)]
    assert _names(rows, ImageQuery(project="p", equal={"id": [ids[0], ids[2], "x"]})) == {"a", "c"}
    assert _names(rows, ImageQuery(project="p", within=[("size", "gte", 2)])) == {"b", "c"}
    assert _names(rows, ImageQuery(project="p", within=[("created_at", "lt", 2.0)])) == {"a"}
    assert _names(rows, ImageQuery(project="p", equal={"id": []})) == set()


def test_a_deleted_image_is_gone_and_its_id_stays_taken(rows: ImageRows, add: Add) -> None:
    image_id = add("a")
    assert rows.change(image_id, {"status": "deleted", "updated_at": 5.0}, ("queued",))
    assert not rows.change(image_id, {"name": "b"}, ("queued",))
    assert rows.get(image_id) is None
    assert rows.find(ANYBODY) == []
    assert not rows.add(new_row(image_id, "p", 1.0, {}))
    assert rows._db.run(prune, 5.0) == 0
    assert rows._db.run(prune, 6.0) == 1


def test_what_a_neighbour_has_still_to_delete_is_not_forgotten(rows: ImageRows, add: Add) -> None:
    image_id = add("a", zone_uuid="east", status="deleted", updated_at=5.0)
    assert rows._db.run(prune, 6.0) == 0
    rows.forget(image_id)
    assert rows._db.run(prune, 6.0) == 1


def test_every_change_is_a_new_version_without_a_number_in_the_feed(rows: ImageRows, add: Add) -> None:
    image_id = add("a")
    assert rows.change(image_id, {"status": "saving"}, ("queued",))
    assert rows.saving() == [image_id]
    row = rows.get(image_id)
    assert row is not None
    assert (row["version"], row["feed_seq"]) == (2, None)
