"""The view of one process: warm before it decides, and silence counts only while it hears itself."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.hosts import report, request
from tests.lifekit import Clock
from zones.config import Placement, Timing
from zones.protocol import Echo, HostReport, Message, News, Solicit
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
