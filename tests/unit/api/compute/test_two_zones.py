"""Two zones in one process: what a user asks of the upper one happens in the lower, and is shown above."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import sqlalchemy as sa

from tests.compute_api import Api
from tests.far_zone import FarZone, Near, Response, near_zone
from tests.server_rows import IMAGE, FarEnds, add_server, server_row, zone_api
from zones.db import tables
from zones.db.engine import Database
from zones.errors import Unavailable
from zones.protocol import ImageValue
from zones.protocol.neighbours import Origin, ServerDoc

CONTENT = ("0" * 128, 5)


@dataclass
class Below(FarZone):
    """A neighbour that is a zone: what it is asked, its Compute API is asked by a peer."""

    api: Api | None = None
    ends: FarEnds = field(default_factory=FarEnds)
    lost: int = 0
    """How many answers get lost; the forwarder repeats those, as the real one does."""

    def forward(self, method: str, path: str, *, origin: Origin, microversion: str,
                body: bytes | None = None, operation: str | None = None) -> Response:
        super().forward(method, path, origin=origin, microversion=microversion, body=body,
                        operation=operation)
        assert self.api is not None
        while True:
            answer = self.api(method, path, body, at=microversion, who="peer",
                              headers={"X-Zone-Operation": operation} if operation else {})
            if not self.lost:
                break
            self.lost -= 1
        text = b"" if answer.body is None else orjson.dumps(answer.body)
        if answer.status == 503:
            raise Unavailable("down", code=answer.headers["X-Zone-Error"])
        return Response(answer.status, text, answer.headers)

    def document(self, server_id: str) -> ServerDoc | None:
        assert self.api is not None
        found = self.api.get(f"/os-zones/changes/{server_id}", who="peer")
        return msgspec.convert(found["server"], ServerDoc)

    def push(self, zone_uuid: str, image: ImageValue, project_id: str) -> None:
        super().push(zone_uuid, image, project_id)
        self.ends.matching[CONTENT] = str(uuid.uuid4())


@dataclass
class Two:
    """A server `id` that the lower zone runs for the upper one, which has it for ann."""

    near: Near
    below: Below
    id: str

    def act(self, body: Any, status: int = 202, **more: Any) -> Any:
        answer = self.near.api("POST", f"/servers/{self.id}/action", body, **{"who": "ann", **more})
        assert answer.status == status, answer
        return answer.body

    def row(self) -> dict[str, Any]:
        """As the upper zone knows it."""
        return server_row(self.near.api.db, self.id)

    def truth(self) -> dict[str, Any]:
        """As it is."""
        assert self.below.api is not None
        return server_row(self.below.api.db, self.id)


@pytest.fixture
def two(sqlite_database: Database, sqlite_template: Path, tmp_path: Path) -> Iterator[Two]:
    shutil.copy(sqlite_template, tmp_path / "below.sqlite")
    db = Database(f"sqlite:///{tmp_path / 'below.sqlite'}")
    db.run(lambda conn: conn.execute(sa.insert(tables.zone), [
        {"uuid": str(uuid.uuid4()), "name": "east", "epoch": "e", "created_at": 1.0}]))
    below = Below()
    below.api = zone_api(db, below.ends)
    near = near_zone(sqlite_database, below)
    server_id = near.server()
    add_server(db, id=server_id, peer_id="peer-1", owner_peer="peer-1", project_id="f1", version=20,
               origin_attempt=server_row(near.api.db, server_id)["attempt_id"], quota_cores=1, quota_ram=512)
    yield Two(near, below, server_id)
    db.close()


SAME = ("name", "description", "metadata", "tags", "task_state", "vm_state", "locked", "locked_reason",
        "key_name", "flavor", "image_id")


@pytest.mark.parametrize(("method", "path", "body"), [
    ("PUT", "", {"server": {"name": "new", "description": "d"}}),
    ("PUT", "/metadata", {"metadata": {"a b": "ü"}}), ("POST", "/metadata", {"metadata": {"b": ""}}),
    ("PUT", "/metadata/a:b", {"meta": {"a:b": "1"}}),
    ("PUT", "/tags", {"tags": ["x", "y?z", "ü"]}), ("PUT", "/tags/a%3Fb%23c%25", None),
    ("DELETE", "/tags", None),
    *(("POST", "/action", body) for body in (
        {"pause": None}, {"suspend": None}, {"os-stop": None}, {"reboot": {"type": "HARD"}},
        {"lock": {"locked_reason": "r"}}, {"resize": {"flavorRef": "2"}}, {"shelve": None},
        {"createImage": {"name": "i", "metadata": {"a": "b"}}}, {"changePassword": {"adminPass": "p"}},
        {"rescue": {"adminPass": "p"}}))])
def test_what_is_asked_above_is_done_below_and_shown_above(
        two: Two, method: str, path: str, body: Any) -> None:
    before = two.truth()
    two.below.lost = 2
    answer = two.near.api(method, f"/servers/{two.id}{path}", body, who="ann")
    assert answer.status < 300, answer
    truth, row = two.truth(), two.row()
    assert truth["version"] == before["version"] + (path not in ("/tags",) or method != "DELETE")
    assert {name: row[name] for name in SAME} == {name: truth[name] for name in SAME}
    assert row["project_id"] == "p1" and row["host"] is None
    below = two.below.api
    assert below is not None
    there, here = (api.get(f"/servers/{two.id}", who=who)["server"] for api, who in (
        (below, "peer"), (two.near.api, "ann")))
    for name in ("status", "name", "metadata", "tags", "locked", "flavor", "OS-EXT-STS:task_state"):
        assert here[name] == there[name]


def test_a_refusal_comes_up_word_by_word(two: Two) -> None:
    two.act({"pause": None})
    answer = two.near.api("POST", f"/servers/{two.id}/action", {"pause": None}, who="ann")
    assert (answer.status, answer.headers["X-Zone-Error"]) == (409, "bad_task_state")
    assert "pausing" in answer.body["conflictingRequest"]["message"]


def test_the_lock_is_below(two: Two) -> None:
    two.act({"lock": None})
    two.act({"pause": None}, status=409)
    two.act({"unlock": None})
    two.act({"pause": None})


def test_an_image_has_one_id(two: Two) -> None:
    image_id = two.act({"createImage": {"name": "i"}})["image_id"]
    assert list(two.below.ends.reserved) == list(two.near.ends.reserved) == [image_id]
    two.act({"createImage": {"name": "i"}}, status=409)
    assert list(two.below.ends.reserved) == list(two.near.ends.reserved) == [image_id]


def test_a_rebuild_brings_what_is_missing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    image = msgspec.structs.replace(IMAGE, os_hash_value=CONTENT[0], size=CONTENT[1])
    monkeypatch.setattr(two.near.ends, "value", lambda caller, image_id: image)
    shown = two.act({"rebuild": {"imageRef": IMAGE.id, "adminPass": "secret", "name": "again"}})["server"]
    assert (shown["adminPass"], shown["name"], shown["image"]["id"]) == ("secret", "again", IMAGE.id)
    assert shown["tenant_id"] == "p1" and len(two.below.pushed) == 1
    assert two.truth()["task_state"] == two.row()["task_state"] == "rebuilding"


def test_an_action_is_told_by_the_id_that_the_user_knows(two: Two) -> None:
    two.act({"pause": None})
    (action,) = two.near.api.get(f"/servers/{two.id}/os-instance-actions", who="ann")["instanceActions"]
    assert (action["action"], action["project_id"]) == ("pause", "p1")
    one = two.near.api.get(f"/servers/{two.id}/os-instance-actions/{action['request_id']}", who="ann")
    assert one["instanceAction"]["action"] == "pause"
