"""The contract of a compute driver (`zones.compute.driver`), run on every driver.

To put another driver to it, add a `Subject` to `SUBJECTS`: see docs/adding-a-driver.md.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faulty_ec2 import FaultyEc2
from zones.compute.driver import ComputeDriver, Guest
from zones.compute.ec2.driver import Ec2Driver
from zones.compute.simulated import SimulatedDriver
from zones.errors import Conflict, NotFound, Unsupported
from zones.protocol import FlavorValue, ImageValue, ServerSpec
from zones.states import (
    ACTIONS,
    CRASHED,
    NOSTATE,
    PAUSED,
    RUNNING,
    SHUTDOWN,
    SUSPENDED,
)

SMALL = FlavorValue("1", "m1.small", vcpus=1, ram=512, disk=1)
LARGE = FlavorValue("2", "m1.large", vcpus=2, ram=1024, disk=2)
IMAGE = ImageValue("6f2ff2b8-8a39-4f5e-9c33-0a1d46c05a3c", "first")
OTHER_IMAGE = ImageValue("0dd5bd53-5f26-4ab4-92e0-25c1dfd3d11c", "second")

OPERATIONS = frozenset({"create_image", "shelve", "unshelve"})
"""Actions that the compute service makes of snapshot, destroy and spawn: no driver does them."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "rescue": {"admin_pass": "rescue me", "image": msgspec.to_builtins(OTHER_IMAGE)},
    "resize": {"flavor": msgspec.to_builtins(LARGE)},
    "revert_resize": {"flavor": msgspec.to_builtins(SMALL)},
    "rebuild": {"image": msgspec.to_builtins(OTHER_IMAGE), "admin_pass": "anew", "name": "rebuilt"},
    "set_password": {"admin_pass": "correct horse"},
}
BEFORE = {"unpause": "pause", "resume": "suspend", "start": "stop", "unrescue": "rescue",
          "confirm_resize": "resize", "revert_resize": "resize"}
POWER = {"pause": PAUSED, "suspend": SUSPENDED, "stop": SHUTDOWN}
FLAVOR = {"resize": LARGE.id, "confirm_resize": LARGE.id}


Need = Callable[[str], Any]
"""Gives a fixture by its name, to the driver that needs it."""


@dataclass(frozen=True)
class Subject:
    """A driver to test. `open(folder, need)` makes a driver object; again on one folder: a restart."""

    open: Callable[[Path, Need], ComputeDriver]
    many: int = 260


SUBJECTS = {
    "simulated": Subject(lambda folder, _need: SimulatedDriver(folder, "compute-1", {"hosts": "3"})),
    "ec2": Subject(lambda folder, need: ec2_driver(folder, need("ec2")), many=110),
}


class Place:
    """One folder with a driver on it, which can be started anew."""

    def __init__(self, subject: Subject, folder: Path, need: Need) -> None:
        self.subject, self.folder, self.need = subject, folder, need
        self.driver = subject.open(folder, need)
        self.host = self.driver.hosts()[0].name
        self.recorded: list[tuple[str, str]] = []

    def restart(self) -> None:
        """As after the end of the process: another driver object on the same folder."""
        self.driver.close()
        self.driver = self.subject.open(self.folder, self.need)

    def record(self, kind: str, name: str) -> None:
        """The ledger's side of `spawn`."""
        self.recorded.append((kind, name))

    def spawn(self, spec: ServerSpec | None = None, attempt: str = "attempt-1",
              host: str | None = None) -> Guest:
        """Build one server."""
        return self.driver.spawn(host or self.host, spec or new_spec(), attempt, self.record)

    def act(self, server: str, action: str) -> Guest:
        """Do one action with arguments that suit it."""
        return self.driver.action(server, self.host, action, ARGUMENTS.get(action, {}))


def new_spec(**changes: Any) -> ServerSpec:
    """A plain server with an id of its own."""
    plain = {"id": str(uuid.uuid4()), "name": "one", "project_id": "p", "user_id": "u",
             "flavor": SMALL, "image": IMAGE, "admin_pass": "first"}
    return ServerSpec(**{**plain, **changes})


@pytest.fixture(scope="module")
def ec2_server() -> Iterator[FaultyEc2]:
    with FaultyEc2() as server:
        yield server


@pytest.fixture
def ec2(ec2_server: FaultyEc2) -> Iterator[FaultyEc2]:
    """An EC2 without faults and without instances."""
    yield ec2_server
    ec2_server.forget()


def ec2_driver(folder: Path, server: FaultyEc2) -> ComputeDriver:
    """The EC2 driver on that server, with instances of its own."""
    name = f"ec2-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    return Ec2Driver(folder, name, server.options() | {"zones": "us-east-1a;us-east-1b;us-east-1c"})


