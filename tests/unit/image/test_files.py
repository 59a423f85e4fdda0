"""Image files: whole or not at all, one writer."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zones.db.engine import here
from zones.errors import Conflict, NotFound, TooLarge, Unavailable
from zones.image.files import Files

IMAGE = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "images", here, max_size=1000, keep_free=0)


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.binary(max_size=50), max_size=15))
def test_what_went_in_comes_out(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    files = Files(tmp_path_factory.mktemp("images"), here, max_size=1000, keep_free=0)
    with files.writing(IMAGE) as part:
        content = files.write(part, iter(pieces), None)
        files.publish(IMAGE)
    whole = b"".join(pieces)
    assert b"".join(files.read(IMAGE)) == whole
    assert content.size == len(whole)
    assert content.checksum == hashlib.md5(whole).hexdigest()
    assert content.sha512 == hashlib.sha512(whole).hexdigest()
    assert files.ids() == [IMAGE]


def test_a_writer_that_fails_leaves_nothing(files: Files, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError("gone")
    with pytest.raises(OSError, match="gone"), files.writing(IMAGE) as part:
        files.write(part, broken(), None)
    assert list((tmp_path / "images").iterdir()) == []
    with pytest.raises(NotFound):
        files.read(IMAGE)


def test_one_writer_at_a_time(files: Files) -> None:
    with files.writing(IMAGE) as part:
        with pytest.raises(Conflict), files.writing(IMAGE):
            pytest.fail("two writers")
        files.write(part, iter([b"one"]), None)
        files.publish(IMAGE)
        with pytest.raises(Conflict), files.writing(IMAGE):
            pytest.fail("published is not finished")
    with files.writing(IMAGE) as part:
        files.write(part, iter([b"two"]), None)
        files.publish(IMAGE)
    assert b"".join(files.read(IMAGE)) == b"two"


def test_what_a_dead_writer_left_is_not_in_the_way(files: Files, tmp_path: Path) -> None:
    (tmp_path / "images" / f"{IMAGE}.part").write_bytes(b"half of it")
    with files.writing(IMAGE) as part:
        assert files.write(part, iter([b"new"]), None).size == 3
        files.publish(IMAGE)
    assert b"".join(files.read(IMAGE)) == b"new"


def test_too_large_is_told_before_and_while(files: Files) -> None:
    with files.writing(IMAGE) as part:
        with pytest.raises(TooLarge):
            files.write(part, iter([]), 1001)
        with pytest.raises(TooLarge):
            files.write(part, iter([b"x" * 600] * 2), None)


def test_no_room(tmp_path: Path) -> None:
    files = Files(tmp_path / "images", here, max_size=10, keep_free=2**62)
    with files.writing(IMAGE) as part, pytest.raises(Unavailable):
        files.write(part, iter([b"x"]), None)
