"""The decision beside a naive one in plain Python, and what a decision must be whatever the hosts."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hosts import flavor, report, request, table_of
from zones.capabilities.columns import Flags, Floats
from zones.capabilities.host_table import HostTable
from zones.capabilities.inflight import InFlight
from zones.capabilities.room import Capacity
from zones.config import Placement
from zones.protocol import GroupValue, HostReport
from zones.scheduler import fit
from zones.scheduler.filters import HostFilter, only
from zones.scheduler.place import STEPS, place
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest
from zones.scheduler.weighers import Weigher

PLACEMENT = Placement(cpu_allocation_ratio=2.0, ram_allocation_ratio=1.5, reserved_ram=1,
                      ram_weight=1.0, cpu_weight=0.5, disk_weight=-0.25, count_weight=0.5)
POLICY = Policy.of(PLACEMENT)
NAMES = [f"h{number}" for number in range(24)]

some_hosts = st.frozensets(st.sampled_from(NAMES), max_size=6)
host_values = st.fixed_dictionaries({
    "vcpus": st.integers(0, 8), "ram": st.integers(0, 16), "disk": st.integers(0, 9),
    "vcpus_used": st.integers(0, 9), "ram_used": st.integers(0, 12), "disk_used": st.integers(0, 9),
    "servers": st.integers(0, 3), "availability_zone": st.sampled_from(["az1", "az2"]),
    "enabled": st.sampled_from([True, True, True, False]),
    "capabilities": st.sampled_from([{}, {"gpu": ["a100"]}, {"gpu": ["a100", "h100"], "net": ["10g"]}]),
    "interval": st.sampled_from([10.0, 10.0, 10.0, 1.0])})
hosts = st.lists(host_values, max_size=len(NAMES))
groups = st.none() | st.builds(
    GroupValue, st.just("g"), st.sampled_from(["affinity", "anti-affinity", "soft-affinity"]),
    st.sampled_from([{}, {"max_server_per_host": 2}]), st.lists(st.sampled_from(NAMES), max_size=4))
requests = st.builds(
    request, st.sampled_from(["s1", "s2"]),
    st.builds(flavor, st.integers(1, 4), st.integers(1, 6), st.integers(0, 3),
              extra_specs=st.sampled_from([
                  {}, {}, {"gpu": "a100"}, {"capabilities:net": "10g", "hw:x": "y"}])),
    excluded=some_hosts, refused_lately=some_hosts, same_hosts=st.none() | st.none() | some_hosts,
    different_hosts=some_hosts, group=groups, availability_zone=st.none() | st.sampled_from(["az1", "az9"]),
    force_host=st.none() | st.none() | st.sampled_from(NAMES),
    hints=st.sampled_from([{}, {}, {"zone_capabilities": ["gpu=h100;b200"]}]))


def build(values: list[dict[str, Any]]) -> tuple[HostTable, list[HostReport]]:
    heard = [report(name, **given_values) for name, given_values in zip(NAMES, values, strict=False)]
    table = table_of(*heard, placement=PLACEMENT)
    table.expire(5.0, 0.0)
    return table, heard


class Naive:
    """The same decision, host by host, in the words of the rules."""

    def __init__(self, asked: PlacementRequest, host: HostReport) -> None:
        self.asked, self.host, self.spec = asked, host, asked.spec
        self.cap = Capacity(2 * host.vcpus, max(0, int(1.5 * host.ram) - 1), host.disk)
        self.free = self.cap.minus(Capacity(host.vcpus_used, host.ram_used, host.disk_used))
        self.reason = next((reason for reason, rejects in self.rules() if rejects), None)
        self.for_good = self.reason not in (None, "ram", "vcpus", "disk") or any(
            wanted > there for wanted, there in zip(asked.need, self.cap, strict=True))

    def rules(self) -> list[tuple[str, bool]]:
        host, spec, asked = self.host, self.spec, self.asked
        gpus, nets = host.capabilities.get("gpu", []), host.capabilities.get("net", [])
        members = spec.group.members if spec.group else []
        policy = spec.group.policy if spec.group else ""
        most = spec.group.rules.get("max_server_per_host", 1) if spec.group else 1
        extra = spec.flavor.extra_specs
        return [
            ("silent", host.interval == 1.0), ("disabled", not host.enabled),
            ("tried", host.host in asked.excluded),
            ("not_the_host", spec.force_host not in (None, host.host)),
            ("availability_zone", spec.availability_zone not in (None, host.availability_zone)),
            ("capability", ("gpu" in extra and "a100" not in gpus)
             or ("capabilities:net" in extra and "10g" not in nets)),
            ("zone_capability", bool(spec.hints) and "h100" not in gpus),
            ("same_host", asked.same_hosts is not None and host.host not in asked.same_hosts),
            ("different_host", host.host in asked.different_hosts),
            ("affinity", policy == "affinity" and bool(members) and host.host not in members),
            ("anti_affinity", policy == "anti-affinity" and members.count(host.host) >= most),
            ("refused_lately", host.host in asked.refused_lately),
            ("ram", asked.need.ram > self.free.ram), ("vcpus", asked.need.vcpus > self.free.vcpus),
            ("disk", asked.need.disk > 0 and asked.need.disk > self.free.disk)]

    def weight(self) -> float:
        left, group = self.free.minus(self.asked.need), self.spec.group
        share = [max(0.0, there / whole) if whole else 0.0
                 for there, whole in zip(left, self.cap, strict=True)]
        total = share[1] + 0.5 * share[0] - 0.25 * share[2] + 0.5 / (1 + self.host.servers)
        if group is not None and group.policy == "soft-affinity" and group.members:
            total += group.members.count(self.host.host) / len(group.members)
        return total


@settings(max_examples=400, deadline=None)
@given(hosts, requests, st.integers(1, 30))
def test_it_decides_as_the_naive_one(values: list[dict[str, Any]], asked: PlacementRequest,
                                     keep: int) -> None:
    table, heard = build(values)
    decision = place(asked, table, replace(POLICY, keep=keep))
    naive = {host.host: Naive(asked, host) for host in heard}
    passing = {name: one.weight() for name, one in naive.items() if one.reason is None}
    assert (decision.considered, decision.passed) == (len(heard), len(passing))
    assert {reason: one.count for reason, one in decision.rejected.items()} == Counter(
        one.reason for one in naive.values() if one.reason)
    for reason, rejection in decision.rejected.items():
        assert len(rejection.examples) == min(3, rejection.count)
        assert all(naive[example["host"]].reason == reason for example in rejection.examples)
    ranked = [one.target for one in decision.ranked]
    assert len(set(ranked)) == len(ranked) == min(keep, len(passing))
    for one in decision.ranked:
        assert one.weight == pytest.approx(passing[one.target])
        assert one.service == "compute-1"
    step = 4 / STEPS
    weights = [passing[name] for name in ranked]
    assert all(after <= before + step for before, after in pairwise(weights))
    assert all(weight <= weights[-1] + step for name, weight in passing.items() if name not in ranked)
    hopeful = {name for name, one in naive.items() if one.reason and not one.for_good}
    if len(ranked) < keep:
        maybes = [one.target for one in decision.maybes]
        assert set(maybes) <= hopeful
        assert len(maybes) == min(keep, len(hopeful))
        believed = [min(1.0, *(there / wanted for wanted, there in zip(
            asked.need, naive[name].free, strict=True) if wanted)) for name in maybes]
        assert all(after <= before + step or before <= -1
                   for before, after in pairwise(believed))


@settings(max_examples=50, deadline=None)
@given(hosts, requests)
def test_it_is_a_function_of_what_it_is_given(values: list[dict[str, Any]], asked: PlacementRequest) -> None:
    table, _ = build(values)
    again, _ = build(values)
    assert place(asked, table, POLICY) == place(asked, table, POLICY) == place(asked, again, POLICY)


@settings(max_examples=50, deadline=None)
@given(hosts, requests)
def test_a_decision_leaves_the_table_as_it_was(values: list[dict[str, Any]], asked: PlacementRequest) -> None:
    table, _ = build(values)
    before = list(table.states())
    place(asked, table, POLICY)
    assert list(table.states()) == before


def test_equals_share_the_load_and_each_request_has_its_own_order() -> None:
    table = table_of(*(report(f"h{number}") for number in range(10)))
    policy = Policy.of(Placement())
    first = Counter(place(request(f"server-{n}"), table, policy).ranked[0].target for n in range(1000))
    assert len(first) == 10
    assert max(first.values()) < 200
    orders = {tuple(one.target for one in place(request(f"server-{n}"), table, policy).ranked)
              for n in range(100)}
    assert len(orders) > 90


def test_order_of_the_reports_does_not_matter() -> None:
    reports = [report(f"h{number}", ram_used=number % 3) for number in range(50)]
    policy = Policy.of(Placement())
    assert place(request(), table_of(*reports), policy) == place(
        request(), table_of(*reversed(reports)), policy)


def test_a_batch_fills_exactly_the_room() -> None:
    table = table_of(*(report(f"h{number}") for number in range(5)))
    view, policy = InFlight(table), Policy.of(Placement())
    picked: Counter[str] = Counter()
    for number in range(60):
        decision = place(request(f"s{number}", flavor(1, 1024, 0)), table, policy)
        if decision.ranked:
            picked[decision.ranked[0].target] += 1
            view.add(f"a{number}", decision.ranked[0].target, decision.need)
    assert picked == {f"h{number}": 8 for number in range(5)}
    assert decision.best is not None
    assert (len(decision.ranked), len(decision.maybes), decision.best.target) == (
        0, 5, decision.maybes[0].target)


def test_only_the_best_carry_their_weights_by_weigher() -> None:
    table = table_of(*(report(f"h{number}") for number in range(10)))
    ranked = place(request(), table, Policy.of(Placement())).ranked
    assert [bool(one.weights) for one in ranked] == [True] * 5 + [False] * 5
    assert set(ranked[0].weights) == {"ram", "cpu", "disk", "count"}


def test_a_host_that_could_never_hold_it_is_no_maybe() -> None:
    table = table_of(report("small", ram=1024), report("full", ram_used=8000))
    decision = place(request(like=flavor(1, 4096, 1)), table, Policy.of(Placement()))
    assert [one.target for one in decision.maybes] == ["full"]
    assert decision.rejected["ram"].examples == [
        {"host": "small", "need": 4096, "free": 1024, "total": 1024},
        {"host": "full", "need": 4096, "free": 192, "total": 8192}]


def test_a_zone_without_hosts() -> None:
    decision = place(request(), table_of(), Policy.of(Placement()))
    assert (decision.considered, decision.ranked, decision.best, decision.lately) == (0, [], None, 0)


def test_a_fresh_refusal_is_told_apart() -> None:
    decision = place(request(refused_lately=frozenset({"h1"})), table_of(report()), Policy.of(Placement()))
    assert (decision.best, decision.lately) == (None, 1)


class Odd(HostFilter):
    """A plug-in that lets pass the hosts with an odd number."""

    name, reason = "odd", "not_odd"

    def mask(self, request: PlacementRequest, table: HostTable) -> Flags:
        return only(table, ["h1", "h3"])


class Broken(HostFilter, Weigher):
    """A plug-in that raises, as filter or as weigher."""

    name, reason = "broken", "never"

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        raise KeyError("nothing here")


class Second(Weigher):
    """A plug-in that wants the second host."""

    name = "second"

    def weigh(self, request: PlacementRequest, table: HostTable) -> Floats:
        return only(table, ["h1"]).astype(float)


def test_plug_ins_filter_and_weigh() -> None:
    table = table_of(*(report(f"h{number}") for number in range(4)))
    decision = place(request(), table, Policy.of(Placement(), (Odd(),), ((Second(), 5.0),)))
    assert [one.target for one in decision.ranked] == ["h1", "h3"]
    assert decision.rejected["not_odd"].count == 2
    assert decision.ranked[0].weights["second"] == 1.0


def test_a_no_for_good_behind_a_live_one_leaves_no_maybe() -> None:
    table = table_of(*(report(f"h{number}", ram_used=8000) for number in range(3)))
    decision = place(request(), table, Policy((fit.RAM, Odd()), ()))
    assert [one.target for one in decision.maybes] == ["h1"]


@pytest.mark.parametrize("policy", [Policy.of(Placement(), (Broken(),)),
                                    Policy.of(Placement(), (), ((Broken(), 1.0),))])
def test_a_plug_in_that_raises_rejects_with_that_reason(policy: Policy) -> None:
    table = table_of(report("h1"), report("h2", enabled=False))
    decision = place(request(), table, policy)
    assert (decision.passed, decision.best) == (0, None)
    assert (decision.rejected["broken_error"].count, decision.rejected["disabled"].count) == (1, 1)
    assert "broken" in decision.rejected["broken_error"].examples[0]["error"] or (
        "KeyError" in decision.rejected["broken_error"].examples[0]["error"])
