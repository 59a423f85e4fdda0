"""Actions of a peer: what they name comes by value, is checked, and nothing is looked up for it."""

import uuid
from typing import Any

import msgspec
import pytest

from tests.compute_api import Answer
from tests.far_zone import Near, near_zone
from tests.server_rows import add_server, server_row
from zones.db import work
from zones.db.engine import Database
from zones.protocol import FlavorValue, ImageValue, KeyValue, decode_spec
from zones.protocol.neighbours import Values

FLAVOR = FlavorValue("theirs", "their.large", 2, 1024, 4)
IMAGE = ImageValue(str(uuid.uuid4()), "theirs", "abc", 5)
HERE = str(uuid.uuid4())
KEY = KeyValue("k", "ssh-rsa AAAA")


@pytest.fixture
def near(sqlite_database: Database) -> Near:
    return near_zone(sqlite_database)


def server(near: Near, **values: Any) -> str:
    return add_server(near.api.db, peer_id="peer-1", owner_peer="peer-1", project_id="f1", quota_cores=1,
                      quota_ram=512, **values)


def act(near: Near, server_id: str, body: dict[str, Any], values: Values | None, who: str = "peer") -> Answer:
    named = {} if values is None else {"zones:values": msgspec.to_builtins(values)}
    return near.api("POST", f"/servers/{server_id}/action", {**body, **named}, who=who)


def args(near: Near, server_id: str) -> dict[str, Any]:
    (item,) = near.api.db.run(work.of_server, server_id)
    found: dict[str, Any] = item["args"]["args"]
    return found


def test_resize(near: Near) -> None:
    server_id = server(near)
    assert act(near, server_id, {"resize": {"flavorRef": "2"}}, Values(flavor=FLAVOR)).status == 202
    assert msgspec.convert(args(near, server_id)["flavor"], FlavorValue) == FLAVOR


def test_rebuild_by_content(near: Near) -> None:
    server_id = server(near)
    body = {"rebuild": {"imageRef": IMAGE.id, "key_name": "k"}}
    answer = act(near, server_id, body, Values(image=IMAGE, key=KEY))
    assert (answer.status, answer.headers["X-Zone-Error"]) == (409, "image_wanted")
    near.ends.matching[("abc", 5)] = HERE
    assert act(near, server_id, body, Values(image=IMAGE, key=KEY)).status == 202
    found, row = args(near, server_id), server_row(near.api.db, server_id)
    assert (found["image"]["id"], found["image"]["local_id"]) == (IMAGE.id, HERE)
    assert found["key"]["public_key"] == KEY.public_key and row["image_id"] == IMAGE.id
    assert decode_spec(row["spec"]).key == KEY


def test_rescue_by_content(near: Near) -> None:
    server_id = server(near)
    near.ends.matching[("abc", 5)] = IMAGE.id
    assert act(near, server_id, {"rescue": {"rescue_image_ref": IMAGE.id}}, Values(image=IMAGE)).status == 200
    assert args(near, server_id)["image"] == msgspec.to_builtins(IMAGE)
    assert act(near, server(near), {"rescue": {}}, None).status == 200


@pytest.mark.parametrize("body", [{"createImage": {"name": "i"}}, {"shelve": None}])
def test_an_image_has_the_id_that_the_peer_gave(near: Near, body: dict[str, Any]) -> None:
    image_id, server_id = str(uuid.uuid4()), server(near)
    assert act(near, server_id, body, Values(image_id=image_id)).status == 202
    assert near.ends.reserved == {image_id: None} and args(near, server_id)["image_id"] == image_id


@pytest.mark.parametrize("body", [
    {"resize": {"flavorRef": "2"}}, {"rebuild": {"imageRef": IMAGE.id}},
    {"rescue": {"rescue_image_ref": IMAGE.id}}])
def test_nothing_is_looked_up_for_a_peer(near: Near, body: dict[str, Any]) -> None:
    for values in (None, Values()):
        answer = act(near, server(near), body, values)
        assert (answer.status, answer.headers["X-Zone-Error"]) == (400, "bad_values")


@pytest.mark.parametrize("values", [
    None, [], "x", {"flavor": {}}, {"flavor": {"id": "a", "name": "a", "vcpus": 2**40, "ram": 1, "disk": 1}},
    {"flavor": {"id": "a", "name": "a", "vcpus": 0, "ram": 1, "disk": 1}},
    {"flavor": {"id": "a", "name": "", "vcpus": 1, "ram": 1, "disk": 1}},
    {"flavor": {"id": "a", "name": "a", "vcpus": 1, "ram": 1, "disk": -1}},
    {"image": {"id": "../x"}}, {"image": {"id": HERE, "size": -1}}, {"image": {"id": HERE, "min_ram": 2**31}},
    {"key": {"name": "", "public_key": "x"}}, {"key": {"name": "k", "public_key": "x" * 20000}},
    {"image_id": "x"}, {"image_id": HERE.upper()}])
def test_nonsense_is_refused_in_words(near: Near, values: Any) -> None:
    answer = near.api("POST", f"/servers/{server(near)}/action",
                      {"resize": {"flavorRef": "2"}, "zones:values": values}, who="peer")
    assert (answer.status, answer.headers["X-Zone-Error"]) == (400, "bad_values")


def test_values_are_for_peers(near: Near) -> None:
    server_id = add_server(near.api.db)
    answer = act(near, server_id, {"resize": {"flavorRef": "2"}}, Values(flavor=FLAVOR), who="ann")
    assert (answer.status, near.api.db.run(work.of_server, server_id)) == (400, [])


def test_an_image_that_was_refused_is_not_left_behind(near: Near) -> None:
    answer = act(near, server(near, task_state="pausing"), {"createImage": {"name": "i"}},
                 Values(image_id=str(uuid.uuid4())))
    assert (answer.status, near.ends.reserved) == (409, {})
