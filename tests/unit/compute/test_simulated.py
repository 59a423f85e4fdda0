"""The simulated hypervisor: addresses, failures, crashes, doubles, and what its guests show."""

import hashlib
import ipaddress
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zones.compute.driver import Guest
from zones.compute.simulated import SimulatedDriver
from zones.compute.simulated_store import FILE, Creation, Store
from zones.errors import Conflict, NotFound, Unavailable, Unsupported, ZonesError
from zones.protocol import File, FlavorValue, ImageValue, KeyValue, ServerSpec
from zones.states import NOSTATE, SHUTDOWN

FLAVOR = FlavorValue("1", "m1.tiny", vcpus=1, ram=512, disk=1)
HOST = "c1-host-1"


def new_spec(**changes: Any) -> ServerSpec:
    plain = {"id": str(uuid.uuid4()), "name": "one", "project_id": "p", "user_id": "u", "flavor": FLAVOR}
    return ServerSpec(**{**plain, **changes})


def driver(folder: Path, **options: object) -> SimulatedDriver:
    return SimulatedDriver(folder, "c1", options)


def spawn(on: SimulatedDriver, spec: ServerSpec, attempt: str = "a1", host: str = HOST) -> Guest:
    return on.spawn(host, spec, attempt, lambda _kind, _name: None)


def creations(folder: Path) -> list[Creation]:
    store = Store(folder / FILE)
    try:
        return store.creations()
    finally:
        store.close()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


# ---------------------------------------------------------------- addresses

def test_addresses_are_unique_and_within_the_hosts_own_range(tmp_path: Path) -> None:
    on = driver(tmp_path, hosts=300)
    guests = [spawn(on, new_spec(), host=f"c1-host-{1 + number % 2 * 299}") for number in range(40)]
    found = [guest.addresses["private"][0] for guest in guests]
    assert len({entry["addr"] for entry in found}) == len({
        entry["OS-EXT-IPS-MAC:mac_addr"] for entry in found}) == 40
    of_host = {guest.host: set[str]() for guest in guests}
    for guest, entry in zip(guests, found, strict=True):
        of_host[guest.host].add(str(ipaddress.ip_network(entry["addr"] + "/17", strict=False)))
    assert of_host == {"c1-host-1": {"10.0.0.0/17"}, "c1-host-300": {"10.149.128.0/17"}}
    on.close()


def test_a_freed_address_is_given_again_when_the_range_is_used_up(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE)
    specs = [new_spec() for _ in range(5)]
    on = driver(tmp_path)

    def create(spec: ServerSpec) -> int | None:
        spawn(on, spec)
        row = store.get(spec.id, HOST)
        store.erase(spec.id, HOST)
        return store.create(row, (100, 103)).ip

    made = [create(spec) for spec in specs[:4]]
    assert made == [100, 101, 102, 103]
    with pytest.raises(Conflict, match="address"):
        create(specs[4])
    store.erase(specs[1].id, HOST)
    assert create(specs[4]) == 101
    store.erase(specs[0].id, HOST)
    assert create(new_spec()) == 100
    store.close()
    on.close()


def test_networks_that_it_has_not_are_refused_and_none_is_none(tmp_path: Path) -> None:
    on = driver(tmp_path)
    assert spawn(on, new_spec(networks="none")).addresses == {}
    assert spawn(on, new_spec(networks=[{"uuid": "n1"}])).addresses
    for networks in ([{"uuid": "n1"}, {"uuid": "n2"}], [{"port": "p1"}],
                     [{"uuid": "n1", "fixed_ip": "10.0.0.9"}]):
        with pytest.raises(Unsupported):
            spawn(on, new_spec(networks=networks))
    assert len(on.list()) == 2
    on.close()


# ---------------------------------------------------------------- failures, crashes, doubles

def test_a_boot_fails_with_a_reason_and_leaves_nothing(tmp_path: Path) -> None:
    on = driver(tmp_path, failure_rate=1)
    spec = new_spec()
    for _ in range(2):
        with pytest.raises(ZonesError, match="failed to start") as caught:
            spawn(on, spec)
        assert caught.value.code == "build_failed"
    assert on.find(spec.id, HOST) is None
    assert len(creations(tmp_path)) == 2
    on.close()


def test_the_share_of_failures_is_what_was_told_and_a_repeat_fails_alike(tmp_path: Path) -> None:
    on = driver(tmp_path, failure_rate="0.3")
    failed: list[set[int]] = []
    for _ in range(2):
        failed.append(set())
        for number in range(400):
            spec = new_spec()
            try:
                spawn(on, spec, f"attempt-{number}")
            except ZonesError:
                failed[-1].add(number)
    assert failed[0] == failed[1]
    assert 70 < len(failed[0]) < 170
    on.close()


def test_a_killed_boot_leaves_an_unfinished_guest_that_is_built_anew(tmp_path: Path) -> None:
    program = ("import sys; from pathlib import Path; from zones.compute.simulated import SimulatedDriver;"
               "from zones.protocol import decode_spec;"
               "SimulatedDriver(Path(sys.argv[1]), 'c1', {'boot_time': '60'})"
               ".spawn('c1-host-1', decode_spec(sys.argv[2].encode()), 'a1', lambda kind, name: None)")
    spec = new_spec()
    text = json.dumps({"id": spec.id, "name": "one", "project_id": "p", "user_id": "u",
                       "flavor": {"id": "1", "name": "f", "vcpus": 1, "ram": 1, "disk": 1}})
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), text])
    on = driver(tmp_path)
    try:
        wait_for(lambda: on.find(spec.id, HOST) is not None)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    left = on.find(spec.id, HOST)
    assert left is not None
    assert (left.built, left.power_state) == (False, NOSTATE)
    assert on.list() == [left]
    for refused in (lambda: on.action(spec.id, HOST, "stop", {}), lambda: on.snapshot(spec.id, HOST)):
        with pytest.raises(Conflict):
            refused()
    assert spawn(on, spec).built
    assert [(made.attempt, made.others) for made in creations(tmp_path)] == [("a1", 0), ("a1", 0)]
    on.close()


