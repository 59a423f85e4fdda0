"""Whatever happens in whatever order, a server becomes ACTIVE once, or ERROR with a reason, or is gone.

Hypothesis decides who does what when: users, processes that end between any two of their steps,
messages that are lost, repeated, delayed and reordered, hypervisors that are changed behind the
zone's back. What holds always is checked after each step; then everything comes up, everything that
waits is delivered, and what must hold at rest is checked against a small model.
"""

import logging
import os
import random
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.lifekit import IMAGE, POWER, Clock, LifeZone, Node, set_clock
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.db.engine import Database
from zones.errors import Conflict, Invalid, NotFound, OverQuota, Unavailable
from zones.servers.settle import settle

EXAMPLES, STEPS = int(os.environ.get("ZONES_TEST_LIVES", "60")), 40
"""An hour of `ZONES_TEST_LIVES=5000` is for those who change the core."""
NODES = {"c1": "1*4:8192:100", "c2": "2*3:8192:100"}
QUOTA = Quota(instances=9, cores=12)
PLAIN = ("pause", "unpause", "suspend", "resume", "stop", "start", "reboot_hard", "rescue", "unrescue")
DETAILED = {"resize": {"flavor_id": "two"}, "confirm_resize": {}, "revert_resize": {}, "unshelve": {},
            "rebuild": {"image_id": IMAGE.id}, "create_image": {"name": "snap"}, "shelve": {}}
ACTIONS = sorted({*PLAIN, *DETAILED})
MAY_FAIL = frozenset({"resize", "unshelve"})
"""For want of room."""
KEEP_POWER = frozenset({"rebuild", "confirm_resize", "revert_resize"})
"""They leave a guest on or off as it was (`states.after`)."""
REFUSED = (Conflict, Invalid, NotFound, OverQuota, Unavailable)
FUSE = st.none() | st.integers(0, 14)
WHICH = st.integers(0, 30)
HOW = st.sampled_from(["all", "one", "again", "lost"])
THEN = st.sampled_from(["nothing", "work", "flow"])
LEADS_TO = {state: frozenset(
    later for step in moves for later in {step, *states.ATTEMPT_MOVES[step]} | (
        set().union(*(states.ATTEMPT_MOVES[one] for one in states.ATTEMPT_MOVES[step]))))
    for state, moves in states.ATTEMPT_MOVES.items()}


@dataclass
class Known:
    """What a user knows of a server: `vm` once it rests, an action under way, a delete that was accepted.

    `free`: somebody else had a hand in it, so only what holds for every server is checked.
    """

    vm: str = states.BUILDING
    pending: str | None = None
    deleted: bool = False
    free: bool = False

    def may_rest_in(self) -> set[str]:
        if self.vm == states.BUILDING:
            return {states.ACTIVE, states.ERROR}
        if self.pending is None:
            return {self.vm}
        after = states.ACTIONS[self.pending].ends_in or self.vm
        if self.pending == "rebuild" and self.vm == states.STOPPED:
            return {states.STOPPED}  # as in Nova: what was off stays off
        if self.pending in KEEP_POWER and self.vm != states.ACTIVE:
            return {states.ACTIVE, states.STOPPED}  # as its power is, which is checked beside this
        return {after, self.vm} if self.pending in MAY_FAIL else {after}


@dataclass
class Between:
    """A database behind one of whose transactions something else comes in between."""

    db: Database
    name: str
    other: Callable[[], object]

    def run(self, transaction: Any, *args: Any) -> Any:
        result = self.db.run(transaction, *args)
        if transaction.__name__ == self.name:
            self.other()
        return result

    run_lightly = run


