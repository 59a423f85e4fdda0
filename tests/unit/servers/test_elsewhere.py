"""Quota held while a neighbour is asked for a larger server ends, whatever becomes of the question."""

from collections.abc import Callable

import msgspec
import pytest

from tests.lifekit import ANN, LifeZone
from tests.neighbourkit import Child, Parent, flavor_of
from zones.servers import elsewhere, mirror


@pytest.fixture
def east() -> Child:
    return Child("east")


@pytest.fixture
def parent(make_zone: Callable[..., LifeZone], east: Child) -> Parent:
    return Parent(make_zone(), east)


@pytest.fixture
def server(parent: Parent) -> str:
    """A server of one core and 512 MiB in the child, held as two cores and 1024 MiB."""
    made = parent.zone.boot("one")
    parent.rest()
    assert parent.zone.usage() == (1, 1, 512)
    hold(parent, made)
    assert parent.zone.usage() == (1, 2, 1024)
    return made


def hold(parent: Parent, server: str) -> elsewhere.Held:
    return parent.zone.db.run(elsewhere.hold, parent.zone.core, ANN, server, flavor_of("two"))


def later(parent: Parent, seconds: float) -> None:
    parent.zone.clock.at += seconds
    parent.work()


def test_what_nobody_asked_the_neighbour_for_lapses(parent: Parent, server: str) -> None:
    later(parent, elsewhere.PATIENCE - 1)
    assert parent.zone.usage() == (1, 2, 1024), "it may be done yet"
    later(parent, 2)
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 1, 512), [])
    later(parent, elsewhere.PATIENCE)
    assert parent.zone.usage() == (1, 1, 512)


def test_what_it_did_after_all_is_counted(parent: Parent, east: Child, server: str) -> None:
    later(parent, elsewhere.PATIENCE + 1)
    east.touch(east.guests[server], vm_state="resized", flavor="two", old_flavor="one")
    parent.feed(east)
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 2, 1024), [])
    later(parent, elsewhere.PATIENCE + 1)
    assert parent.zone.usage() == (1, 2, 1024)


def test_a_document_settles_it_before(parent: Parent, east: Child, server: str) -> None:
    east.touch(east.guests[server], vm_state="resized", flavor="two", old_flavor="one")
    parent.feed(east)
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 2, 1024), [])


def test_while_it_resizes_both_sizes_count(parent: Parent, east: Child, server: str) -> None:
    east.touch(east.guests[server], task_state="resize_prep")
    parent.feed(east)
    later(parent, elsewhere.PATIENCE + 1)
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 2, 1024), [])
    east.touch(east.guests[server], task_state=None)
    parent.feed(east)
    assert parent.zone.usage() == (1, 1, 512)


def test_a_sure_no_gives_it_back_at_once(parent: Parent, server: str) -> None:
    parent.zone.db.run(elsewhere.give_back, server, elsewhere.Held(1, 512))
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 1, 512), [])


def test_held_twice_it_is_one_hold_and_ends_once(parent: Parent, server: str) -> None:
    later(parent, elsewhere.PATIENCE - 1)
    assert hold(parent, server) == (0, 0)
    later(parent, 2)
    assert parent.zone.usage() == (1, 2, 1024)
    later(parent, elsewhere.PATIENCE)
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((1, 1, 512), [])


def test_a_delete_gives_all_of_it_back(parent: Parent, east: Child, server: str) -> None:
    parent.zone.delete(server)
    parent.rest()
    assert (parent.zone.usage(), parent.zone.work_rows()) == ((0, 0, 0), [])


def test_an_old_document_does_not_settle_it(parent: Parent, east: Child, server: str) -> None:
    old = msgspec.structs.replace(east.doc(server), name="before")
    mirror.document_heard(parent.zone.core, east.zone_uuid, old, parent.told)
    assert parent.zone.usage() == (1, 2, 1024)