def test_the_same_server_on_two_hosts_is_a_double_that_the_log_shows(tmp_path: Path) -> None:
    on = driver(tmp_path)
    spec = new_spec()
    spawn(on, spec, "a1", "c1-host-1")
    spawn(on, spec, "a2", "c1-host-2")
    assert [guest.host for guest in on.list()] == ["c1-host-1", "c1-host-2"]
    on.destroy(spec.id, "c1-host-1")
    assert [guest.host for guest in on.list()] == ["c1-host-2"]
    assert [(made.host, made.attempt, made.others) for made in creations(tmp_path)] == [
        ("c1-host-1", "a1", 0), ("c1-host-2", "a2", 1)]
    on.close()


@pytest.mark.parametrize("replace", [False, True])
def test_a_guest_that_is_removed_while_it_is_built_does_not_come_back(tmp_path: Path, replace: bool) -> None:
    slow, quick = driver(tmp_path, boot_time="0.5"), driver(tmp_path)
    spec = new_spec()
    ended: list[object] = []

    def build() -> None:
        try:
            ended.append(spawn(slow, spec))
        except Conflict as error:
            ended.append(error.code)

    builder = threading.Thread(target=build)
    builder.start()
    wait_for(lambda: quick.find(spec.id, HOST) is not None)
    quick.destroy(spec.id, HOST)
    later = spawn(quick, spec, "a2") if replace else None
    builder.join(20)
    assert ended == ["guest_removed"]
    assert quick.find(spec.id, HOST) == later
    slow.close()
    quick.close()


def test_each_service_lists_its_own_guests(tmp_path: Path) -> None:
    one, two = SimulatedDriver(tmp_path, "c1", {}), SimulatedDriver(tmp_path, "c2", {})
    mine, other = spawn(one, new_spec()), spawn(two, new_spec(), host="c2-host-1")
    assert (one.list(), two.list()) == ([mine], [other])
    one.close()
    two.close()


def test_two_processes_that_write_at_once_wait_for_each_other(tmp_path: Path) -> None:
    on = driver(tmp_path)
    spec = new_spec()
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    assert spawn(on, spec).built
    release.join()
    other.close()
    on.close()


def test_a_file_that_is_no_database_or_a_closed_one_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable):
        driver(tmp_path)
    on = driver(tmp_path / "other")
    on.close()
    with pytest.raises(Unavailable):
        on.list()


def test_the_file_is_for_its_owner_alone_and_holds_no_password(tmp_path: Path) -> None:
    on = driver(tmp_path)
    spec = new_spec(admin_pass="very-secret-1")
    spawn(on, spec)
    on.action(spec.id, HOST, "set_password", {"admin_pass": "very-secret-2"})
    on.close()
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        assert b"very-secret" not in file.read_bytes()


# ---------------------------------------------------------------- what a guest shows

def test_a_resize_goes_back_to_the_first_flavor_and_power(tmp_path: Path) -> None:
    on = driver(tmp_path)
    spec = new_spec()
    spawn(on, spec)
    big = {"flavor": {"id": "9", "name": "big", "vcpus": 4, "ram": 4096, "disk": 40}}
    on.action(spec.id, HOST, "stop", {})
    assert on.action(spec.id, HOST, "resize", big).flavor_id == "9"
    assert on.diagnostics(spec.id, HOST)["num_cpus"] == 4
    back = on.action(spec.id, HOST, "revert_resize", {})
    assert (back.flavor_id, back.power_state) == ("1", SHUTDOWN)
    on.close()


def test_the_console_tells_the_boot_grows_with_actions_and_is_bounded(tmp_path: Path) -> None:
    on = driver(tmp_path, console_lines=20)
    spec = new_spec(name="web", key=KeyValue("mine", "ssh-rsa AAAA"), user_data="IyEvYmluL3No",
                    files=[File("/etc/motd", "aGk=")], image=ImageValue("i1", "debian"))
    spawn(on, spec)
    text = on.console(spec.id, HOST, None)
    for part in ("'web'", "'mine'", "/etc/motd", "debian", "10.0.0.2",
                 hashlib.sha256(b"#!/bin/sh").hexdigest()):
        assert part in text
    on.action(spec.id, HOST, "reboot_hard", {})
    assert on.console(spec.id, HOST, 1).endswith("reboot_hard")
    for _ in range(30):
        on.action(spec.id, HOST, "reboot_soft", {})
    assert len(on.console(spec.id, HOST, None).splitlines()) == 20
    on.close()


def test_a_snapshot_tells_what_the_guest_is(tmp_path: Path) -> None:
    on = driver(tmp_path)
    spec = new_spec(metadata={"colour": "red"})
    spawn(on, spec)
    before = b"".join(on.snapshot(spec.id, HOST))
    assert len(before) == 8192
    assert spec.id.encode() in before
    on.action(spec.id, HOST, "stop", {})
    assert b"".join(on.snapshot(spec.id, HOST)) == before
    on.action(spec.id, HOST, "rebuild", {"name": "two"})
    assert b"".join(on.snapshot(spec.id, HOST)) != before
    on.close()


def test_a_server_that_is_none_is_not_found(tmp_path: Path) -> None:
    on = driver(tmp_path)
    with pytest.raises(NotFound):
        on.console("nobody", HOST, None)
    on.close()
