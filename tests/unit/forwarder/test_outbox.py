"""What is sent to neighbours without waiting: in batches, bounded, once at a time, each boot judged alone."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import pytest

from tests.neighbour_double import until
from zones.config import Links
from zones.errors import Conflict, Forbidden, Invalid, TooLarge, Unavailable, Unknown, ZonesError
from zones.forwarder.outbox import WAITING, Outbox
from zones.protocol import FlavorValue, ImageValue, ServerSpec
from zones.protocol.neighbours import Answered, Handover

ZONE = "zone-1"


def handover(number: int) -> Handover:
    return Handover(f"a{number}", ServerSpec(f"s{number}", "n", "p", "u", FlavorValue("1", "m1", 1, 1, 1)))


class West:
    """The neighbour: accepts, but for what `says` raises. `gate` holds its answers back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.recalls: list[tuple[str, list[str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.at_work = 0
        self.most = 0
        self.says: Callable[[Sequence[Handover]], ZonesError | None] = lambda boots: None
        self.gone = True
        self._lock = threading.Lock()

    def to(self, zone_uuid: str) -> "West":
        if zone_uuid != ZONE:
            raise Unavailable("there is no link", code="no_link")
        return self

    def hand(self, boots: Sequence[Handover]) -> list[Answered]:
        with self._lock:
            self.batches.append([boot.attempt for boot in boots])
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.gate.wait(20)
        with self._lock:
            self.at_work -= 1
        error = self.says(boots)
        if error is not None:
            raise error
        return [Answered(boot.attempt, "accepted") for boot in boots]

    def recall(self, server_id: str, attempts: Sequence[str]) -> list[Answered]:
        with self._lock:
            self.recalls.append((server_id, list(attempts)))
        self.gate.wait(20)
        return [Answered(attempt, "cancelled", gone=self.gone) for attempt in attempts]


class House:
    """What the outbox works for."""

    def __init__(self, west: West) -> None:
        self.heard: dict[str, Answered] = {}
        self.pushed: list[tuple[str, str]] = []
        self.push: Callable[[], None] = lambda: None
        self.outbox = Outbox(
            west, Links(senders=2), answered=self._answered, pusher=self._push,
            is_up=lambda zone: zone == ZONE, name_of=lambda zone: "west")

    def _answered(self, zone_uuid: str, answers: list[Answered]) -> None:
        assert zone_uuid == ZONE
        self.heard.update((answer.attempt, answer) for answer in answers)

    def _push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> None:
        self.push()
        self.pushed.append((image.id, server_id))

    def states(self) -> dict[str, str]:
        return {attempt: answer.state for attempt, answer in self.heard.items()}


@pytest.fixture
def west() -> West:
    return West()


@pytest.fixture
def house(west: West) -> Iterator[House]:
    made = House(west)
    yield made
    west.gate.set()
    assert made.outbox.close(10)


def test_every_boot_is_answered_and_few_calls_carry_many(west: West, house: House) -> None:
    west.gate.clear()
    for number in range(500):
        assert house.outbox.hand(ZONE, handover(number))
    until(lambda: west.at_work == 2)
    west.gate.set()
    until(lambda: len(house.heard) == 500)
    assert set(house.states().values()) == {"accepted"}
    assert sorted(chain.from_iterable(west.batches)) == sorted(f"a{number}" for number in range(500))
    assert (west.most, max(map(len, west.batches))) == (2, 64)
    assert len(west.batches) <= 12
    assert house.outbox.counts()[ZONE] == {"answered": 500}


def test_what_waits_or_is_under_way_is_not_sent_twice(west: West, house: House) -> None:
    west.gate.clear()
    house.outbox.hand(ZONE, handover(1))
    until(lambda: west.at_work == 1)
    for _ in range(3):
        assert house.outbox.hand(ZONE, handover(1))
        assert house.outbox.recall(ZONE, "s7", ["a7"])
    west.gate.set()
    until(lambda: {"a1", "a7"} <= set(house.heard))
    assert west.batches == [["a1"]]


def test_a_full_queue_takes_no_more(west: West, house: House) -> None:
    west.gate.clear()
    taken = [house.outbox.hand(ZONE, handover(number)) for number in range(WAITING + 500)]
    assert WAITING <= sum(taken) <= WAITING + 128
    assert not house.outbox.recall(ZONE, "s", ["a"])
    west.gate.set()
    until(lambda: len(house.heard) == sum(taken))


def test_recalls_go_first_and_take_back_what_waits(west: West, house: House) -> None:
    west.gate.clear()
    for number in (1, 2):
        house.outbox.hand(ZONE, handover(number))
        until(lambda number=number: west.at_work == number)
    house.outbox.hand(ZONE, handover(3))
    house.outbox.hand(ZONE, handover(4))
    house.outbox.recall(ZONE, "s3", ["a3"])
    west.gate.set()
    until(lambda: len(house.heard) == 4)
    assert west.recalls == [("s3", ["a3"])]
    assert "a3" not in chain.from_iterable(west.batches)


@pytest.mark.parametrize(("error", "code"), [
    (Invalid("Bad.", code="bad_spec"), "bad_request"), (TooLarge("Big."), "too_large"),
    (Conflict("Old.", code="protocol"), "protocol")])
def test_one_bad_boot_among_many_is_refused_alone(error: ZonesError, code: str, west: West,
                                                  house: House) -> None:
    west.says = lambda boots: error if any(boot.attempt == "a7" for boot in boots) else None
    west.gate.clear()
    for number in range(100):
        house.outbox.hand(ZONE, handover(number))
    west.gate.set()
    until(lambda: len(house.heard) == 100)
    assert house.heard.pop("a7") == Answered("a7", "refused", code, error.message)
    assert set(house.states().values()) == {"accepted"}
    assert west.recalls == [("s7", ["a7"])]


def test_no_refusal_unless_it_is_sure_that_nothing_is_there(west: West, house: House) -> None:
    west.says = lambda boots: Invalid("Bad.")
    west.gone = False
    house.outbox.hand(ZONE, handover(1))
    until(lambda: house.outbox.counts()[ZONE]["dropped"])
    assert not house.heard


@pytest.mark.parametrize("error", [Unknown("x"), Unavailable("x"), Forbidden("x")])
def test_no_answer_is_said_once_and_sent_again_when_it_is_handed_again(
        error: ZonesError, west: West, house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zones.forwarder")
    west.says = lambda boots: error
    for count in range(1, 4):
        house.outbox.hand(ZONE, handover(1))
        until(lambda count=count: house.outbox.counts()[ZONE]["dropped"] == count)
    assert not house.heard
    assert not west.recalls
    west.says = lambda boots: None

    def again() -> bool:
        house.outbox.hand(ZONE, handover(1))
        return "a1" in house.heard
    until(again)
    until(lambda: len(caplog.records) == 2)
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert "west" in caplog.text


def test_a_zone_without_a_link(house: House) -> None:
    house.outbox.hand("elsewhere", handover(1))
    until(lambda: house.outbox.counts()["elsewhere"]["dropped"])
    assert (house.outbox.is_up("elsewhere"), house.outbox.name_of("elsewhere")) == (False, "west")


def test_an_image_goes_once_at_a_time_and_two_together(house: House) -> None:
    gate, at_work, lock = threading.Event(), [0, 0], threading.Lock()

    def push() -> None:
        with lock:
            at_work[0] += 1
            at_work[1] = max(at_work)
        gate.wait(20)
        with lock:
            at_work[0] -= 1
    house.push = push
    for server in range(6):
        for image in "xyz":
            value = ImageValue(image, os_hash_value=f"hash-{image}")
            assert house.outbox.push(ZONE, value, "p", f"s{server}")
            assert house.outbox.push(ZONE, value, "p", f"s{server}")
    until(lambda: at_work[0] == 2)
    gate.set()
    until(lambda: len(house.pushed) == 18)
    assert len(set(house.pushed)) == 18
    assert at_work[1] == 2


def test_a_push_that_fails_is_left_to_its_row(house: House) -> None:
    failing = [Unavailable("x"), Conflict("y"), Unknown("z")]

    def push() -> None:
        if failing:
            raise failing.pop()
    house.push = push

    def again() -> bool:
        house.outbox.push(ZONE, ImageValue("x"), "p", "s")
        return bool(house.pushed)
    until(again)
    assert not failing


def test_after_close_nothing_is_taken(west: West, house: House) -> None:
    assert house.outbox.close()
    assert not house.outbox.hand(ZONE, handover(1))
    assert not house.outbox.recall(ZONE, "s", ["a"])
    assert not house.outbox.push(ZONE, ImageValue("x"), "p", "s")


def test_close_does_not_wait_for_one_that_hangs(west: West, house: House) -> None:
    west.gate.clear()
    house.outbox.hand(ZONE, handover(1))
    until(lambda: west.at_work)
    began = time.monotonic()
    assert not house.outbox.close(0.1)
    assert time.monotonic() - began < 5
