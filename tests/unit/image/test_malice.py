"""What malicious neighbours may say of images: nothing that is not theirs, and nothing that breaks."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from zones.api.image import views
from zones.db.engine import Database, here
from zones.db.image import ImageQuery, ImageRows
from zones.errors import Invalid, Unknown
from zones.image import mirrored
from zones.image.arriving import Arriving
from zones.image.embedded import EmbeddedImages
from zones.image.files import Files
from zones.protocol.neighbours import ImageDoc, Offer

EAST = "e" * 36
IMAGE = "11111111-1111-1111-1111-111111111111"
PEER = "99999999-9999-4999-8999-999999999999"


class Place:
    """The images of a zone whose neighbour streams `said`."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copy(template, folder / "zone.sqlite")
        self.said: list[bytes] = []
        self.database = Database(f"sqlite:///{folder / 'zone.sqlite'}", lane=here)
        self.rows = ImageRows(self.database)
        files = Files(folder / "images", here, max_size=10**6, keep_free=0)
        self.images = EmbeddedImages(self.rows, files, elsewhere=lambda row: iter(self.said))
        self.arriving = Arriving(self.rows, files, self.images.match)

    def hear(self, *docs: ImageDoc, whose: str | None = "") -> None:
        mirrored.hear(self.rows, EAST, docs, 7.0, lambda project: whose)


@pytest.fixture
def place(sqlite_template: Path, tmp_path: Path) -> Iterator[Place]:
    made = Place(sqlite_template, tmp_path)
    yield made
    made.database.close()


def doc(**values: Any) -> ImageDoc:
    return msgspec.structs.replace(ImageDoc(IMAGE, 1, 1, "p", "active", name="snap", size=4), **values)


SENSELESS: list[dict[str, Any]] = [
    {"status": "evil"}, {"status": "s" * 50}, {"size": -1}, {"size": 2**63}, {"size": 2**80}, {"size": None},
    {"name": "n" * 256}, {"name": "a\0b"}, {"checksum": "c" * 33}, {"os_hash_value": "h" * 129},
    {"os_hash_algo": "a" * 17}, {"disk_format": "d" * 17}, {"container_format": "c" * 17}, {"min_disk": -1},
    {"min_ram": 2**31}, {"min_disk": 2**80}, {"properties": {"a": {"b": 1}}}, {"properties": {"a": 5}},
    {"properties": {"a": "\0"}}, {"properties": {"\0": "a"}}, {"properties": {"k" * 300: "v"}},
    {"created_at": 1e300}, {"created_at": -1.0}, {"project_id": "p" * 65}]


@pytest.mark.parametrize("values", [
    *SENSELESS, {"id": "no-uuid"}, {"id": "../x"}, {"id": IMAGE.upper() + "x"}],
                         ids=lambda values: str(values)[:60])
def test_what_can_not_be_kept_stops_nothing(place: Place, values: dict[str, Any]) -> None:
    other = doc(id=str(uuid.uuid4()))
    place.hear(doc(**values), other)
    place.hear(doc(status="queued", size=None))
    place.hear(doc(**values), other)
    shown = place.rows.find(ImageQuery(project=None))
    assert orjson.dumps([views.image(row) for row in shown])
    assert {row["id"]: row["status"] for row in shown} == {IMAGE: "queued", other.id: "active"}


def test_no_image_appears_in_a_project_that_is_nobodys_here(place: Place) -> None:
    place.hear(doc(), whose=None)
    assert place.rows.get(IMAGE) is None


@pytest.mark.parametrize("said", [[b"12345"], [b"12", b"34", b"HTTP/1.1 200 OK\r\n"], [b"123"], []])
def test_content_is_as_long_as_it_is_said_to_be(place: Place, said: list[bytes]) -> None:
    """What is longer would be taken for the next answer, by whoever stands between us and the user."""
    place.hear(doc())
    place.said = said
    content = place.images.content(place.images.row(IMAGE))
    assert content is not None
    got = b""
    with pytest.raises(Unknown):
        for piece in content:
            got += piece
    assert len(got) <= 4


def test_content_from_a_byte_on(place: Place) -> None:
    place.hear(doc())
    place.said = [b"12", b"34"]
    assert b"".join(place.images.content(place.images.row(IMAGE), 1) or ()) == b"234"


@pytest.mark.parametrize("values", [
    {"size": 2**63}, {"size": 2**80}, {"size": -1}, {"min_ram": -1}, {"min_ram": 2**31}, {"min_disk": 2**70},
    {"name": "n" * 256}, {"name": "a\0b"}, {"disk_format": "d" * 17}, {"container_format": "c" * 17},
    {"os_hash_value": "h\0" * 64}, {"os_hash_value": "g" * 128}, {"properties": {"a": "\0"}},
    {"properties": {"k" * 300: "v"}}], ids=lambda values: str(values)[:60])
def test_an_offer_that_no_row_can_hold_is_refused(place: Place, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        place.arriving.offer(PEER, "p", msgspec.structs.replace(Offer("0" * 128, 4, "p"), **values))
    assert place.rows.find(ImageQuery(project=None)) == []
