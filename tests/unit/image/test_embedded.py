"""Images of this zone, as boots, snapshots and restarts meet them."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zones.db.engine import Database, here
from zones.db.image import ImageQuery, ImageRows
from zones.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from zones.image.embedded import EmbeddedImages, bootstrap, demo_content, is_uuid, new_row
from zones.image.files import Files
from zones.protocol import Caller, ImageValue

IMAGE = "11111111-1111-1111-1111-111111111111"
ANN = Caller(user_id="ann", project_id="p", roles=frozenset({"member"}))
BOB = Caller(user_id="bob", project_id="q", roles=frozenset({"member"}))
ROBOT = Caller(user_id="robot", project_id="s", roles=frozenset({"service"}))


@pytest.fixture
def rows(sqlite_template: Path, tmp_path: Path) -> Iterator[ImageRows]:
    """On a database that several threads may use."""
    shutil.copy(sqlite_template, tmp_path / "zone.sqlite")
    database = Database(f"sqlite:///{tmp_path / 'zone.sqlite'}", lane=here)
    yield ImageRows(database)
    database.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "images", here, max_size=10**6, keep_free=0)


@pytest.fixture
def images(rows: ImageRows, files: Files) -> EmbeddedImages:
    return EmbeddedImages(rows, files, clock=lambda: 5.0)


def _row(rows: ImageRows) -> dict[str, Any]:
    row = rows.get(IMAGE)
    assert row is not None
    return row


def test_a_snapshot_from_reserve_to_boot(images: EmbeddedImages) -> None:
    base = ImageValue(id="x", min_disk=3, min_ram=64, properties={"os": "debian"})
    for _ in range(2):
        images.reserve(ANN, IMAGE, "snap", {"k": "v"}, base)
    with pytest.raises(Conflict):
        images.value(ANN, IMAGE)
    value = images.upload(IMAGE, iter([b"some ", b"bytes"]))
    assert value == images.upload(IMAGE, iter([b"other"])) == images.value(ANN, IMAGE)
    assert value == ImageValue(
        id=IMAGE, name="snap", os_hash_value=hashlib.sha512(b"some bytes").hexdigest(), size=10,
        min_disk=3, min_ram=64, properties={"os": "debian", "k": "v"})
    for stranger in (BOB, Caller(user_id="x", project_id="")):
        with pytest.raises(NotFound):
            images.value(stranger, IMAGE)
    assert images.value(ROBOT, IMAGE) == value


def test_discard_is_quiet_and_final(images: EmbeddedImages, files: Files) -> None:
    images.discard(IMAGE)
    images.reserve(ANN, IMAGE, "snap", {}, None)
    images.upload(IMAGE, iter([b"x"]))
    for _ in range(2):
        images.discard(IMAGE)
    assert files.ids() == []
    images.reserve(ANN, IMAGE, "snap", {}, None)
    with pytest.raises(NotFound):
        images.upload(IMAGE, iter([b"x"]))


@pytest.mark.parametrize("other", [
    {"caller": Caller("zoe", "p9")}, {"caller": Caller("ann", "p", peer="peer-1")}, {"zone_uuid": "east"}])
def test_an_image_is_never_reserved_over_another(images: EmbeddedImages, other: dict[str, Any]) -> None:
    whose = {"caller": ANN, "image_id": IMAGE, "name": "snap", "properties": {}, "base": None}
    images.reserve(**whose)
    images.reserve(**whose)
    with pytest.raises(Conflict):
        images.reserve(**{**whose, **other})
    images.upload(IMAGE, iter([b"x"]))
    with pytest.raises(Conflict):
        images.reserve(**whose)


@pytest.mark.parametrize("image_id", [
    "demo", "", IMAGE.replace("1", "A"), "x" * 300, "{" + IMAGE + "}"])
def test_what_is_no_id_is_not_looked_up(images: EmbeddedImages, image_id: str) -> None:
    assert not is_uuid(image_id)
    with pytest.raises(NotFound):
        images.value(ANN, image_id)


def test_an_upload_that_breaks_off_leaves_it_queued(
        images: EmbeddedImages, rows: ImageRows, files: Files) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        assert _row(rows)["status"] == "saving"
        raise Invalid("the upload ended early")
    images.reserve(ANN, IMAGE, "x", {}, None)
    with pytest.raises(Invalid):
        images.fill(_row(rows), broken())
    assert _row(rows)["status"] == "queued"
    assert files.ids() == []
    assert images.upload(IMAGE, iter([b"whole"])).size == 5


def test_two_uploads_at_once_and_one_wins(images: EmbeddedImages, rows: ImageRows) -> None:
    started, go = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        started.set()
        yield b"slow"
        assert go.wait(10)
    images.reserve(ANN, IMAGE, "x", {}, None)
    thread = threading.Thread(target=images.upload, args=(IMAGE, slow()))
    thread.start()
    assert started.wait(10)
    with pytest.raises(Conflict):
        images.fill(_row(rows), iter([b"other"]))
    assert images.recover() == 0
    go.set()
    thread.join(10)
    assert b"".join(images.content(_row(rows)) or ()) == b"slow"


def test_deleted_while_it_is_uploaded(images: EmbeddedImages, rows: ImageRows, files: Files) -> None:
    def deleting() -> Iterator[bytes]:
        yield b"x"
        images.delete(_row(rows))
    images.reserve(ANN, IMAGE, "x", {}, None)
    with pytest.raises(NotFound):
        images.fill(_row(rows), deleting())
    assert files.ids() == []


class _LosesTheAnswer(ImageRows):
    """A database that commits the last step, and goes away before it says so."""

    def change(self, image_id: str, values: dict[str, Any], was: tuple[str, ...]) -> bool:
        done = super().change(image_id, values, was)
        if values.get("status") == "active":
            raise Unavailable("the database does not answer")
        return done


def test_an_answer_that_is_lost_costs_no_content(sqlite_database: Database, files: Files) -> None:
    rows = _LosesTheAnswer(sqlite_database)
    images = EmbeddedImages(rows, files)
    images.reserve(ANN, IMAGE, "x", {}, None)
    with pytest.raises(Unavailable):
        images.upload(IMAGE, iter([b"bytes"]))
    assert _row(rows)["status"] == "active"
    assert b"".join(images.content(_row(rows)) or ()) == b"bytes"


@pytest.mark.parametrize("left", ["part", "file", "both", "nothing"])
def test_after_a_crash_an_upload_can_begin_again(
        images: EmbeddedImages, rows: ImageRows, files: Files, tmp_path: Path, left: str) -> None:
    images.reserve(ANN, IMAGE, "x", {}, None)
    rows.change(IMAGE, {"status": "saving"}, ("queued",))
    folder = tmp_path / "images"
    if left in ("part", "both"):
        (folder / f"{IMAGE}.part").write_bytes(b"half")
    if left in ("file", "both"):
        (folder / IMAGE).write_bytes(b"whole, but not told")
    assert images.recover() == 1
    assert images.recover() == 0
    assert files.ids() == []
    assert _row(rows)["status"] == "queued"
    assert images.upload(IMAGE, iter([b"again"])).size == 5


def test_recovery_keeps_what_is_whole_and_drops_what_belongs_to_none(
        images: EmbeddedImages, files: Files, tmp_path: Path) -> None:
    images.reserve(ANN, IMAGE, "x", {}, None)
    images.upload(IMAGE, iter([b"x"]))
    (tmp_path / "images" / "22222222-2222-2222-2222-222222222222").write_bytes(b"orphan")
    assert images.recover() == 1
    assert files.ids() == [IMAGE]


def test_protected_and_deactivated(images: EmbeddedImages, rows: ImageRows) -> None:
    images.create(new_row(IMAGE, "p", 1.0, {"protected": True}))
    with pytest.raises(Forbidden):
        images.delete(_row(rows))
    with pytest.raises(Conflict):
        images.create(new_row(IMAGE, "p", 1.0, {}))
    images.upload(IMAGE, iter([b"x"]))
    rows.change(IMAGE, {"status": "deactivated"}, ("active",))
    with pytest.raises(Forbidden):
        images.content(_row(rows))
    with pytest.raises(Conflict):
        images.value(ANN, IMAGE)


def test_the_demo_image_comes_once_and_is_the_same_everywhere(
        images: EmbeddedImages, rows: ImageRows) -> None:
    project = "0123456789abcdef0123456789abcdef"
    assert bootstrap(images, project)
    assert not bootstrap(images, project)
    value = images.value(BOB, rows.find(ImageQuery(project="q"))[0]["id"])
    assert value.name == "demo"
    assert value.os_hash_value == hashlib.sha512(demo_content()).hexdigest()
    images.discard(value.id)
    assert not bootstrap(images, project)