@pytest.fixture(params=sorted(SUBJECTS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = Place(SUBJECTS[request.param], tmp_path / "data", request.getfixturevalue)
    yield made
    made.driver.close()


def test_hosts_have_names_sizes_and_zones(place: Place) -> None:
    hosts = place.driver.hosts()
    assert hosts
    assert len({host.name for host in hosts}) == len(hosts)
    for host in hosts:
        assert host.vcpus > 0 and host.ram > 0 and host.disk >= 0
        assert host.name and host.availability_zone and host.hypervisor


def test_actions_are_known_ones_and_none_that_the_service_makes_itself(place: Place) -> None:
    assert place.driver.actions <= frozenset(ACTIONS) - OPERATIONS


# ---------------------------------------------------------------- spawn, find, list, destroy

def test_a_spawned_server_runs_and_has_an_address(place: Place) -> None:
    spec = new_spec()
    guest = place.spawn(spec)
    assert (guest.server, guest.host, guest.power_state, guest.built) == (spec.id, place.host, RUNNING, True)
    assert guest.flavor_id == SMALL.id
    entries = [entry for network in guest.addresses.values() for entry in network]
    assert entries
    for entry in entries:
        assert entry["version"] in {4, 6}
        assert entry["OS-EXT-IPS:type"] in {"fixed", "floating"}
        assert {"addr", "OS-EXT-IPS-MAC:mac_addr"} <= set(entry)


def test_a_resource_is_recorded_before_it_is_made(place: Place) -> None:
    spec = new_spec()
    seen: list[Guest | None] = []

    def record(_kind: str, _name: str) -> None:
        seen.append(place.driver.find(spec.id, place.host))

    place.driver.spawn(place.host, spec, "attempt-1", record)
    assert seen and seen[0] is None


def test_nothing_is_made_when_the_ledger_does_not_remember(place: Place) -> None:
    spec = new_spec()

    def record(_kind: str, _name: str) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        place.driver.spawn(place.host, spec, "attempt-1", record)
    assert place.driver.find(spec.id, place.host) is None
    assert place.driver.list() == []


def test_spawn_again_of_one_attempt_gives_the_same_server(place: Place) -> None:
    spec = new_spec()
    first = place.spawn(spec)
    assert place.spawn(spec) == first
    place.restart()
    assert place.spawn(spec) == first
    assert place.driver.list() == [first]


def test_spawn_by_another_attempt_where_it_runs_is_refused_and_harms_nothing(place: Place) -> None:
    spec = new_spec()
    first = place.spawn(spec, "attempt-1")
    with pytest.raises(Conflict):
        place.spawn(spec, "attempt-2")
    assert place.driver.find(spec.id, place.host) == first


def test_spawn_on_a_host_that_is_none_is_refused(place: Place) -> None:
    with pytest.raises(NotFound):
        place.spawn(host="nowhere")
    assert place.driver.list() == []


def test_find_and_list_tell_what_exists_also_after_a_restart(place: Place) -> None:
    guests = [place.spawn() for _ in range(3)]
    for _ in range(2):
        assert sorted(place.driver.list(), key=lambda guest: guest.server) == sorted(
            guests, key=lambda guest: guest.server)
        for guest in guests:
            assert place.driver.find(guest.server, place.host) == guest
        assert place.driver.find(str(uuid.uuid4()), place.host) is None
        place.restart()


def test_the_list_is_whole_with_servers_on_all_hosts(place: Place) -> None:
    hosts = [host.name for host in place.driver.hosts()]
    made = {(place.spawn(host=hosts[number % len(hosts)]).server, hosts[number % len(hosts)])
            for number in range(place.subject.many)}
    assert {(guest.server, guest.host) for guest in place.driver.list()} == made


def test_destroy_leaves_nothing_and_is_quiet_again(place: Place) -> None:
    kept, gone = place.spawn(), place.spawn()
    for _ in range(2):
        place.driver.destroy(gone.server, place.host)
        assert place.driver.find(gone.server, place.host) is None
        assert place.driver.list() == [kept]
        place.restart()
    place.driver.destroy(str(uuid.uuid4()), place.host)


def test_a_destroyed_server_can_be_built_again_by_another_attempt(place: Place) -> None:
    spec = new_spec()
    place.spawn(spec, "attempt-1")
    place.driver.destroy(spec.id, place.host)
    guest = place.spawn(spec, "attempt-2")
    assert guest.power_state == RUNNING
    assert place.driver.list() == [guest]


def test_fifty_servers_are_built_at_once(place: Place) -> None:
    hosts = [host.name for host in place.driver.hosts()]
    specs = [new_spec() for _ in range(50)]

    def build(number: int) -> Guest:
        return place.spawn(specs[number], f"attempt-{number}", hosts[number % len(hosts)])

    with ThreadPoolExecutor(16) as pool:
        guests = list(pool.map(build, range(50)))
    assert [guest.power_state for guest in guests] == [RUNNING] * 50
    addresses = [entry["addr"] for guest in guests for entries in guest.addresses.values()
                 for entry in entries]
    assert len(set(addresses)) == len(addresses) >= 50
    assert {guest.server for guest in place.driver.list()} == {spec.id for spec in specs}


# ---------------------------------------------------------------- actions

@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_done_twice_ends_as_done_once(place: Place, action: str) -> None:
    server = place.spawn().server
    if action not in place.driver.actions:
        with pytest.raises(Unsupported):
            place.act(server, action)
        return
    if action in BEFORE:
        place.act(server, BEFORE[action])
    once = place.act(server, action)
    assert once.power_state == POWER.get(action, RUNNING)
    assert once.flavor_id == FLAVOR.get(action, SMALL.id)
    assert place.driver.find(server, place.host) == once
    place.restart()
    assert place.act(server, action) == once
    assert place.driver.find(server, place.host) == once


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_on_a_server_that_is_none_is_refused(place: Place, action: str) -> None:
    expected = NotFound if action in place.driver.actions else Unsupported
    with pytest.raises(expected):
        place.act(str(uuid.uuid4()), action)
    assert place.driver.list() == []


def test_what_is_no_action_is_unsupported(place: Place) -> None:
    server = place.spawn().server
    with pytest.raises(Unsupported):
        place.driver.action(server, place.host, "levitate", {})


@pytest.mark.parametrize("end", ["confirm_resize", "revert_resize", "rebuild"])
def test_a_stopped_server_is_resized_and_rebuilt_stopped(place: Place, end: str) -> None:
    steps = ["stop", "rebuild"] if end == "rebuild" else ["stop", "resize", end]
    server = place.spawn().server
    if not set(steps) <= place.driver.actions:
        with pytest.raises(Unsupported):
            for step in steps:
                place.act(server, step)
        return
    for step in steps:
        guest = place.act(server, step)
    assert guest.power_state == SHUTDOWN


def test_fixed_addresses_stay_through_all_actions(place: Place) -> None:
    def fixed(guest: Guest) -> list[Any]:
        return [entry for entries in guest.addresses.values() for entry in entries
                if entry["OS-EXT-IPS:type"] == "fixed"]

    guest = place.spawn()
    assert fixed(guest)
    for first in sorted(place.driver.actions):
        for action in filter(None, (BEFORE.get(first), first)):
            assert fixed(place.act(guest.server, action)) == fixed(guest)
        if "reboot_hard" in place.driver.actions:
            place.act(guest.server, "reboot_hard")


# ---------------------------------------------------------------- snapshot, console, diagnostics

def test_a_snapshot_gives_the_same_bytes_for_the_same_server(place: Place) -> None:
    server = place.spawn().server
    if not place.driver.snapshots:
        with pytest.raises(Unsupported):
            place.driver.snapshot(server, place.host)
        return
    content = b"".join(place.driver.snapshot(server, place.host))
    assert content
    place.restart()
    assert b"".join(place.driver.snapshot(server, place.host)) == content


@pytest.mark.parametrize("call", ["snapshot", "console", "diagnostics"])
def test_reading_of_a_server_that_is_none_is_refused_at_once(place: Place, call: str) -> None:
    arguments = [str(uuid.uuid4()), place.host, *([None] if call == "console" else [])]
    with pytest.raises((NotFound, Unsupported)):
        getattr(place.driver, call)(*arguments)


def test_the_console_gives_the_last_lines_that_are_asked_for(place: Place) -> None:
    server = place.spawn().server
    lines = place.driver.console(server, place.host, None).splitlines()
    assert lines
    assert place.driver.console(server, place.host, 2).splitlines() == lines[-2:]
    assert place.driver.console(server, place.host, 0) == ""
    assert place.driver.console(server, place.host, 10**6).splitlines() == lines
    assert place.driver.console(server, place.host, -1).splitlines() == lines


def test_diagnostics_have_novas_standard_form(place: Place) -> None:
    server = place.spawn().server
    found = place.driver.diagnostics(server, place.host)
    assert set(found) == {
        "state", "driver", "hypervisor", "hypervisor_os", "uptime", "config_drive", "num_cpus",
        "num_nics", "num_disks", "cpu_details", "nic_details", "disk_details", "memory_details"}
    assert found["state"] == "running"
    assert found["config_drive"] is False
    for lines, keys in (("cpu_details", {"id", "time", "utilisation"}),
                        ("disk_details", {"read_bytes", "read_requests", "write_bytes", "write_requests",
                                          "errors_count"})):
        assert all(set(line) == keys for line in found[lines])
    assert set(found["memory_details"]) == {"maximum", "used"}
    if "stop" in place.driver.actions:
        place.act(server, "stop")
        assert place.driver.diagnostics(server, place.host)["state"] == "shutdown"


def test_power_states_are_those_of_the_house(place: Place) -> None:
    server = place.spawn().server
    known = {NOSTATE, RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED}
    for action in sorted(place.driver.actions & set(POWER)):
        assert place.act(server, action).power_state in known
        if "reboot_hard" in place.driver.actions:
            assert place.act(server, "reboot_hard").power_state == RUNNING
