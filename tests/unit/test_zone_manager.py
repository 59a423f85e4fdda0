"""The view of one process: warm before it decides, and silence counts only while it hears itself."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.hosts import report, request
from tests.lifekit import Clock
from zones.capabilities.classes import CapabilityClass, Slots
from zones.capabilities.summary import Entry, to_plain
from zones.config import Placement, Timing
from zones.protocol import Echo, HostReport, LinksChanged, Message, News, Solicit
from zones.zone_manager import ZoneManager


@dataclass
class Zone:
    """What the view reads of the database, and what it sends."""

    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    zones: dict[str, str] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    linked: dict[str, dict[str, Any]] = field(default_factory=dict)
    summaries: dict[int, Any] = field(default_factory=dict)
    fetched: list[int] = field(default_factory=list)
    now: Callable[[], float] = time.time

    def live_services(self) -> dict[str, dict[str, Any]]:
        return {name: {"boot": 1, "disabled": False, **service} for name, service in self.services.items()}

    def attempts_since(self, seconds: float) -> list[dict[str, Any]]:
        return self.attempts

    def service_of_host(self, host: str) -> str | None:
        return "from-db" if host == "known" else None

    def may_have_hosts(self) -> bool:
        return True

    def host_zones(self) -> dict[str, str]:
        return self.zones

    def links(self) -> list[dict[str, Any]]:
        return [{**row, "age": None if row["summary_at"] is None else self.now() - row["summary_at"]}
                for row in self.linked.values()]

    def link_summaries(self, ids: Collection[int]) -> dict[int, tuple[Any, float | None]]:
        self.fetched += ids
        at = {row["id"]: row["summary_at"] for row in self.linked.values()}
        return {number: (self.summaries.get(number), at[number]) for number in ids}

    def send(self, message: Message) -> bool:
        self.sent.append(message)
        return True


@pytest.fixture
def zone() -> Zone:
    return Zone(services={"compute-1": {"hosts": ["h1", "h2"]}})


@pytest.fixture
def view(zone: Zone, clock: Clock) -> ZoneManager:
    return ZoneManager(Placement(cpu_allocation_ratio=1.0), Timing(), {}, zone, zone.send)


def hear(view: ZoneManager, zone: Zone, *reports: HostReport) -> None:
    """Its own echo, and these reports."""
    view.heard([message for message in zone.sent if isinstance(message, Echo)] + list(reports))
    zone.sent.clear()


def attempt(name: str = "a1", host: str = "h1", state: str = "open", **given: Any) -> dict[str, Any]:
    return {"id": name, "target": host, "state": state, "vcpus": 1, "ram": 1024, "disk": 10,
            "counted_boot": 0, "counted_seq": 0, **given}


def news(state: str, host: str = "h1", name: str = "a1", reason: str | None = None, **given: Any) -> News:
    return News(id=f"{name}:1", service="compute-1", host=host, server="s1", attempt=name, version=1,
                state=state, reason=reason, report=report(host, **given))


def free(view: ZoneManager, host: str = "h1") -> int:
    state = view.table.state(host)
    assert state is not None
    return state.free.vcpus


# ------------------------------------------------------------------ warm

def test_it_is_warm_once_every_live_service_has_reported(view: ZoneManager, zone: Zone) -> None:
    view.tick()
    assert not view.warm()
    hear(view, zone, report("h1"))
    view.tick()
    assert not view.warm(), "h2 has not reported"
    hear(view, zone, report("h2"))
    view.tick()
    assert view.warm()


def test_it_waits_for_a_silent_host_one_and_a_half_intervals_and_no_longer(
        view: ZoneManager, zone: Zone, clock: Clock) -> None:
    hear(view, zone, report("h1"))
    clock.at += 14
    view.tick()
    assert not view.warm()
    clock.at += 2
    view.tick()
    assert view.warm()


def test_without_any_service_it_waits_as_long(view: ZoneManager, zone: Zone, clock: Clock) -> None:
    zone.services.clear()
    view.tick()
    assert not view.warm()
    clock.at += 16
    view.tick()
    assert view.warm()


def test_who_starts_asks_everybody(view: ZoneManager, zone: Zone) -> None:
    view.start()
    view.stop(5.0)
    assert Solicit(view.process) in zone.sent


# ------------------------------------------------------------------ silence

def live(view: ZoneManager, zone: Zone, clock: Clock, seconds: float, *hosts: str) -> None:
    """So much time, in which it hears itself and these hosts."""
    for number in range(int(seconds)):
        clock.at += 1
        view.tick()
        hear(view, zone, *(report(host, seq=int(clock.at) + number) for host in hosts))


def test_a_silent_host_is_out_after_three_intervals(view: ZoneManager, zone: Zone, clock: Clock) -> None:
    live(view, zone, clock, 2, "h1", "h2")
    live(view, zone, clock, 28, "h1")
    assert view.is_up("h2")
    live(view, zone, clock, 4, "h1")
    assert (view.is_up("h1"), view.is_up("h2")) == (True, False)
    live(view, zone, clock, 1, "h2")
    assert view.is_up("h2"), "it came back"


def test_who_does_not_hear_itself_takes_nobody_for_dead(view: ZoneManager, zone: Zone, clock: Clock) -> None:
    live(view, zone, clock, 2, "h1", "h2")
    for _ in range(300):
        clock.at += 1
        view.tick()
    assert view.is_up("h1")
    assert view.is_up("h2")


def test_after_an_outage_of_the_broker_silence_counts_from_its_end(
        view: ZoneManager, zone: Zone, clock: Clock) -> None:
    live(view, zone, clock, 2, "h1", "h2")
    for _ in range(100):
        clock.at += 1
        view.tick()
    zone.sent.clear()
    live(view, zone, clock, 25, "h1")
    assert view.is_up("h2"), "its report may still be on its way"
    live(view, zone, clock, 10, "h1")
    assert not view.is_up("h2")


def test_the_echo_of_another_process_is_not_its_own(view: ZoneManager, zone: Zone, clock: Clock) -> None:
    hear(view, zone, report("h1"), report("h2"))
    for _ in range(100):
        clock.at += 1
        view.tick()
        view.heard([Echo("another", clock.at)])
    assert view.is_up("h1")


# ------------------------------------------------------------------ in flight

def test_a_choice_is_in_flight_until_a_report_that_has_it(view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1"))
    choice = view.choose(request(), {}, "a1")
    assert (choice.target, free(view)) == ("h1", 7)
    hear(view, zone, report("h1", seq=2))
    assert free(view) == 7, "a report from before its claim"
    view.told(news("accepted", seq=3, vcpus_used=1), None)
    assert free(view) == 7
    assert "a1" not in view.inflight


def test_what_was_not_attempted_after_all_frees_its_room(view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1"))
    view.choose(request(), {}, "a1")
    view.dropped("a1")
    assert free(view) == 8


@pytest.mark.parametrize("state", ["refused", "cancelled"])
def test_a_refused_or_cancelled_attempt_frees_its_room(view: ZoneManager, zone: Zone, state: str) -> None:
    hear(view, zone, report("h1"))
    view.choose(request(), {}, "a1")
    view.told(news(state, seq=2), attempt())
    assert free(view) == 8


def test_attempts_of_other_processes_and_of_before_the_start_count(view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1"), report("h2"))
    zone.attempts = [attempt("a1"), attempt("a2", state="refused"),
                     attempt("a3", "h2", "accepted", counted_boot=1, counted_seq=1),
                     attempt("a4", "h2", "accepted", counted_boot=1, counted_seq=2)]
    view.tick()
    assert (free(view, "h1"), free(view, "h2")) == (7, 7)
    zone.attempts = [attempt("a1", state="cancelled")]
    view.tick()
    assert free(view, "h1") == 8


def test_a_no_for_want_of_room_is_remembered_for_that_shape_only(view: ZoneManager, zone: Zone,
                                                                 clock: Clock) -> None:
    hear(view, zone, report("h1"))
    view.choose(request(), {}, "a1")
    view.told(news("refused", reason="ram", seq=2), attempt())
    assert view.choose(request("s2"), {}, "a2").target is None
    clock.at += 3
    assert view.choose(request("s3"), {}, "a3").target == "h1", "its no does not hold for ever"


# ------------------------------------------------------------------ what operators said

def test_a_disabled_service_and_an_aggregates_zone_count_from_the_next_report(
        view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1"), report("h2"))
    zone.services["compute-1"] = {"hosts": ["h1", "h2"], "disabled": True}
    zone.zones = {"h2": "az2"}
    view.tick()
    hear(view, zone, report("h1", seq=2), report("h2", seq=2))
    hosts = {one.host: one for one in view.hosts()}
    assert [(one.enabled, one.availability_zone) for _, one in sorted(hosts.items())] == [
        (False, "nova"), (False, "az2")]
    assert view.choose(request(), {}, "a1").target is None


def test_a_report_that_no_host_can_mean_is_left_out(view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1", vcpus=-1), report("h2"))
    assert [one.host for one in view.hosts()] == ["h2"]


def test_who_owns_a_host_that_was_never_heard_is_asked_of_the_database(view: ZoneManager, zone: Zone) -> None:
    hear(view, zone, report("h1"))
    assert [view.service_of(host) for host in ("h1", "known", "x")] == ["compute-1", "from-db", None]


# ------------------------------------------------------------------ links

def link(zone: Zone, name: str = "east", slots: int = 2, number: int = 1, **given: Any) -> None:
    """The zone is linked to another, which said this about itself just now."""
    kinds = [CapabilityClass("az", 1, {}, [Slots(1, 1024, 10, slots)])]
    zone.summaries[number] = to_plain({name: Entry(name, classes=kinds)})
    before = zone.linked.get(name, {"generation": 0})
    zone.linked[name] = {
        "id": number, "zone_uuid": name, "name": f"to-{name}", "relation": "child", "weight_offset": 0.0,
        "weight_scale": 1.0, "state": "enabled", "is_active": True, "epoch": "e",
        "generation": before["generation"] + 1, "summary_at": zone.now(), "feed_head": 5,
        "polled_at": zone.now(), **given}


@pytest.fixture
def linked(view: ZoneManager, zone: Zone, clock: Clock) -> ZoneManager:
    """A view of a zone without hosts that is linked to `east`."""
    zone.now = lambda: clock.at
    link(zone)
    view.tick()
    return view


def held(view: ZoneManager) -> int:
    return view.links()[0].held_servers


def sent(name: str = "a1", state: str = "open", seq: int = 0, **given: Any) -> dict[str, Any]:
    return {**attempt(name, "east", state), "kind": "link", "counted_seq": seq, "reason": None, **given}


def test_what_is_sent_to_a_link_is_in_flight_until_its_summary_counts_it(
        linked: ZoneManager, zone: Zone) -> None:
    for name in ("a1", "a2"):
        choice = linked.choose(request(name), {}, name)
        assert (choice.target, choice.kind, choice.maybe) == ("east", "link", False)
    assert linked.choose(request("s3"), {}, "a3").maybe
    linked.dropped("a3")
    zone.attempts = [sent("a1"), sent("a2", "running", 6)]
    linked.tick()
    assert held(linked) == 2
    link(zone, slots=1, feed_head=6)
    linked.tick()
    assert held(linked) == 1
    assert linked.choose(request("s4"), {}, "a4").maybe


def test_what_other_processes_have_sent_counts(linked: ZoneManager, zone: Zone) -> None:
    zone.attempts = [sent("b1"), sent("b2", "accepted"), sent("b3", "refused"), sent("b4", "running", 4)]
    linked.tick()
    assert held(linked) == 2


def test_a_refusal_for_want_of_room_is_remembered_for_its_shape(linked: ZoneManager, clock: Clock) -> None:
    linked.choose(request("s1"), {}, "a1")
    linked.settled(sent("a1", "refused", reason={"code": "ram"}))
    assert held(linked) == 0
    assert linked.choose(request("s2"), {}, "a2").target is None
    clock.at += 3
    assert linked.choose(request("s2"), {}, "a2").target == "east"
    linked.settled(sent("a2", "refused", reason={"code": "image_unavailable"}))
    assert linked.choose(request("s3"), {}, "a3").target == "east", "that was no matter of room"


def test_only_new_summaries_are_read_and_health_is_followed(linked: ZoneManager, zone: Zone) -> None:
    assert zone.fetched == [1]
    assert (linked.is_zone_up("east"), linked.name_of("east"), linked.silent_zones()) == (
        True, "to-east", frozenset())
    zone.linked["east"] |= {"is_active": False}
    linked.tick()
    assert zone.fetched == [1]
    assert (linked.is_zone_up("east"), linked.silent_zones()) == (False, {"east"})
    assert linked.choose(request(), {}, "a1").target is None
    zone.linked.clear()
    linked.tick()
    assert (linked.links(), linked.name_of("east"), linked.silent_zones()) == ([], "east", frozenset())


def test_a_link_that_was_never_polled_keeps_it_cold_for_a_while(
        view: ZoneManager, zone: Zone, clock: Clock) -> None:
    link(zone, polled_at=None, summary_at=None, is_active=False)
    hear(view, zone, report("h1"), report("h2"))
    view.tick()
    assert not view.warm()
    link(zone)
    view.tick()
    assert view.warm()


def test_and_no_longer_than_a_silent_host(view: ZoneManager, zone: Zone, clock: Clock) -> None:
    link(zone, polled_at=None, summary_at=None, is_active=False)
    hear(view, zone, report("h1"), report("h2"))
    clock.at += 16
    view.tick()
    assert view.warm()


def test_news_of_links_is_looked_at_between_two_ticks(zone: Zone) -> None:
    view = ZoneManager(Placement(), Timing(), {}, zone, zone.send)
    echoes: list[int] = []
    looked, rows = threading.Event(), zone.links

    def look() -> list[dict[str, Any]]:
        echoes.append(sum(isinstance(message, Echo) for message in zone.sent))
        looked.set()
        return rows()

    zone.links = look  # type: ignore[method-assign]
    view.start()
    try:
        deadline = time.monotonic() + 20.0
        while len(echoes) == len(set(echoes)):  # each tick echoes once before it looks
            assert looked.wait(max(0.0, deadline - time.monotonic()))
            looked.clear()
            view.heard([LinksChanged()])
    finally:
        view.stop(10.0)


def test_this_zones_own_name_is_here(zone: Zone, clock: Clock) -> None:
    zone.now = lambda: clock.at
    view = ZoneManager(Placement(), Timing(), {}, zone, zone.send, name="top", zone_uuid="top-uuid")
    link(zone)
    hear(view, zone, report("h1"))
    view.tick()
    assert view.choose(request(hints={"zone": "top"}), {}, "a1").target == "h1"
    assert view.choose(request(hints={"zone": "to-east"}), {}, "a2").target == "east"


def test_what_a_neighbour_said_is_told_on_less_what_is_in_flight_to_it(linked: ZoneManager) -> None:
    said = dict(linked.links()[0].entries or {})
    assert linked.deducted("east", said) is said
    linked.choose(request("s1"), {}, "a1")
    assert [slot.count for slot in linked.deducted("east", said)["east"].classes[0].slots] == [1]
    assert linked.deducted("elsewhere", said) is said
