"""Every host of the zone as this process hears it: the latest whole report of each, in columns.

Not locked: one thread (or green threads, which no statement here yields to) applies and reads. A
decision reads the live columns, so what is put in flight between two decisions shows in the second.
"""

from collections.abc import Callable, Iterator, Mapping
from sys import intern
from zlib import crc32

import numpy as np

from zones.capabilities.columns import Coded, Columns, Flags, Floats, longer
from zones.capabilities.host_row import HostClass, HostState, Row, Values, Version, check
from zones.capabilities.room import Capacity, capacity
from zones.config import Placement
from zones.protocol import HostReport

SILENT_INTERVALS = 3
FORGET_AFTER = 3600.0
"""Seconds of silence after which a host that is out gives its row back."""

Listener = Callable[[str, Version, bool], None]
"""Called with a host's name, the version just applied, and whether another service took the host over."""


class HostTable:
    """The hosts. `size` rows of the columns are in use, some perhaps by no host (then not `alive`).

    `zone_capabilities` are offered by every host that does not say otherwise.
    """

    def __init__(self, placement: Placement, zone_capabilities: Mapping[str, list[str]] | None = None,
                 rows: int = 64) -> None:
        self.columns = Columns(rows)
        self.size = 0
        self.classes: Coded[HostClass] = Coded(rows)
        self.availability_zones: Coded[str] = Coded(rows)
        self.static: dict[str, Coded[Values]] = {}
        self.live: dict[str, Floats] = {}
        self._unsupported: Coded[Values] = Coded(rows)
        self._placement = placement
        self._zone_capabilities = dict(zone_capabilities or {})
        self._capacity = rows
        self._rows: list[Row | None] = []
        self._row_of: dict[str, int] = {}
        self._unused: list[int] = []
        self._boots: dict[str, int] = {}
        self._example: list[HostReport] = []
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Have `listener` called after each report that was applied."""
        self._listeners.append(listener)

    # ------------------------------------------------------------ reports in, silence out

    def apply(self, report: HostReport, now: float) -> bool:
        """Take a host's whole state; False when it is older than what is known, or not its service's.

        `now` is any steady clock, the same for `expire`. Raises `Invalid` for sizes that no host has.
        """
        if report.boot < self._boots.get(report.service, report.boot):
            return False
        index = self._row_of.get(report.host)
        version = (report.boot, report.seq)
        taken_over = False
        if index is not None:
            row = self.row(index)
            taken_over = row.service != report.service
            if taken_over and self._is_held_by_other(index, now):
                return False
            if not taken_over and version <= row.version:
                return False
        check(report)
        if index is None:
            index = self._new_row(report)
        self._boots[report.service] = report.boot
        self._write(index, report, version, now)
        for listener in self._listeners:
            listener(report.host, version, taken_over)
        return True

    def expire(self, now: float, hearing_since: float | None) -> list[str]:
        """Take out the hosts that were silent for three of their intervals; their names.

        Silence counts from `hearing_since`, when this process last began to hear its own fan-out;
        None while it does not hear it: then nobody's silence counts.
        """
        if hearing_since is None or not self.size:
            return []
        columns, size = self.columns, self.size
        silence = now - np.maximum(columns.heard_at[:size], hearing_since)
        out = columns.alive[:size] & (silence > columns.patience[:size])
        names = [self.row(int(index)).name for index in np.flatnonzero(out)]
        columns.alive[:size][out] = False
        forgotten = [index for index in np.flatnonzero(~columns.alive[:size] & (silence > FORGET_AFTER))
                     if self._forget(int(index))]
        if forgotten:
            services = {row.service for _, row in self.rows()}
            self._boots = {name: boot for name, boot in self._boots.items() if name in services}
        return names

    def set_held(self, host: str, held: Capacity, servers: int) -> None:
        """What is in flight to the host in all, which its report does not include yet."""
        index = self._row_of.get(host)
        if index is None:
            return
        row = self.row(index)
        row.held, row.held_servers = held, servers
        self._write_free(index, row)

    # ------------------------------------------------------------ what is known

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, host: object) -> bool:
        return host in self._row_of

    def row_of(self, host: str) -> int | None:
        """The row of a host, out or not; None when it was never heard of."""
        return self._row_of.get(host)

    def row(self, index: int) -> Row:
        """What a row keeps beside the columns. Raises `KeyError` when it is no host's."""
        row = self._rows[index]
        if row is None:
            raise KeyError(index)
        return row

    def service_of(self, host: str) -> str | None:
        """The compute service that owns a host, by its last report."""
        index = self._row_of.get(host)
        return None if index is None else self.row(index).service

    def version_of(self, host: str) -> Version | None:
        """The (boot, seq) of the host's latest report."""
        index = self._row_of.get(host)
        return None if index is None else self.row(index).version

    def is_up(self, host: str) -> bool:
        """Whether the host was heard within three of its intervals."""
        index = self._row_of.get(host)
        return index is not None and bool(self.columns.alive[index])

    def is_enabled(self, host: str) -> bool:
        """Whether the operator lets the host take servers."""
        index = self._row_of.get(host)
        return index is not None and bool(self.columns.enabled[index])

    def names(self) -> list[str]:
        """Every host that is known, out or not, in order."""
        return sorted(self._row_of)

    def unsupported(self, host: str) -> frozenset[str]:
        """The server actions that the host's driver has said it can't do."""
        index = self._row_of.get(host)
        return frozenset() if index is None else frozenset(self._unsupported.get(index) or ())

    def state(self, host: str) -> HostState | None:
        """One host as it was last heard; None when it never was."""
        index = self._row_of.get(host)
        if index is None:
            return None
        row, kind, columns = self.row(index), self.classes.get(index), self.columns
        assert kind is not None
        return HostState(
            host=row.name, service=row.service, version=row.version, hypervisor=row.hypervisor,
            availability_zone=kind.availability_zone, size=row.size, capacity=row.capacity,
            used=row.used, free=row.capacity.minus(row.used).minus(row.held), servers=row.servers,
            building=row.building, failed_builds=row.failed_builds, enabled=bool(columns.enabled[index]),
            up=bool(columns.alive[index]), heard_at=float(columns.heard_at[index]),
            capabilities=dict(kind.capabilities), unsupported=self._unsupported.get(index) or (),
            live={key: float(column[index]) for key, column in self.live.items()
                  if not np.isnan(column[index])})

    def states(self) -> Iterator[HostState]:
        """Every host that is known, out or not, by name."""
        for host in self.names():
            state = self.state(host)
            assert state is not None
            yield state

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Every host that is known, out or not, as (index, row)."""
        return ((index, row) for index, row in enumerate(self._rows) if row is not None)

    def services_up(self) -> frozenset[str]:
        """The services of which a host is up."""
        alive = self.columns.alive
        return frozenset(row.service for index, row in self.rows() if alive[index])

    def free(self) -> tuple[Floats, Floats, Floats]:
        """The free vCPUs, RAM and disk of the rows in use: views, not copies."""
        columns, size = self.columns, self.size
        return columns.free_vcpus[:size], columns.free_ram[:size], columns.free_disk[:size]

    def has_room(self, host: str, need: Capacity) -> bool:
        """Whether the host holds a server of this shape by its last report, less what is in flight."""
        index = self._row_of.get(host)
        return index is not None and all(
            free[index] >= wanted for wanted, free in zip(need, self.free(), strict=True))

    def open(self) -> Flags:
        """The rows of hosts that are up and enabled."""
        return self.columns.alive[:self.size] & self.columns.enabled[:self.size]

    # ------------------------------------------------------------ rows

    def _is_held_by_other(self, index: int, now: float) -> bool:
        """Two services that both claim a host would else make it jump with every report."""
        columns = self.columns
        return bool(columns.alive[index] and now - columns.heard_at[index] <= columns.patience[index])

    def _new_row(self, report: HostReport) -> int:
        if self._unused:
            index = self._unused.pop()
        else:
            index = self.size
            if index == self._capacity:
                self._grow(2 * self._capacity)
            self._rows.append(None)
            self.size += 1
        row = self._rows[index] = Row(report)
        self._row_of[report.host] = index
        self.columns.salt[index] = crc32(report.host.encode())
        self._classify(index, row, report)
        return index

    def _grow(self, rows: int) -> None:
        self.columns.grow(rows)
        self.classes.grow(rows)
        self.availability_zones.grow(rows)
        for coded in (self._unsupported, *self.static.values()):
            coded.grow(rows)
        self.live = {key: longer(column, rows, np.nan) for key, column in self.live.items()}
        self._capacity = rows

    def _write(self, index: int, report: HostReport, version: Version, now: float) -> None:
        row, columns = self.row(index), self.columns
        example = self._example[self.classes.codes[index]]
        if (report.capabilities != example.capabilities or report.hypervisor != row.hypervisor
                or report.availability_zone != example.availability_zone
                or report.unsupported != example.unsupported or report.shares != example.shares
                or report.service != row.service):
            self._classify(index, row, report)
        row.version = version
        size = Capacity(report.vcpus, report.ram, report.disk)
        if size != row.size:
            self._write_size(index, row, size)
        row.used = Capacity(report.vcpus_used, report.ram_used, report.disk_used)
        row.servers, row.building = report.servers, report.building
        row.failed_builds = report.failed_builds
        columns.alive[index] = True
        columns.enabled[index] = report.enabled
        columns.heard_at[index] = now
        columns.patience[index] = SILENT_INTERVALS * report.interval
        self._write_free(index, row)
        if self.live or report.live:
            self._write_live(index, report.live)

    def _write_size(self, index: int, row: Row, size: Capacity) -> None:
        columns = self.columns
        row.size = size
        row.capacity = vcpus, ram, disk = capacity(*size, self._placement)
        columns.cap_vcpus[index], columns.cap_ram[index], columns.cap_disk[index] = vcpus, ram, disk
        columns.inv_vcpus[index] = 1 / vcpus if vcpus else 0.0
        columns.inv_ram[index] = 1 / ram if ram else 0.0
        columns.inv_disk[index] = 1 / disk if disk else 0.0

    def _write_free(self, index: int, row: Row) -> None:
        columns, all_of_it, used, held = self.columns, row.capacity, row.used, row.held
        columns.free_vcpus[index] = all_of_it[0] - used[0] - held[0]
        columns.free_ram[index] = all_of_it[1] - used[1] - held[1]
        columns.free_disk[index] = all_of_it[2] - used[2] - held[2]
        servers = row.servers + row.held_servers
        columns.servers[index] = servers
        columns.inv_servers[index] = 1 / (1 + servers)

    def _write_live(self, index: int, live: Mapping[str, float]) -> None:
        for key in live.keys() - self.live.keys():
            self.live[key] = np.full(self._capacity, np.nan)
        for key, column in self.live.items():
            column[index] = live.get(key, np.nan)

    def _classify(self, index: int, row: Row, report: HostReport) -> None:
        """Write what changes rarely. (A host that spells it unlike its class comes here each time.)"""
        offered = {**self._zone_capabilities, "hypervisor": [report.hypervisor], **report.capabilities}
        found = {key: tuple(sorted(set(values))) for key, values in sorted(offered.items())}
        zone = report.availability_zone or self._placement.default_availability_zone
        row.service, row.hypervisor = intern(report.service), intern(report.hypervisor)
        self._unsupported.put(index, tuple(report.unsupported))
        self.availability_zones.put(index, zone)
        code = self.classes.put(index, HostClass(zone, tuple(found.items()), report.shares))
        self._example += [report] * (code + 1 - len(self._example))
        self._example[code] = report
        for key in found.keys() - self.static.keys():
            self.static[key] = Coded(self._capacity)
        self._set_static(index, found)

    def _set_static(self, index: int, found: Mapping[str, Values]) -> None:
        for key, coded in list(self.static.items()):
            coded.put(index, found.get(key))
            if not coded.values():
                del self.static[key]

    def _forget(self, index: int) -> bool:
        row = self._rows[index]
        if row is None:
            return False
        self.classes.put(index, None)
        self.availability_zones.put(index, None)
        self._unsupported.put(index, None)
        self._set_static(index, {})
        for column in self.live.values():
            column[index] = np.nan
        self._rows[index] = None
        del self._row_of[row.name]
        self._unused.append(index)
        return True
