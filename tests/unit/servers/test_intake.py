"""Boots that come at the same moment: one transaction for all, and each its own answer."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.server_rows import FLAVOR, IMAGE, FarEnds, core_of, zone_api
from tests.servers import wait_for
from zones.config import Quota
from zones.db import changes, quotas, work
from zones.db.engine import Database
from zones.errors import Invalid, OverQuota, Unavailable, ZonesError
from zones.protocol import Caller
from zones.servers import boot
from zones.servers.core import Core
from zones.servers.intake import Intake, Outcome, Wanted
from zones.servers.request import BootRequest, name_it

ANN = Caller(user_id="ann", project_id="p1", roles=frozenset({"member"}))
BOB = Caller(user_id="bob", project_id="p2", roles=frozenset({"member"}))


def wanted(caller: Caller = ANN, flavor: str = FLAVOR.id, **fields: Any) -> Wanted:
    request = BootRequest(name="vm", flavor_id=flavor, image_id=IMAGE.id, **fields)
    return Wanted(caller, request, name_it(request), IMAGE, "sealed")


@pytest.fixture
def core(database: Database) -> Iterator[Core]:
    zone_api(database)  # makes the flavors
    yield core_of(database, FarEnds(), Quota(instances=3))


def accept(core: Core, *batch: Wanted) -> Sequence[Outcome]:
    return core.db.run(boot._accept, core, list(batch))


def made(core: Core, *batch: Wanted) -> list[bool]:
    ids = [one.naming.server_ids[0] for one in batch]
    there = core.db.run(changes.read, ids)
    return [each in there for each in ids]


def used(core: Core, caller: Caller) -> int:
    return core.db.run(quotas.usage, "", caller.project_id)["instances"]


def test_what_is_wrong_with_one_is_no_matter_to_the_others(core: Core) -> None:
    batch = [wanted(), wanted(flavor="none"), wanted(BOB)]
    good, bad, other = accept(core, *batch)
    assert (good, other) == (batch[0].naming.server_ids, batch[2].naming.server_ids)
    assert isinstance(bad, Invalid)
    assert made(core, *batch) == [True, False, True]
    assert (used(core, ANN), used(core, BOB)) == (1, 1)
    assert core.db.run(work.backlog, 100) == 2


def test_where_not_all_have_room_the_first_have_it(core: Core) -> None:
    batch = [wanted(), wanted(min_count=2, max_count=2), wanted(), wanted(BOB)]
    first, second, third, other = accept(core, *batch)
    assert isinstance(first, list) and isinstance(second, list) and isinstance(other, list)
    assert isinstance(third, OverQuota)
    assert made(core, *batch) == [True, True, False, True]
    assert (used(core, ANN), used(core, BOB)) == (3, 1)


def test_the_same_transaction_again_changes_nothing(core: Core) -> None:
    batch = [wanted(), wanted(min_count=2, max_count=2)]
    assert accept(core, *batch) == accept(core, *batch)
    assert used(core, ANN) == 3
    assert core.db.run(work.backlog, 100) == 3


def test_one_that_is_refused_alone_leaves_nothing(core: Core) -> None:
    one = wanted(min_count=4, max_count=9)
    with pytest.raises(OverQuota):
        accept(core, one)
    assert (made(core, one), used(core, ANN)) == ([False], 0)


class Desk:
    """A transaction that can be held up; `batches` is what it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[Wanted]] = []
        self.error: Exception | None = None

    def __call__(self, batch: list[Wanted]) -> list[Outcome]:
        self.batches.append(batch)
        assert self.open.wait(10)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return [one.naming.server_ids for one in batch]


def ask(intake: Intake, desk: Desk, *several: Wanted) -> tuple[list[threading.Thread], dict[Wanted, Any]]:
    found: dict[Wanted, Any] = {}

    def one(each: Wanted) -> None:
        try:
            found[each] = intake.take(each, desk)
        except (ZonesError, RuntimeError) as error:
            found[each] = error

    threads = [threading.Thread(target=one, args=(each,)) for each in several]
    for thread in threads:
        thread.start()
    return threads, found


def both_waves(intake: Intake, desk: Desk, number: int) -> tuple[Wanted, list[Wanted], dict[Wanted, Any]]:
    """One request, and then, while its transaction runs, `number` more; what each was answered."""
    first, more = wanted(), [wanted() for _ in range(number)]
    threads, found = ask(intake, desk, first)
    wait_for(lambda: desk.batches, "the first is under way")
    others, later = ask(intake, desk, *more)
    wait_for(lambda: len(intake._waiting) == number, "the others wait")
    desk.open.set()
    for thread in threads + others:
        thread.join(10)
    return first, more, {**found, **later}


def test_who_comes_while_one_is_accepted_is_accepted_together() -> None:
    desk = Desk()
    first, more, found = both_waves(Intake(), desk, 10)
    assert [len(batch) for batch in desk.batches] == [1, 10]
    assert all(found[each] == each.naming.server_ids for each in [first, *more])


def test_a_transaction_that_is_refused_is_refused_to_all_in_it() -> None:
    desk = Desk()
    desk.error = Unavailable("not now")
    first, more, found = both_waves(Intake(), desk, 3)
    assert isinstance(found[first], Unavailable)
    assert all(found[each] == each.naming.server_ids for each in more)


def test_who_was_in_a_turn_that_was_broken_off_has_his_own() -> None:
    desk, intake = Desk(), Intake()
    left = wanted()
    intake._waiting.append(left)
    desk.open.set()
    desk.error = RuntimeError("broken off")
    with pytest.raises(RuntimeError):
        intake.take(wanted(), desk)
    assert left.outcome is None
    assert intake.take(left, desk) == left.naming.server_ids


def test_what_may_make_fewer_than_asked_for_is_alone() -> None:
    desk, intake = Desk(), Intake()
    desk.open.set()
    intake._waiting.append(wanted())
    intake.take(wanted(min_count=1, max_count=2), desk)
    intake.take(wanted(hints={"group": "g"}), desk)
    assert [len(batch) for batch in desk.batches] == [1, 1]
