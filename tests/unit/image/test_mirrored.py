"""Images that are in a neighbour: known here as it says, deleted there when they are deleted here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from zones.db.engine import Database, here
from zones.db.image import ImageRows
from zones.errors import Unavailable
from zones.image import mirrored
from zones.image.embedded import EmbeddedImages
from zones.image.files import Files
from zones.protocol import Caller
from zones.protocol.neighbours import ImageDoc

EAST, WEST = "e" * 36, "w" * 36
IMAGE = "11111111-1111-1111-1111-111111111111"
ANN = Caller(user_id="ann", project_id="p", roles=frozenset({"member"}))


@pytest.fixture
def rows(sqlite_template: Path, tmp_path: Path) -> Iterator[ImageRows]:
    shutil.copy(sqlite_template, tmp_path / "zone.sqlite")
    database = Database(f"sqlite:///{tmp_path / 'zone.sqlite'}", lane=here)
    yield ImageRows(database)
    database.close()


@pytest.fixture
def images(rows: ImageRows, tmp_path: Path) -> EmbeddedImages:
    return EmbeddedImages(rows, Files(tmp_path / "images", here, max_size=10**6, keep_free=0),
                          elsewhere=lambda row: iter([f"from {row['zone_uuid'][0]}".encode(), b" with love"]))


def doc(status: str = "active", **values: object) -> ImageDoc:
    return ImageDoc(IMAGE, 1, 1, "p", status, **{"name": "snap", "size": 16, **values})  # type: ignore[arg-type]


def hear(rows: ImageRows, zone: str, *docs: ImageDoc) -> None:
    mirrored.hear(rows, zone, docs, 7.0, lambda project: "")


def test_an_image_made_there_is_seen_here_and_read_there(rows: ImageRows, images: EmbeddedImages) -> None:
    hear(rows, EAST, doc("queued", size=None))
    assert images.content(images.row(IMAGE)) is None
    hear(rows, EAST, doc())
    assert images.visible(ANN, IMAGE)["status"] == "active"
    assert b"".join(images.content(images.row(IMAGE)) or ()) == b"from e with love"
    assert b"".join(images.content(images.row(IMAGE), 7) or ()) == b"with love"
    assert images.match("p", "", 16) is None


def test_the_same_news_twice_makes_no_new_version(rows: ImageRows, images: EmbeddedImages) -> None:
    hear(rows, EAST, doc())
    before = images.row(IMAGE)["version"]
    hear(rows, EAST, doc(), doc())
    assert images.row(IMAGE)["version"] == before


def test_nobody_speaks_for_an_image_that_is_elsewhere(rows: ImageRows, images: EmbeddedImages) -> None:
    images.reserve(ANN, IMAGE, "mine", {}, None)
    hear(rows, WEST, doc("deleted"))
    assert images.row(IMAGE)["name"] == "mine"


def test_what_was_deleted_here_is_forgotten_there_once_that_zone_answers(
        rows: ImageRows, images: EmbeddedImages) -> None:
    hear(rows, EAST, doc())
    images.delete(images.row(IMAGE))
    hear(rows, EAST, doc())
    assert rows.get(IMAGE) is None
    told: list[tuple[str, str]] = []

    def away(zone: str, image_id: str) -> None:
        raise Unavailable("east is away")

    with pytest.raises(Unavailable):
        mirrored.forget(rows, away)
    assert mirrored.forget(rows, lambda *one: told.append(one)) == 1
    assert told == [(EAST, IMAGE)]
    assert mirrored.forget(rows, lambda *one: told.append(one)) == 0
