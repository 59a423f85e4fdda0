"""Whatever is lost, repeated or late between a zone and its neighbours, a server is in one place or gone.

Hypothesis decides; model neighbours keep to the contract. What holds always is checked after each step;
then all is delivered, and what must hold at rest is checked.
"""

import logging
import os
import random
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.lifekit import Clock, LifeZone, set_clock
from tests.neighbourkit import Child, Parent
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.errors import Conflict, NotFound, OverQuota
from zones.servers import forward, mirror
from zones.servers.settle import settle

EXAMPLES, STEPS = int(os.environ.get("ZONES_TEST_LIVES", "60")), 40
NUMBER = st.integers(0, 30)
CHILD = st.sampled_from(["small", "wanting", "large"])
POWERS = st.sampled_from([states.STOPPED, states.ACTIVE, states.V_PAUSED])


class Forwarded(RuleBasedStateMachine):
    """The rules. `make` gives each example a parent of its own."""

    make: Callable[[], Parent]
    servers = Bundle("servers")

    def __init__(self) -> None:
        super().__init__()
        self.parent = self.make()
        self.zone = self.parent.zone
        self.by_name = {child.name: child for child in self.parent.children.values()}
        self.deleted: set[str] = set()
        self.deleted_there: set[str] = set()
        self.attempt_states: dict[str, str] = {}
        self.gone: set[str] = set()

    def teardown(self) -> None:
        try:
            self.comes_to_rest()
        finally:
            self.zone.close()

    # ------------------------------------------------------------ users and operators

    @initialize(target=servers)
    def begin(self) -> Any:
        return multiple(*self.zone.boots(2))

    @rule(target=servers, count=st.integers(1, 3), flavor=st.sampled_from(["one", "two"]))
    def boot(self, count: int, flavor: str) -> Any:
        try:
            return multiple(*self.zone.boots(count, flavor))
        except OverQuota:
            return multiple()

    @rule(server=servers)
    def delete(self, server: str) -> None:
        try:
            self.zone.delete(server)
        except NotFound:
            assert server in self.deleted | self.deleted_there
        self.deleted.add(server)

    @rule(server=servers)
    def settle(self, server: str) -> None:
        try:
            settle(self.zone.db, server, "op")
        except (Conflict, NotFound):
            return
        assert server not in self.deleted

    # ------------------------------------------------------------ the zone's process

    @rule()
    def work(self) -> None:
        self.parent.work()

    @rule(name=CHILD)
    def polled(self, name: str) -> None:
        self.parent.summary(self.by_name[name])

    @rule(name=CHILD)
    def hurry(self, name: str) -> None:
        forward.hurry_zone(self.zone.core, self.by_name[name].zone_uuid)

    @rule(seconds=st.sampled_from([1.0, 6.0, 31.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.zone.clock.at += seconds

    # ------------------------------------------------------------ the way

    @rule(number=st.none() | NUMBER)
    def arrives(self, number: int | None) -> None:
        self.parent.deliver(number)

    @rule(number=NUMBER)
    def arrives_again(self, number: int) -> None:
        if self.parent.way.sent:
            self.parent.arrive(*self.parent.way.sent[number % len(self.parent.way.sent)])

    @rule(number=NUMBER, answer=st.booleans())
    def is_lost(self, number: int, answer: bool) -> None:
        waiting: list[Any] = self.parent.way.answers if answer else self.parent.way.waiting
        if waiting:
            waiting.pop(number % len(waiting))

    @rule(number=st.none() | NUMBER)
    def is_answered(self, number: int | None) -> None:
        self.parent.hear(number)

    @rule(number=NUMBER)
    def is_answered_again(self, number: int) -> None:
        """Late by any time: but an image that was wanted once is not said to be wanted after a no."""
        said = self.parent.way.said
        if said:
            forward.answered(self.zone.core, *said[number % len(said)], told=self.parent.told)

    @rule(name=CHILD, limit=st.sampled_from([1, 2, 500]))
    def feed(self, name: str, limit: int) -> None:
        self.parent.feed(self.by_name[name], limit)

    @rule(name=CHILD, number=NUMBER)
    def an_old_document(self, name: str, number: int) -> None:
        child = self.by_name[name]
        if child.old_docs:
            mirror.document_heard(self.zone.core, child.zone_uuid,
                                  child.old_docs[number % len(child.old_docs)], self.parent.told)

    @rule(name=CHILD, up=st.booleans())
    def cut(self, name: str, up: bool) -> None:
        self.by_name[name].up = up

    @rule(server=servers, name=CHILD)
    def its_image_can_not_be_brought(self, server: str, name: str) -> None:
        forward.push_failed(self.zone.core, self.by_name[name].zone_uuid, server,
                            Conflict("no content", code="image_not_active"))

    # ------------------------------------------------------------ the neighbours

    @rule(name=CHILD)
    def builds(self, name: str) -> None:
        self.by_name[name].advance(self.zone.clock.at)

    @rule(server=servers, power=POWERS)
    def changes_there(self, server: str, power: str) -> None:
        for child, guest in self.parent.living(server):
            if guest.launched_at is not None:
                child.touch(guest, vm_state=power)

    @rule(server=servers, flavor=st.sampled_from(["one", "two", "four"]), confirmed=st.booleans())
    def resized_there(self, server: str, flavor: str, confirmed: bool) -> None:
        for child, guest in self.parent.living(server):
            if guest.launched_at is not None:
                child.touch(guest, flavor=flavor, old_flavor=None if confirmed else guest.flavor)

    @rule(server=servers)
    def deleted_by_its_zone(self, server: str) -> None:
        for child, guest in self.parent.living(server):
            if guest.launched_at is not None:
                child.touch(guest, deleted=True, vm_state=states.DELETED)
                self.deleted_there.add(server)

    @rule()
    def all_flows(self) -> None:
        self.parent.flow()

    @rule()
    def all_rests(self) -> None:
        self.comes_to_rest()

    # ------------------------------------------------------------ what holds always

    @invariant()
    def attempts_move_forward_and_one_lives(self) -> None:
        living: Counter[str] = Counter()
        current = {row["id"]: row["attempt_id"] for row in self.zone.rows(tables.server)}
        for row in self.zone.rows(tables.attempt):
            before = self.attempt_states.get(row["id"], row["state"])
            order = [states.OPEN, states.ACCEPTED, states.ATTEMPT_RUNNING, states.REFUSED, states.CANCELLED]
            assert order.index(row["state"]) >= order.index(before), (before, row)
            assert (before, row["state"]) != (states.ATTEMPT_RUNNING, states.REFUSED)
            self.attempt_states[row["id"]] = row["state"]
            if row["state"] in states.LIVE_ATTEMPTS:
                living[row["server_id"]] += 1
                assert current[row["server_id"]] == row["id"], "a living attempt is not the current one"
        assert all(count == 1 for count in living.values()), living

    @invariant()
    def what_lives_in_two_zones_is_recalled_from_one(self) -> None:
        recalled = {attempt for item in self.zone.work_rows() if item["kind"] == "remove"
                    for attempt in item["args"]["attempts"]}
        for server in {row["id"] for row in self.zone.rows(tables.server)}:
            lives = [guest for _, guest in self.parent.living(server) if guest.attempt not in recalled]
            assert len(lives) <= 1, lives

    @invariant()
    def deleted_stay_deleted(self) -> None:
        for row in self.zone.rows(tables.server):
            if row["deleted"]:
                assert row["id"] in self.deleted | self.deleted_there
                self.gone.add(row["id"])
            assert row["deleted"] == (row["id"] in self.gone)
            if row["id"] in self.deleted and not row["deleted"]:
                assert row["task_state"] == "deleting"

    @invariant()
    def quota_is_the_sum_of_what_lives(self) -> None:
        living = [row for row in self.zone.rows(tables.server) if not row["deleted"]]
        assert self.zone.usage() == (len(living), sum(row["quota_cores"] for row in living),
                                     sum(row["quota_ram"] for row in living))

    # ------------------------------------------------------------ what holds at rest

    def comes_to_rest(self) -> None:
        self.parent.rest()
        for child in self.parent.children.values():
            self.parent.feed(child)
            assert child.taken() <= child.room
        for row in self.zone.rows(tables.server):
            self.rests(row, self.parent.living(row["id"]))

    def rests(self, row: dict[str, Any], lives: list[Any]) -> None:
        about = (row["vm_state"], row["task_state"], row["fault"], lives)
        if row["id"] in self.deleted or row["deleted"]:
            assert row["deleted"] and not lives, about
            return
        assert row["vm_state"] not in (states.BUILDING, states.DELETED), about
        assert not row["hidden"], about
        if not lives:
            assert row["vm_state"] == states.ERROR, about
            assert row["fault"]["reason"] == "no_valid_host", about
            assert row["zone_uuid"] is None, about
            return
        (child, guest), = lives
        assert (row["zone_uuid"], row["attempt_id"], row["vm_state"], row["host"]) == (
            child.zone_uuid, guest.attempt, guest.vm_state, None), about
        cores = max(self.cores(name) for name in (guest.flavor, guest.old_flavor) if name)
        assert (row["flavor_id"], row["quota_cores"]) == (guest.flavor, cores), about

    @staticmethod
    def cores(flavor: str) -> int:
        return {"one": 1, "two": 2, "four": 4}[flavor]


def test_forwarded_life(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = set_clock(monkeypatch)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)

    def make() -> Parent:
        numbers = random.Random(7)
        monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128), version=4))
        clock.at = Clock().at
        zone = LifeZone(Path(tempfile.mkdtemp(dir=tmp_path)), sqlite_template, clock,
                        quota=Quota(instances=9, cores=40))
        return Parent(zone, Child("small", room=2), Child("wanting", room=2, wants_images=True),
                      Child("large", room=3, refuses_late=False))

    machine = type("Machine", (Forwarded,), {"make": staticmethod(make)})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, print_blob=True,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck)))
