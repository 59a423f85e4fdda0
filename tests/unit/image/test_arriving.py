"""Images that a neighbour pushes: whatever breaks off, what becomes active is exactly what was offered."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zones.db.engine import Database, here
from zones.db.image import ImageRows
from zones.errors import Conflict, Invalid, NotFound, TooLarge
from zones.image.arriving import Arriving
from zones.image.embedded import EmbeddedImages
from zones.image.files import Files
from zones.protocol.neighbours import Offer

PEER = "99999999-9999-4999-8999-999999999999"
CONTENT = bytes(range(256)) * 4


class Place:
    """The image service of one zone, on a database of its own."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copy(template, folder / "zone.sqlite")
        self.database = Database(f"sqlite:///{folder / 'zone.sqlite'}", lane=here)
        self.files = Files(folder / "images", here, max_size=10**6, keep_free=0)
        self.rows = ImageRows(self.database)
        self.images = EmbeddedImages(self.rows, self.files)
        self.arriving = Arriving(self.rows, self.files, self.match)

    def match(self, project_id: str, digest: str, size: int) -> str | None:
        return self.images.match(project_id, digest, size)


@pytest.fixture
def place(sqlite_template: Path, tmp_path: Path) -> Iterator[Place]:
    found = Place(sqlite_template, tmp_path)
    yield found
    found.database.close()


def offer_of(content: bytes) -> Offer:
    return Offer(hashlib.sha512(content).hexdigest(), len(content), "theirs", name="mine")


def broken(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    raise Invalid("the upload broke off", code="short_upload")


@settings(max_examples=40, deadline=None)
@given(breaks=st.lists(st.integers(0, len(CONTENT)), max_size=5))
def test_a_push_goes_on_where_it_broke_off(
        sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, breaks: list[int]) -> None:
    place = Place(sqlite_template, tmp_path_factory.mktemp("place"))
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    for until in breaks:
        assert offered.state == "wanted"
        if until < offered.offset:
            continue
        with pytest.raises(Invalid):
            place.arriving.take("p", offered.id, offered.offset, len(CONTENT),
                                broken(CONTENT[offered.offset:until]))
        again = place.arriving.offer(PEER, "p", offer_of(CONTENT))
        assert (again.id, again.offset) == (offered.id, until)
        offered = again
    done = place.arriving.take("p", offered.id, offered.offset, len(CONTENT),
                               iter([CONTENT[offered.offset:]]))
    assert done.state == "active"
    assert b"".join(place.files.read(offered.id)) == CONTENT
    assert place.arriving.offer(PEER, "p", offer_of(CONTENT)).state == "active"
    place.database.close()


def test_bytes_from_elsewhere_are_not_written(place: Place) -> None:
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    answer = place.arriving.take("p", offered.id, 7, len(CONTENT), iter([CONTENT[7:]]))
    assert (answer.state, answer.offset) == ("wanted", 0)


def test_other_content_than_was_offered_is_refused_and_nothing_of_it_is_kept(place: Place) -> None:
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    with pytest.raises(Conflict):
        place.arriving.take("p", offered.id, 0, len(CONTENT), iter([CONTENT[::-1]]))
    assert place.arriving.offer(PEER, "p", offer_of(CONTENT)).offset == 0
    with pytest.raises(TooLarge):
        place.arriving.take("p", offered.id, 0, len(CONTENT), iter([CONTENT, b"more"]))
    with pytest.raises(Invalid):
        place.arriving.take("p", offered.id, 0, 5, iter([b"12345"]))


def test_what_one_project_offered_is_nobody_elses(place: Place) -> None:
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    with pytest.raises(NotFound):
        place.arriving.take("q", offered.id, 0, len(CONTENT), iter([CONTENT]))
    place.arriving.take("p", offered.id, 0, len(CONTENT), iter([CONTENT]))
    other = place.arriving.offer(PEER, "q", offer_of(CONTENT))
    assert other.state == "wanted" and other.id != offered.id


def test_two_pushes_of_one_image_are_one(place: Place) -> None:
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    with place.files.pushing(offered.id), pytest.raises(Conflict):
        place.arriving.take("p", offered.id, 0, len(CONTENT), iter([CONTENT]))


def test_recovery_after_a_crash_leaves_a_push_under_way(place: Place) -> None:
    offered = place.arriving.offer(PEER, "p", offer_of(CONTENT))
    with pytest.raises(Invalid):
        place.arriving.take("p", offered.id, 0, len(CONTENT), broken(CONTENT[:100]))
    place.images.recover()
    assert place.arriving.offer(PEER, "p", offer_of(CONTENT)).offset == 100
    assert place.arriving.prune() == 0


def test_an_offer_needs_a_hash(place: Place) -> None:
    with pytest.raises(Invalid):
        place.arriving.offer(PEER, "p", Offer("abc", 3, "theirs"))
