"""The simulated hypervisor as a driver: hosts made of options, guests in a file of their own.

Options (all text, as `[compute] option = name=value` gives them):

    hosts=4                    number of equal hosts
    vcpus=16 ram=32768 disk=500    size of each: number, MiB, GiB
    zones=az1;az2              availability zones, dealt out in turn (default: nova)
    capability.gpu=a100;v100   a capability of every host; repeat for more
    profile=2*8:16384:200@az1,1*64:262144:2000@az2+gpu=a100;v100
                               groups of hosts instead of the above sizes and zones:
                               COUNT*VCPUS:RAM:DISK[@ZONE][+KEY=VALUE;VALUE]…, comma-separated
    boot_time=0                seconds that a boot takes, or LEAST-MOST
    action_time=0              the same for an action
    failure_rate=0             share of boots (0..1) that fail; `zone-simulated fail` overrules it
    console_lines=500          lines that a console keeps

Guests are kept as by a real hypervisor (`simulated_store`): they outlive the process, `zone-simulated`
changes them behind the driver's back, and the driver prevents no double: it records every creation.
"""

import hashlib
import ipaddress
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zones.compute import simulated_guest, simulated_options
from zones.compute.driver import Guest, HostInventory, RecordResource
from zones.compute.simulated_store import FILE, Row, Store
from zones.errors import Conflict, NotFound, Unsupported, ZonesError
from zones.protocol import ServerSpec
from zones.states import NOSTATE

FAILURE_RATE = "failure_rate"
"""The option, and the setting in the file that overrules it."""

_NETWORK = int(ipaddress.IPv4Address("10.0.0.0"))


class SimulatedDriver:
    """`ComputeDriver` on a file. `data_dir` is made when missing; `name` is the compute service's."""

    actions = simulated_guest.ACTIONS
    snapshots = True

    def __init__(self, data_dir: Path, name: str, options: Mapping[str, object]) -> None:
        """Raises `Invalid` naming a bad option, `Unavailable` when the file can't be opened."""
        self.name = "simulated"
        self._service = name
        self._options = simulated_options.parse(name, options)
        self._number = {host.name: number for number, host in enumerate(self._options.hosts)}
        data_dir.mkdir(parents=True, exist_ok=True)
        self._store = Store(data_dir / FILE)

    def hosts(self) -> list[HostInventory]:
        """The hosts of the options."""
        return list(self._options.hosts)

    def spawn(self, host: str, spec: ServerSpec, attempt: str, record: RecordResource) -> Guest:
        """Build the guest, which takes `boot_time`; the same attempt again gets the same guest.

        A guest that an earlier call left unfinished is made anew. Raises `NotFound` for a host that
        is not ours, `Conflict` when another attempt's guest runs there or the guest was removed
        meanwhile, `Unsupported` for networks other than its one, `ZonesError` for a failed boot.
        """
        if host not in self._number:
            raise NotFound(f"compute service {self._service} has no host {host}", code="no_host")
        range_ = self._range(host) if _has_address(spec) else None
        record("guest", f"{host}/{spec.id}")
        machine = simulated_guest.machine_of(spec)
        wanted = Row(spec.id, host, self._service, attempt, 0, False, NOSTATE, None, 0.0,
                     spec.flavor.id, machine)
        row = self._store.create(wanted, range_)
        if row.built:
            if row.attempt != attempt:
                raise Conflict(f"host {host} runs server {spec.id} of another attempt already",
                               code="guest_exists", attempt=row.attempt)
            return _guest(row)
        _wait(self._options.boot_time)
        if self._fails(attempt):
            self._store.discard(row)
            raise ZonesError("the simulated hypervisor failed to start the guest, as it was told to",
                             code="build_failed")
        finished = self._store.finish(row, simulated_guest.boot_log(spec.id, machine, row.ip))
        if finished is None:
            raise Conflict(f"server {spec.id} was removed from {host} while it was built",
                           code="guest_removed")
        return _guest(finished)

    def find(self, server: str, host: str) -> Guest | None:
        """The guest on that host, from the file as it is now."""
        row = self._store.find(server, host)
        return None if row is None else _guest(row)

    def list(self) -> list[Guest]:
        """Every guest of this service, on whatever host."""
        return [_guest(row) for row in self._store.rows() if row.service == self._service]

    def destroy(self, server: str, host: str) -> None:
        """Make the guest not exist on that host."""
        self._store.erase(server, host)

    def action(self, server: str, host: str, action: str, args: dict[str, Any]) -> Guest:
        """Do one of `actions`, which takes `action_time`.

        Raises `Unsupported`, `NotFound`, `Invalid` for bad arguments, and `Conflict` while the guest
        is built or when its power does not allow the action.
        """
        if action not in self.actions:
            raise Unsupported(f"the simulated driver can't do {action!r}", action=action)
        self._store.get(server, host)
        _wait(self._options.action_time)

        def change(row: Row) -> Row:
            power, machine = simulated_guest.act(action, (row.power, row.machine), args)
            return replace(row, power=power, definition=machine)
        line = f"[{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}] {action}"
        return _guest(self._store.change(server, host, change, [line], self._options.console_lines))

    def snapshot(self, server: str, host: str) -> Iterator[bytes]:
        """The root disk: 8 KiB that follow from what the guest is. Raises `NotFound`, `Conflict`."""
        row = self._store.get(server, host)
        if not row.built:
            raise Conflict(f"guest {server} on {host} is still being built", code="guest_unfinished")
        return simulated_guest.disk(server, row.machine)

    def console(self, server: str, host: str, length: int | None) -> str:
        """The last `length` lines; all for None and below zero. Raises `NotFound`."""
        lines = self._store.console(server, host).split("\n")
        if length is not None and length >= 0:
            lines = lines[-length:] if length else []
        return "\n".join(lines)

    def diagnostics(self, server: str, host: str) -> dict[str, Any]:
        """Nova's standardised diagnostics. Raises `NotFound`."""
        row = self._store.get(server, host)
        return simulated_guest.diagnostics(row.machine, row.power, row.ip,
                                           max(0.0, time.time() - row.launched))

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _range(self, host: str) -> tuple[int, int]:
        """The first and last address of a host: 10.0.0.0/8 in equal parts, at most a /16 each."""
        number = self._number[host]
        bits = 24 - max(8, (len(self._number) - 1).bit_length())
        start = _NETWORK + (number << bits)
        return start + 2, start + 2**bits - 2

    def _fails(self, attempt: str) -> bool:
        """Whether a boot fails: by the attempt's id, so that its repeat has the same answer."""
        told = self._store.setting(FAILURE_RATE)
        rate = self._options.failure_rate if told is None else float(told)
        draw = int.from_bytes(hashlib.blake2b(attempt.encode(), digest_size=6).digest())
        return draw < rate * 2**48


def _has_address(spec: ServerSpec) -> bool:
    """Whether the guest gets a card on the one network that there is."""
    if isinstance(spec.networks, list):
        if len(spec.networks) > 1:
            raise Unsupported("the simulated driver gives a server one network card", code="networks")
        for network in spec.networks:
            for key in ("port", "fixed_ip"):
                if network.get(key):
                    raise Unsupported(f"the simulated driver can't attach a given {key}", code="networks")
    return spec.networks not in ("none", [])


def _wait(seconds: tuple[float, float]) -> None:
    time.sleep(random.uniform(*seconds))


def _guest(row: Row) -> Guest:
    return Guest(row.server, row.host, row.power if row.built else NOSTATE,
                 simulated_guest.addresses_of(row.ip), row.flavor, row.built)
