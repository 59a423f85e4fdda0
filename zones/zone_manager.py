"""What this process knows of the zone and its neighbours: who is alive, what is free, what is on its way.

Every scheduler and API process has one. It hears the capability fan-out, answers for the host table
and the links, and places requests on them. It trusts silence only while it hears its own echo, so
that a broker that is away makes nobody look dead.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from zones import states
from zones.capabilities import summary, view_2011
from zones.capabilities.host_row import HostState, Version
from zones.capabilities.host_table import HostTable
from zones.capabilities.inflight import InFlight
from zones.capabilities.link_table import LinkState
from zones.capabilities.link_view import LinkView
from zones.capabilities.room import Capacity
from zones.config import Placement, Timing
from zones.errors import Invalid, ZonesError
from zones.protocol import Done, Echo, HostReport, LinksChanged, Message, News, Solicit
from zones.scheduler.choose import Choice, choose
from zones.scheduler.links import Links
from zones.scheduler.memory import Refusals
from zones.scheduler.policy import Policy
from zones.scheduler.request import PlacementRequest

LOG = logging.getLogger(__name__)
OVERLAP = 5.0
"""Seconds that each look at the attempts table reaches back before the last one: commits come late."""
RECENT = 600.0
"""Seconds that the first look reaches back."""
HURRY = 0.05
"""Seconds between two looks at the links that news of them asks for."""


class Records(Protocol):
    """The zone's database, as this view needs it."""

    def live_services(self) -> dict[str, dict[str, Any]]:
        """Compute services with a recent heartbeat: name → {hosts, boot, disabled}."""

    def attempts_since(self, seconds: float) -> list[dict[str, Any]]:
        """Attempts that are open, or changed within the last `seconds`."""

    def service_of_host(self, host: str) -> str | None:
        """The service that last said it owns a host that was not heard of here."""

    def host_zones(self) -> dict[str, str]:
        """The availability zone that an aggregate gives to a host."""

    def may_have_hosts(self) -> bool:
        """Whether a compute service belongs to the zone, or may join it while this process starts."""

    def links(self) -> list[dict[str, Any]]:
        """The links' rows without their summaries; `age`: seconds since `summary_at`."""

    def link_summaries(self, ids: Collection[int]) -> dict[int, tuple[Any, float | None]]:
        """The summary of each of these links, and when it came."""