class Life(RuleBasedStateMachine):
    """The rules. `make` gives each example a zone of its own."""

    make: Callable[[], LifeZone]
    servers = Bundle("servers")
    node = st.sampled_from(sorted(NODES))

    def __init__(self) -> None:
        super().__init__()
        self.zone = self.make()
        self.known: dict[str, Known] = {}
        self.attempt_states: dict[str, str] = {}
        self.versions: dict[str, int] = {}

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.zone.close()

    # ------------------------------------------------------------ users and operators

    @initialize(target=servers)
    def begin(self) -> Any:
        self.groups = {policy: self.zone.group(policy) for policy in ("affinity", "anti-affinity")}
        self.zone.report()
        ids = self.zone.boots(2)
        self.known |= {server: Known() for server in ids}
        self.zone.flow()
        return multiple(*ids)

    @rule(target=servers, flavor=st.sampled_from(["one", "two"]), count=st.integers(1, 3), then=THEN,
          group=st.sampled_from([None, None, "affinity", "anti-affinity"]))
    def boot(self, flavor: str, count: int, then: str, group: str | None) -> Any:
        try:
            ids = self.zone.boots(count, flavor, hints={"group": self.groups[group]} if group else {})
        except OverQuota:
            return multiple()
        self.known |= {server: Known() for server in ids}
        self.then(then)
        return multiple(*ids)

    @rule(server=servers, number=st.integers(0, 99), then=THEN)
    def act(self, server: str, number: int, then: str) -> None:
        """Mostly an action that the server's state allows."""
        known, vm = self.known[server], self.zone.row(server)["vm_state"]
        allowed = [name for name in ACTIONS if vm in states.ACTIONS[name].allowed]
        names = allowed if allowed and number % 5 else ACTIONS
        name = names[number % len(names)]
        try:
            self.zone.act(server, name, **DETAILED.get(name, {}))
        except REFUSED:
            return
        assert not known.deleted, f"{name} of a deleted server was accepted"
        before = self.zone.row(server)["vm_state"]
        if not known.free:
            assert before in known.may_rest_in(), (before, known)
        known.vm, known.pending = before, name
        self.then(then)

    @rule(server=servers, then=THEN)
    def delete(self, server: str, then: str) -> None:
        try:
            self.zone.delete(server)
        except NotFound:
            assert self.known[server].deleted
        self.known[server].deleted = True
        self.then(then)

    @rule(server=servers, seen=st.booleans(),
          how=st.sampled_from(["stop", "crash", "start", "pause", "vanish"]))
    def behind_the_back(self, server: str, how: str, seen: bool) -> None:
        powers = {"stop": states.SHUTDOWN, "crash": states.CRASHED, "start": states.RUNNING,
                  "pause": states.PAUSED}
        for row in self.zone.guests():
            if row.server != server or not row.built:
                continue
            self.known[server].free = True
            node = self.zone.nodes[row.service]
            store = node.store
            if how == "vanish":
                store.erase(server, row.host)
            else:
                store.change(server, row.host, lambda one: replace(one, power=powers[how]), [], 9)
            store.close()
            if seen and node.up:
                node.service.monitor.compare()
                node.service.monitor.compare()

    @rule(server=servers, then=THEN)
    def settle(self, server: str, then: str) -> None:
        try:
            settle(self.zone.db, server, "op")
        except (Conflict, NotFound):
            return
        assert not self.known[server].deleted, "a deleted server was settled"
        self.known[server].free = True
        self.then(then)

    # ------------------------------------------------------------ the zone's process

    @rule(fuse=FUSE)
    def work(self, fuse: int | None) -> None:
        self.zone.run(self.zone.work, fuse=fuse)

    @rule()
    def work_with_two(self) -> None:
        """A second worker takes, places and sends between the first one's transactions."""
        first, second = self.zone.new_worker(), self.zone.new_worker()
        between = Between(self.zone.core.db, "_take", lambda: self.zone.work(second))
        first._core = replace(first._core, db=between)  # type: ignore[arg-type]
        self.zone.work(first)

    @rule(how=HOW, number=WHICH, fuse=FUSE)
    def hear(self, how: str, number: int, fuse: int | None) -> None:
        self.zone.run(self.zone.hear, self.from_queue("news", how, number), fuse=fuse)

    @rule(again=st.booleans())
    def keep_time(self, again: bool) -> None:
        if again:
            self.zone.start()
        self.zone.view.tick()
        self.zone.spread()

    # ------------------------------------------------------------ compute services

    @rule(name=node, how=HOW, number=WHICH, fuse=FUSE)
    def take(self, name: str, how: str, number: int, fuse: int | None) -> None:
        one = self.zone.nodes[name]
        if one.up:
            one.run(one.take, self.from_queue(f"host.{name}", how, number), fuse=fuse)

    @rule(name=node, most=st.integers(1, 4), fuse=FUSE, tell=st.booleans())
    def do_jobs(self, name: str, most: int, fuse: int | None, tell: bool) -> None:
        one = self.zone.nodes[name]
        one.run(one.jobs, most, fuse=fuse)
        if tell and one.up:
            one.service.herald.round()

    @rule(name=node, what=st.sampled_from(["herald", "report", "monitor", "house"]))
    def keep_going(self, name: str, what: str) -> None:
        one = self.zone.nodes[name]
        if one.up:
            step: dict[str, Callable[[], object]] = {
                "herald": one.service.herald.round, "report": one.service.reporter.changed,
                "monitor": one.service.monitor.compare, "house": one.service.keep_house}
            step[what]()

    @rule(name=node, crash=st.booleans(), start=st.booleans(), fuse=FUSE)
    def crash(self, name: str, crash: bool, start: bool, fuse: int | None) -> None:
        one = self.zone.nodes[name]
        if crash:
            one.crash()
        if start and not one.up:
            one.run(one.start, fuse=fuse)

    # ------------------------------------------------------------ the world between them

    @rule(seconds=st.sampled_from([0.5, 6.0, 31.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.zone.clock.at += seconds

    @rule()
    def all_flows(self) -> None:
        self.zone.flow()

    @rule()
    def all_rests(self) -> None:
        self.come_to_rest()

    def then(self, what: str) -> None:
        """What happens undisturbed after something that a user did."""
        if what == "flow":
            self.zone.flow()
        elif what == "work":
            self.zone.work()
            self.zone.to_hosts()

    def from_queue(self, queue: str, how: str, number: int) -> list[Any]:
        """Messages to deliver: all that wait, or one, or one that was sent before; or one is lost."""
        if how == "all":
            return self.zone.post.take(queue)
        if how == "again":
            return self.zone.post.again(queue, number)
        found = self.zone.post.take(queue, number)
        return [] if how == "lost" else found

    # ------------------------------------------------------------ what holds always

    @invariant()
    def attempts_move_forward(self) -> None:
        living: Counter[str] = Counter()
        current = {row["id"]: row["attempt_id"] for row in self.zone.rows(tables.server)}
        for row in self.zone.rows(tables.attempt):
            before = self.attempt_states.get(row["id"], row["state"])
            assert row["state"] == before or row["state"] in LEADS_TO[before], (before, row)
            self.attempt_states[row["id"]] = row["state"]
            if row["state"] in states.LIVE_ATTEMPTS:
                living[row["server_id"]] += 1
                assert current[row["server_id"]] == row["id"], "a living attempt is not the current one"
        assert all(count == 1 for count in living.values()), living

    @invariant()
    def versions_grow_and_deleted_stay_deleted(self) -> None:
        for row in self.zone.rows(tables.server):
            assert row["version"] >= self.versions.get(row["id"], 0)
            self.versions[row["id"]] = row["version"]
            assert not row["deleted"] or self.known[row["id"]].deleted, "deleted unasked"
            assert row["vm_state"] in states.VM_STATES
            states.status(row["vm_state"], row["task_state"])

    @invariant()
    def quota_is_the_sum_of_living_servers(self) -> None:
        living = [row for row in self.zone.rows(tables.server) if not row["deleted"]]
        assert self.zone.usage() == (len(living), sum(row["quota_cores"] for row in living),
                                     sum(row["quota_ram"] for row in living))
        assert len(living) <= QUOTA.instances

    @invariant()
    def room_is_the_sum_of_claims(self) -> None:
        for one in self.zone.nodes.values():
            if one.up:
                self.room_of(one)

    def room_of(self, one: Node) -> None:
        for host in one.service.book.room.hosts():
            mine = [claim for claim in one.service.book.claims() if claim.holds_room
                    and claim.host == host.name]
            used = one.service.book.room.used(host.name)
            assert used.servers == len(mine)
            assert used.vcpus >= sum(claim.vcpus for claim in mine)
            assert used.vcpus <= host.vcpus, "over-commit"

    @invariant()
    def hypervisors_hold_no_double_and_no_more_than_they_can(self) -> None:
        taken: Counter[str] = Counter()
        for one in self.zone.nodes.values():
            for row in one.guests():
                taken[row.host] += {"one": 1, "two": 2}[row.flavor]
        assert all(count <= (4 if host.startswith("c1") else 3) for host, count in taken.items()), taken
        seen = Counter(row.server for row in self.zone.guests())
        for server, count in seen.items():
            assert count == 1 or self.known[server].free, f"{server} runs {count} times"

    # ------------------------------------------------------------ what holds at rest

    def come_to_rest(self) -> None:
        self.zone.rest()
        rows = {row["id"]: row for row in self.zone.rows(tables.server)}
        assert rows.keys() == self.known.keys()
        for server, known in self.known.items():
            self.rests(known, rows[server])
        for one in self.zone.nodes.values():
            self.room_of(one)
            held = {claim.server for claim in one.claims()}
            there = {row.server for row in one.guests()}
            lost = {row["id"] for row in rows.values() if (row["fault"] or {}).get("reason") == (
                "lost_by_hypervisor")}
            assert there <= held <= there | lost, (there, held, lost)
        self.groups_hold(rows)
        unended = [row["action"] for row in self.zone.rows(tables.instance_action)
                   if row["finish_time"] is None and not self.known[row["server_id"]].deleted]
        assert not unended, unended

    def groups_hold(self, rows: dict[str, dict[str, Any]]) -> None:
        for policy, group in self.groups.items():
            hosts = [guest.host for guest in self.zone.guests() if rows[guest.server]["group_id"] == group]
            assert len(set(hosts)) == (len(hosts) if policy == "anti-affinity" else min(1, len(hosts))), hosts

    def rests(self, known: Known, row: dict[str, Any]) -> None:
        guest = self.zone.guest(row["id"])
        if known.deleted:
            assert row["deleted"] and guest is None, row
            return
        vm, about = row["vm_state"], (known, row["vm_state"], row["task_state"], row["fault"], guest)
        assert not row["deleted"] and not row["hidden"] and row["task_state"] is None, about
        assert vm not in (states.BUILDING, states.DELETED), about
        if vm == states.ERROR:
            assert row["fault"]["message"], about
            assert row["fault"]["reason"] in ("no_valid_host", "lost_by_hypervisor"), about
            assert guest is None, about
        elif vm == states.SHELVED_OFFLOADED:
            assert guest is None and row["shelved_image_id"] in self.zone.images.held, about
        else:
            assert guest is not None and guest.built and guest.host == row["host"], about
            assert guest.attempt == row["attempt_id"] and guest.flavor == row["flavor_id"], about
            assert guest.power == row["power_state"], about
            if not known.free and vm in POWER:
                assert guest.power == POWER[vm], about
        if not known.free:
            assert vm in known.may_rest_in(), about
        known.vm, known.pending = vm, None


def test_life(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = set_clock(monkeypatch)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)

    def make() -> LifeZone:
        numbers = random.Random(7)
        monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128), version=4))
        clock.at = Clock().at
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        return LifeZone(folder, sqlite_template, clock, nodes=NODES, quota=QUOTA)

    machine = type("Machine", (Life,), {"make": staticmethod(make)})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.reuse, Phase.generate,
                                                         Phase.shrink]))
