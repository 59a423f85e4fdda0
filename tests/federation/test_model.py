"""Whatever the network and the crashes do to a tree of zones, each server is in one place, or nowhere.

Hypothesis decides who does what when in three to six zones: users, workers, hosts, polls and feeds, requests
and answers that are lost, late, repeated and out of order, zones that restart or come back from a backup.
What holds always is checked after each step; at the end all is healed and settles, and the rest is checked.

The seed of a run is printed; `ZONES_MODEL_SEED=N` makes that run again, with the same `ZONES_MODEL_EXAMPLES`
(1000 looks longer than the default). A failure prints its steps, too, and `@reproduce_failure('…', b'BLOB')`:
`ZONES_MODEL_REPLAY=BLOB` does just those steps.
"""

import logging
import os
import random
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, reproduce_failure, seed, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.federation.forest import TREES, Forest, Known
from tests.federation.tree import TreeZone
from tests.lifekit import Clock, set_clock
from zones import states
from zones.errors import Conflict, Invalid, NotFound, OverQuota, Unavailable, Unknown
from zones.neighbours import poll

EXAMPLES, STEPS = int(os.environ.get("ZONES_MODEL_EXAMPLES", "9")), 40
PLAIN = ("pause", "unpause", "suspend", "resume", "stop", "start", "reboot_hard", "rescue", "unrescue")
DETAILED: dict[str, dict[str, Any]] = {
    "resize": {"flavor_id": "two"}, "confirm_resize": {}, "revert_resize": {}}
ACTIONS = sorted({*PLAIN, *DETAILED})
REFUSED = (Conflict, Invalid, NotFound, OverQuota, Unavailable, Unknown)
ZONE = st.integers(0, 5)
NUMBER = st.integers(0, 30)
ONE = st.none() | NUMBER
FATE = st.sampled_from(["", "", "", "lost", "unheard"])
THEN = st.sampled_from([0, 0, 1, 3])
FUSE = st.none() | st.none() | st.integers(0, 14)


