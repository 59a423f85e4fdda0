"""`zone-simulated`: what it changes, the driver sees; what it can't do, it says."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from zones.compute import simulated_cli
from zones.compute.driver import Guest
from zones.compute.simulated import SimulatedDriver
from zones.errors import ZonesError
from zones.protocol import FlavorValue, ServerSpec
from zones.states import CRASHED, PAUSED, RUNNING, SHUTDOWN

FLAVOR = FlavorValue("1", "m1.tiny", vcpus=1, ram=512, disk=1)
HOST = "c1-host-1"


def new_spec(**changes: Any) -> ServerSpec:
    plain = {"id": str(uuid.uuid4()), "name": "one", "project_id": "p", "user_id": "u", "flavor": FLAVOR}
    return ServerSpec(**{**plain, **changes})


def driver(folder: Path, **options: object) -> SimulatedDriver:
    return SimulatedDriver(folder, "c1", options)


def spawn(on: SimulatedDriver, spec: ServerSpec, attempt: str = "a1", host: str = HOST) -> Guest:
    return on.spawn(host, spec, attempt, lambda _kind, _name: None)


def run(capsys: pytest.CaptureFixture[str], folder: Path, *argv: str) -> tuple[int, str, str]:
    status = simulated_cli.main(["--data", str(folder), *argv])
    output = capsys.readouterr()
    return status, output.out, output.err


@pytest.mark.parametrize(("command", "power"), [
    ("stop", SHUTDOWN), ("crash", CRASHED), ("pause", PAUSED), ("start", RUNNING)])
def test_the_command_line_changes_what_the_driver_sees(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, power: int) -> None:
    on = driver(tmp_path)
    guest = spawn(on, new_spec())
    status, out, _ = run(capsys, tmp_path, command, guest.server[:13])
    assert (status, guest.server in out) == (0, True)
    found = on.find(guest.server, HOST)
    assert found is not None and found.power_state == power
    assert command in on.console(guest.server, HOST, 1)
    on.close()


def test_vanish_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = driver(tmp_path)
    kept, gone = spawn(on, new_spec()), spawn(on, new_spec(), "a2", "c1-host-2")
    assert run(capsys, tmp_path, "vanish", gone.server, "--host", "c1-host-1")[0] == 1
    assert run(capsys, tmp_path, "vanish", gone.server)[0] == 0
    assert on.list() == [kept]
    [listed] = json.loads(run(capsys, tmp_path, "list", "--json")[1])
    assert listed["server"] == kept.server
    table = run(capsys, tmp_path, "list")[1].splitlines()
    assert table[0].split() == ["SERVER", "HOST", "POWER", "ADDRESS", "FLAVOR", "ATTEMPT"]
    assert table[1].split() == [kept.server, HOST, "RUNNING", "10.0.0.2", "1", "a1"]
    log = json.loads(run(capsys, tmp_path, "log", "--json")[1])
    assert [(line["server"], line["attempt"], line["others"]) for line in log] == [
        (kept.server, "a1", 0), (gone.server, "a2", 0)]
    assert len(run(capsys, tmp_path, "log")[1].splitlines()) == 3
    on.close()


def test_show_tells_all_but_the_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = driver(tmp_path)
    guest = spawn(on, new_spec(admin_pass="secret"))
    [shown] = json.loads(run(capsys, tmp_path, "show", guest.server, "--json")[1])
    assert shown["definition"]["flavor"]["name"] == "m1.tiny"
    assert shown["has_password"] is True
    assert "password" not in shown["definition"]
    assert "m1.tiny" in run(capsys, tmp_path, "show", guest.server)[1]
    on.close()


def test_the_failure_rate_set_there_rules_until_it_is_cleared(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = driver(tmp_path)
    assert run(capsys, tmp_path, "fail", "--rate", "1")[0] == 0
    assert "1.0" in run(capsys, tmp_path, "fail")[1]
    with pytest.raises(ZonesError, match="failed to start"):
        spawn(on, new_spec())
    assert run(capsys, tmp_path, "fail", "--clear")[0] == 0
    assert spawn(on, new_spec()).built
    status, _, err = run(capsys, tmp_path, "fail", "--rate", "2")
    assert (status, "between 0 and 1" in err) == (1, True)
    on.close()


def test_what_can_not_be_done_is_told_with_a_status(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, tmp_path / "nowhere", "list")
    assert (status, "--data" in err) == (1, True)
    assert not (tmp_path / "nowhere").exists()
    on = driver(tmp_path)
    guests = [spawn(on, new_spec(id=f"abc{number}")) for number in range(2)]
    assert run(capsys, tmp_path, "stop", "nobody")[0] == 1
    status, _, err = run(capsys, tmp_path, "stop", "abc")
    assert (status, "abc0, abc1" in err) == (1, True)
    assert on.list() == guests
    for wrong in ([], ["explode"], ["stop"], ["fail", "--rate", "1", "--clear"]):
        with pytest.raises(SystemExit) as caught:
            run(capsys, tmp_path, *wrong)
        assert caught.value.code == 2
    on.close()