class ZoneManager:
    """The host table, the links, what is in flight, and the rules of silence of one process."""

    def __init__(self, placement: Placement, timing: Timing, capabilities: dict[str, list[str]],
                 records: Records, fanout: Callable[[Message], bool], *, name: str = "",
                 zone_uuid: str = "") -> None:
        self.process = str(uuid.uuid4())
        self.table = HostTable(placement, capabilities)
        self.inflight = InFlight(self.table)
        self._neighbours = LinkView(zone_uuid)
        self._links = Links(self._neighbours.table, Refusals(), name)
        self._policy = Policy.of(placement)
        self._refusals = Refusals()
        self._timing = timing
        self._records = records
        self._fanout = fanout
        self._guard = threading.RLock()
        self._services: dict[str, dict[str, Any]] = {}
        self._disabled: set[str] = set()
        self._host_zones: dict[str, str] = {}
        self._started = time.monotonic()
        self._echo_heard: float | None = None
        self._hearing_since: float | None = None
        self._warm = False
        self._looked_at: float | None = None
        self._stop = threading.Event()
        self._look = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zone-manager", daemon=True)

    def start(self) -> None:
        """Ask everybody to publish, and begin to keep time."""
        self._started = time.monotonic()
        self._fanout(Solicit(self.process))
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End."""
        self._stop.set()
        self._look.set()
        self._thread.join(timeout)

    # -------------------------------------------------------------- what is heard

    def heard(self, messages: Iterable[Message]) -> None:
        """A batch from the fan-out."""
        now = time.monotonic()
        with self._guard:
            for message in messages:
                if isinstance(message, HostReport):
                    self._apply(message, now)
                elif isinstance(message, LinksChanged):
                    self._look.set()
                elif isinstance(message, Echo) and message.process == self.process:
                    if self._hearing_since is None:
                        self._hearing_since = now
                    self._echo_heard = now

    def told(self, message: Message, attempt: dict[str, Any] | None) -> None:
        """News that was committed, and its attempt: it brings its host's report, and settles what was
        in flight."""
        if not isinstance(message, News | Done):
            return
        with self._guard:
            if isinstance(message, News):
                self._settle(message, attempt)
            if message.report is not None:
                self._apply(message.report, time.monotonic())

    def settled(self, attempt: Mapping[str, Any]) -> None:
        """A neighbour answered: an attempt at a link, as its row is now."""
        with self._guard:
            version = self._neighbours.table.version_of(attempt["target"])
            if (attempt["state"] == states.REFUSED and version is not None
                    and (attempt["reason"] or {}).get("code") in states.ROOM_REASONS):
                need = Capacity(attempt["vcpus"], attempt["ram"], attempt["disk"])
                self._links.refusals.remember(attempt["target"], need, version, time.monotonic())
            self._neighbours.know(attempt, time.monotonic())

    def _settle(self, news: News, attempt: dict[str, Any] | None) -> None:
        report = news.report
        if news.state == states.REFUSED:
            if attempt is not None and report is not None and news.reason in states.ROOM_REASONS:
                need = Capacity(attempt["vcpus"], attempt["ram"], attempt["disk"])
                self._refusals.remember(news.host, need, (report.boot, report.seq), time.monotonic())
            self.inflight.drop(news.attempt)
        elif news.state == states.CANCELLED:
            self.inflight.drop(news.attempt)
        elif report is not None:
            self.inflight.counted(news.attempt, report.boot, report.seq)

    def _apply(self, report: HostReport, now: float) -> None:
        """Take a report, under what the operator has said of its host: aggregate's AZ, disabled service."""
        zone, disabled = self._host_zones.get(report.host), report.service in self._disabled
        if disabled or (zone is not None and zone != report.availability_zone):
            report = msgspec.structs.replace(
                report, enabled=report.enabled and not disabled,
                availability_zone=zone or report.availability_zone)
        try:
            self.table.apply(report, now)
        except Invalid as error:
            LOG.warning("%s", error)

    # -------------------------------------------------------------- what is asked

    def warm(self) -> bool:
        """Whether every live service has reported and every link was polled, or one and a half intervals
        have passed."""
        return self._warm

    def choose(self, request: PlacementRequest, asked: Mapping[str, Version], attempt: str) -> Choice:
        """Decide, and count the choice as in flight under `attempt`; `asked` as in `scheduler.choose`."""
        with self._guard:
            choice = choose(request, asked, self.table, self._policy, self._refusals, time.monotonic(),
                            self._links)
            if choice.target is not None:
                inflight = self._neighbours.inflight if choice.kind == "link" else self.inflight
                inflight.add(attempt, choice.target, choice.request.need)
            return choice

    def dropped(self, attempt: str) -> None:
        """That attempt was not made after all."""
        with self._guard:
            self.inflight.drop(attempt)
            self._neighbours.inflight.drop(attempt)

    def links(self) -> list[LinkState]:
        """Every link to a zone that is known, by name."""
        with self._guard:
            return self._neighbours.table.states()

    def is_zone_up(self, zone_uuid: str) -> bool:
        """Whether there is a link to that zone, and it answers."""
        return self._neighbours.is_up(zone_uuid)

    def name_of(self, zone_uuid: str) -> str:
        """The name of the link to a zone; its UUID when there is none."""
        return self._neighbours.name_of(zone_uuid)

    def silent_zones(self) -> frozenset[str]:
        """The linked zones that do not answer."""
        return self._neighbours.silent()

    def hosts(self) -> list[HostReport]:
        """Every host that is up, as its last report had it, by name."""
        found = []
        for count, name in enumerate(self.table.names()):
            with self._guard:
                state = self.table.state(name)
            if state is not None and state.up:
                found.append(_report(state))
            if count % 100 == 99:
                time.sleep(0)  # let others run: ten thousand of them take a quarter of a second
        return found

    def availability_zones(self) -> list[str]:
        """Those of the hosts that were heard here, also of those that are silent."""
        return self.table.availability_zones.values()

    def host_status(self, host: str) -> str:
        """Nova's word for a host: UP, MAINTENANCE (disabled) or UNKNOWN (not heard)."""
        if not self.table.is_up(host):
            return "UNKNOWN"
        return "UP" if self.table.is_enabled(host) else "MAINTENANCE"

    def service_of(self, host: str) -> str | None:
        """The compute service that owns a host."""
        return self.table.service_of(host) or self._records.service_of_host(host)

    def is_up(self, host: str) -> bool:
        """Whether the host was heard lately; unknown counts as up while this process hears nothing."""
        return self.table.is_up(host) or (self._hearing_since is None and host in self.table)

    def unsupported(self, host: str) -> frozenset[str]:
        """The actions that the driver of a host has said it can't do."""
        return self.table.unsupported(host)

    def entry(self, name: str, shapes: Iterable[Capacity]) -> summary.Entry:
        """What this zone says about itself; `shapes` are its flavors'."""
        with self._guard:
            return summary.entry(name, self.table, shapes)

    def deducted(self, zone_uuid: str, entries: dict[str, summary.Entry]) -> dict[str, summary.Entry]:
        """What a neighbour said, less what is in flight to it: so this zone may tell it on.

        A server that our feed has shown as placed may be missing in the neighbour's last summary.
        """
        with self._guard:
            link = self._neighbours.table.state(zone_uuid)
            if link is None or not link.held_servers:
                return entries
            return summary.less(entries, link.taken)

    def view_2011(self) -> dict[str, str]:
        """Capabilities as `/zones/info` gave them in 2011: `compute_ram: "min,max"`."""
        with self._guard:
            return view_2011.view(self.table)

    # -------------------------------------------------------------- time

    def _run(self) -> None:
        pace = min(1.0, self._timing.capability_interval / 5)
        due = 0.0
        while not self._stop.is_set():
            hurried = self._look.wait(max(0.0, due - time.monotonic())) and time.monotonic() < due
            self._look.clear()
            if self._stop.is_set():
                return
            try:
                (self._look_at_links if hurried else self.tick)()
            except ZonesError as error:
                LOG.warning("the view of this zone is not brought up to date: %s", error)
            except Exception:
                LOG.exception("the view of this zone is not brought up to date")
            if hurried:
                time.sleep(HURRY)
            else:
                due = time.monotonic() + (pace if self._warm else pace / 10)

    def tick(self) -> None:
        """Echo, notice silence, look at what other processes have sent, and see whether all is warm."""
        self._fanout(Echo(self.process, time.time()))
        self._look_at_links()
        self._look_at_attempts()
        self._services = self._records.live_services()
        self._disabled = {name for name, service in self._services.items() if service["disabled"]}
        self._host_zones = self._records.host_zones()
        now = time.monotonic()
        with self._guard:
            if self._echo_heard is not None and now - self._echo_heard > self._timing.capability_interval:
                LOG.warning("this process does not hear its own fan-out: nobody's silence counts")
                self._hearing_since = self._echo_heard = None
            for host in self.table.expire(now, self._hearing_since):
                LOG.warning("host %s is silent; nothing is placed there", host)
            if not self._warm:
                self._warm = self._is_warm(now)

    def _is_warm(self, now: float) -> bool:
        if now - self._started > 1.5 * self._timing.capability_interval:
            return True
        if not self._neighbours.all_polled():
            return False
        expected = {host for service in self._services.values() for host in service["hosts"] or []}
        if not expected and self._echo_heard is not None and not self._records.may_have_hosts():
            return True
        return bool(expected) and all(self.table.is_up(host) for host in expected)

    def _look_at_links(self) -> None:
        """The neighbours as polling has found them; only a summary that is new here is read."""
        rows = self._records.links()
        with self._guard:
            stale = self._neighbours.stale(rows)
        summaries = self._records.link_summaries(stale) if stale else {}
        with self._guard:
            wrong = self._neighbours.take(rows, summaries, time.monotonic())
        for words in wrong:
            LOG.warning("%s", words)

    def _look_at_attempts(self) -> None:
        """What other processes have sent since the last look that succeeded."""
        began = time.monotonic()
        back = RECENT if self._looked_at is None else began - self._looked_at + OVERLAP
        rows = self._records.attempts_since(back)
        self._looked_at = began
        with self._guard:
            for row in rows:
                self._know(row)

    def _know(self, row: dict[str, Any]) -> None:
        if row.get("kind") == "link":
            self._neighbours.know(row, time.monotonic())
            return
        if row["state"] in (states.REFUSED, states.CANCELLED):
            self.inflight.drop(row["id"])
            return
        counted = (row["counted_boot"], row["counted_seq"]) if row["counted_seq"] else None
        self.inflight.add(row["id"], row["target"], Capacity(row["vcpus"], row["ram"], row["disk"]),
                          counted)


def _report(state: HostState) -> HostReport:
    return HostReport(
        service=state.service, host=state.host, boot=state.version[0], seq=state.version[1],
        availability_zone=state.availability_zone, vcpus=state.size.vcpus, ram=state.size.ram,
        disk=state.size.disk, vcpus_used=state.used.vcpus, ram_used=state.used.ram,
        disk_used=state.used.disk, servers=state.servers, enabled=state.enabled,
        hypervisor=state.hypervisor, building=state.building, failed_builds=state.failed_builds,
        capabilities={key: list(values) for key, values in state.capabilities.items()},
        live=state.live, unsupported=list(state.unsupported))