class Federation(RuleBasedStateMachine):
    """The rules. `make` gives each example a forest of its own, of the zones that a name of `TREES` says."""

    make: Callable[[str], Forest]
    servers = Bundle("servers")

    def __init__(self) -> None:
        super().__init__()
        self.forest: Any = None

    def teardown(self) -> None:
        if self.forest is not None:
            try:
                self.forest.settles()
            finally:
                self.forest.close()

    def zone(self, number: int) -> TreeZone:
        zones: list[TreeZone] = self.forest.zones
        return zones[number % len(zones)]

    def link(self, number: int) -> tuple[TreeZone, str]:
        """A zone that asks, and one that it is linked to."""
        ways = self.forest.ways
        asker, answerer = ways[number % len(ways)]
        return asker, answerer.uuid

    # ------------------------------------------------------------ users

    @initialize(target=servers, tree=st.sampled_from(sorted(TREES)), flows=st.sampled_from([0, 1, 4, 4, 4]))
    def begin(self, tree: str, flows: int) -> Any:
        self.forest = self.make(tree)
        for _ in range(flows):
            self.forest.flow()
        return multiple(*self.forest.boots(self.zone(0), 2, "one", ""))

    @rule(target=servers, zone=st.just(0) | ZONE, count=st.integers(1, 3), then=THEN,
          flavor=st.sampled_from(["one", "one", "two"]), where=st.sampled_from(["", "", "", "gpu", "az"]))
    def boot(self, zone: int, count: int, flavor: str, where: str, then: int) -> Any:
        ids = self.forest.boots(self.zone(zone), count, flavor, where)
        self.then(then)
        return multiple(*ids)

    @rule(server=servers, number=st.integers(0, 99), fate=FATE, then=THEN)
    def act(self, server: str, number: int, fate: str, then: int) -> None:
        """Mostly an action that the server's state allows."""
        known: Known = self.forest.known[server]
        row = self.forest.row(known.zone, server)
        if row is None:
            return
        allowed = [name for name in ACTIONS if row["vm_state"] in states.ACTIONS[name].allowed]
        names = allowed if allowed and number % 5 else ACTIONS
        name = names[number % len(names)]
        self.ask(known, server, name, DETAILED.get(name, {}), fate)
        self.then(then)

    @rule(server=servers, what=st.sampled_from(["metadata", "tags", "name"]), number=NUMBER, fate=FATE)
    def edit(self, server: str, what: str, number: int, fate: str) -> None:
        args = {"name": f"vm-{number}"} if what == "name" else {f"k{number}": "v"}
        self.ask(self.forest.known[server], server, what, args, fate)

    def ask(self, known: Known, server: str, name: str, args: dict[str, Any], fate: str) -> None:
        self.forest.net.fate = fate
        try:
            known.zone.ask(server, name, args)
        except REFUSED:
            return
        finally:
            self.forest.net.fate = ""
        assert known.touched or not known.deleted or name not in ACTIONS, f"{name} of a deleted server"

    @rule(server=servers, then=THEN)
    def delete(self, server: str, then: int) -> None:
        self.forest.delete(server)
        self.then(then)

    def then(self, flows: int) -> None:
        """What happens undisturbed after something that a user did."""
        for _ in range(flows):
            self.forest.flow()

    # ------------------------------------------------------------ what zones do

    @rule(zone=ZONE, fuse=FUSE)
    def work(self, zone: int, fuse: int | None) -> None:
        one = self.zone(zone)
        one.run(one.work, fuse=fuse)

    @rule(zone=ZONE, build=st.booleans(), tell=st.booleans())
    def hosts_work(self, zone: int, build: bool, tell: bool) -> None:
        one = self.zone(zone)
        one.to_hosts()
        for node in one.nodes.values():
            node.jobs(1000 if build else 1)
        if tell:
            one.to_zone()

    @rule(zone=ZONE, what=st.sampled_from(["number", "summary", "tick", "report", "all"]))
    def keeps(self, zone: int, what: str) -> None:
        one = self.zone(zone)
        if what == "tick":
            one.view.tick()
            one.spread()
        elif what == "report":
            one.report()
        elif what == "number":
            one.number()
        elif what == "summary":
            one.writer.write()
        else:
            one.report()
            one.number()
            one.writer.write()

    @rule(link=NUMBER, fate=FATE, what=st.sampled_from(["poll", "follow", "number and follow"]))
    def asks(self, link: int, fate: str, what: str) -> None:
        asker, answerer = self.link(link)
        if what == "number and follow":
            self.forest.net.zones[answerer].number()
        self.forest.net.fate = fate
        (asker.poll if what == "poll" else asker.follow)(answerer)
        self.forest.net.fate = ""

    @rule(zone=ZONE, what=st.sampled_from(["restart", "back up", "restore"]), number=NUMBER)
    def suffers(self, zone: int, what: str, number: int) -> None:
        one = self.zone(zone)
        if what == "restart":
            one.start()
        elif what == "back up":
            for each in self.forest.zones:
                self.forest.back_up(each)
        else:
            self.forest.restore(one, number)

    @rule(seconds=st.sampled_from([0.5, 6.0, 11.0, 31.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.forest.clock.at += seconds

    @rule(zone=st.none() | ZONE)
    def flows(self, zone: int | None) -> None:
        (self.forest if zone is None else self.zone(zone)).flow()

    # ------------------------------------------------------------ the way between them

    @rule(how=st.sampled_from(["deliver", "deliver", "again", "lose"]), number=ONE, answer=st.booleans())
    def carries(self, how: str, number: int | None, answer: bool) -> None:
        """All requests or answers that wait, or one of them; or one of before again."""
        net = self.forest.net
        if how == "deliver":
            (net.hear if answer else net.deliver)(number)
        elif how == "again":
            net.again(number or 0, answer=answer)
        else:
            net.lose(number, answer=answer)

    @rule(link=NUMBER, cut=st.booleans())
    def is_cut_or_healed(self, link: int, cut: bool) -> None:
        asker, answerer = self.link(link)
        (self.forest.net.cut.add if cut else self.forest.net.cut.discard)((asker.uuid, answerer))

    # ------------------------------------------------------------ what holds always

    @invariant()
    def holds(self) -> None:
        if self.forest is not None:
            self.forest.holds()


@pytest.mark.timeout(7200)
def test_federation(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = set_clock(monkeypatch)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    ask = poll.ask
    monkeypatch.setattr(poll, "ask", partial(ask, clock=clock.monotonic))

    def make(tree: str) -> Forest:
        numbers = random.Random(7)
        monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128), version=4))
        clock.at = Clock().at
        return Forest(TREES[tree], Path(tempfile.mkdtemp(dir=tmp_path)), sqlite_template, clock)

    machine = type("Machine", (Federation,), {"make": staticmethod(make)})
    blob = os.environ.get("ZONES_MODEL_REPLAY")
    if blob:
        reproduce_failure(hypothesis.__version__, blob.encode())(machine)
    else:
        number = int(os.environ.get("ZONES_MODEL_SEED") or random.SystemRandom().getrandbits(32))
        print(f"ZONES_MODEL_SEED={number} ZONES_MODEL_EXAMPLES={EXAMPLES}")
        seed(number)(machine)
    run_state_machine_as_test(machine, settings=settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, print_blob=True,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]))
