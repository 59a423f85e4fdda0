"""Pushing an image: whatever breaks off, the next range begins where the neighbour says."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
    Unknown,
    ZonesError,
)
from zones.neighbours.pushing import TRIES, Pusher
from zones.protocol import ImageValue
from zones.protocol.neighbours import Offer, Offered

CONTENT = b"0123456789" * 10
IMAGE = ImageValue("theirs", "mine", "h" * 128, len(CONTENT), local_id="local")


class Images:
    def row(self, image_id: str, /) -> dict[str, Any]:
        assert image_id == "local"
        return {"id": image_id, "disk_format": "qcow2", "container_format": None}

    def content(self, row: dict[str, Any], start: int = 0, /) -> Iterator[bytes] | None:
        return iter([CONTENT[start:]])


class Neighbour:
    """Takes only some bytes of each range."""

    def __init__(self, takes: list[int]) -> None:
        self.takes, self.has, self.offers = takes, b"", list[Offer]()

    def offer(self, offer: Offer, /) -> Offered:
        self.offers.append(offer)
        return self._state()

    def upload(self, image_id: str, offset: int, total: int, pieces: Iterator[bytes], /) -> Offered:
        assert (image_id, offset, total) == ("there", len(self.has), len(CONTENT))
        self.has += b"".join(pieces)[:self.takes.pop(0) if self.takes else None]
        return self._state()

    def _state(self) -> Offered:
        return Offered("there", "active" if self.has == CONTENT else "wanted", len(self.has))


def never(*told: object) -> None:
    raise AssertionError(told)


@given(st.lists(st.integers(0, 99), max_size=8))
def test_all_of_it_arrives_in_the_end_and_only_then_is_the_boot_told(takes: list[int]) -> None:
    there, told = Neighbour(takes), list[tuple[str, str]]()
    push = Pusher(lambda zone: there, Images(), lambda *one: told.append(one), never)
    for _ in range(len(takes) // TRIES + 1):
        assert told == []
        try:
            push("east", IMAGE, "p", "server")
            break
        except Unavailable:
            assert there.has != CONTENT
    assert there.has == CONTENT and told == [("east", "server")]
    assert there.offers[0] == Offer("h" * 128, len(CONTENT), "p", "mine", disk_format="qcow2")


def test_an_image_without_a_hash_is_not_pushed() -> None:
    there = Neighbour([])
    with pytest.raises(Conflict):
        Pusher(lambda zone: there, Images(), lambda *one: None, never).bring("east", ImageValue("x"), "p")
    assert there.offers == []


@pytest.mark.parametrize(("error", "final"), [
    (NotFound("deleted", code="no_such_image"), True),
    (Conflict("no content", code="image_not_active"), True),
    (Invalid("too large for it", code="bad_offer"), True), (Forbidden("no peer", code="not_a_peer"), True),
    (Conflict("another push", code="image_saving"), False),
    (NotFound("said by what stands before it"), False),
    (Unavailable("down"), False), (Unknown("no answer"), False), (Unauthorized("who?", code="x"), False)])
def test_what_can_never_be_brought_is_said_once_and_what_may_is_left_to_the_next(
        error: ZonesError, final: bool) -> None:
    class Refusing(Neighbour):
        def offer(self, offer: Offer, /) -> Offered:
            raise error
    failed = list[tuple[str, str, ZonesError]]()
    push = Pusher(lambda zone: Refusing([]), Images(), never, lambda *one: failed.append(one))
    with pytest.raises(type(error)):
        push("east", IMAGE, "p", "server")
    assert failed == ([("east", "server", error)] if final else [])
