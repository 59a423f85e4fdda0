"""The demo reads what `nova` prints, and ends only the process that a former run of it started."""

import subprocess
import sys
from pathlib import Path

from tools import demo_steps
from tools.demo_zone import DemoZone, Output, end_former, free_port
from zones import states
from zones.compute import simulated_options


def _sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)


def _born(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_tables_of_nova_are_read() -> None:
    rule = "+---+---+\n"
    table = f"{rule}| Property | Value |\n{rule}| a b | - |\n| fault | {{\"code\": 500}} |\n{rule}"
    assert Output(0, table, "").rows() == [["a b", "-"], ["fault", '{"code": 500}']]
    assert Output(0, table, "").fields() == {"a b": "-", "fault": '{"code": 500}'}


def test_the_process_of_a_former_run_is_ended(tmp_path: Path) -> None:
    with _sleeper() as left:
        (tmp_path / "zone.pid").write_text(f"{left.pid} {_born(left.pid)}\n")
        end_former(tmp_path / "zone.pid")
        assert left.wait(10) == -15


def test_a_process_that_only_has_its_pid_is_left_alone(tmp_path: Path) -> None:
    with _sleeper() as other:
        for text in (f"{other.pid} 1\n", f"{other.pid}\n", "x y\n", ""):
            (tmp_path / "zone.pid").write_text(text)
            end_former(tmp_path / "zone.pid")
        end_former(tmp_path / "no.pid")
        assert other.poll() is None
        other.kill()


def test_a_zone_that_was_not_started_is_stopped_quietly(tmp_path: Path) -> None:
    DemoZone("z", tmp_path, ()).stop()
    assert free_port(0) > 0


def test_the_steps_agree_with_the_hosts_and_with_the_states() -> None:
    given = dict(text.partition("=")[::2] for text in demo_steps.OPTIONS if "=" in text)
    hosts = simulated_options.parse("zone", given).hosts
    assert {host.name: host.ram for host in hosts} == demo_steps.HOSTS
    for boot in (*demo_steps.BOOTS, demo_steps.LATER):
        assert boot.flavor in demo_steps.FLAVORS
        assert set(boot.hosts) <= demo_steps.HOSTS.keys()
    for story in demo_steps.STORIES.values():
        assert {act.shows["status"] for act in story if "status" in act.shows} <= states.STATUSES
