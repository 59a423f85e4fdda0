"""The demo reads what `nova` prints, ends only the processes that it started, and its steps can be."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tools import demo_steps as steps
from tools.demo_tree import Tree
from tools.demo_zone import Failed, Output, Service, Waits, Zone, end_former, free_port
from zones import states
from zones.compute import simulated_options
from zones.compute.ec2 import options as ec2_options


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


def test_a_tree_that_was_not_started_is_stopped_quietly(tmp_path: Path) -> None:
    Zone("z", tmp_path, 8774, Waits(), {}).stop()
    Tree(tmp_path, Waits(), {}, "").stop()
    assert free_port(0) > 0


def test_what_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    service = Service("one", tmp_path, free_port(0), Waits(), {})
    with pytest.raises(Failed, match="out of luck"):
        service.run(["-c", "import sys; sys.exit('out of luck')"], "/")
    assert not service.alive
    service.stop()
    assert not (tmp_path / "one.pid").exists()


def test_nothing_is_begun_or_waited_for_after_the_end(tmp_path: Path) -> None:
    waits = Waits()
    waits.stopped.set()
    with pytest.raises(Failed):
        waits.until("never", lambda: False)
    with pytest.raises(Failed):
        Service("one", tmp_path, free_port(0), waits, {}).run(["-c", "pass"], "/")
    assert not list(tmp_path.iterdir())


def test_an_ec2_that_the_environment_names_is_used_with_an_image_of_its_own(tmp_path: Path) -> None:
    assert "moto" in Tree(tmp_path, Waits(), {"AWS_REGION": "eu-west-1"}, "").ec2
    named = {"AWS_ENDPOINT_URL": "http://ec2.example.org", "AWS_REGION": "eu-west-1"}
    assert "http://ec2.example.org" in Tree(tmp_path, Waits(), named, "").ec2
    with pytest.raises(Failed, match="--ami"):
        Tree(tmp_path, Waits(), named, "").start()
    options = Tree(tmp_path, Waits(), named, "ami-0123456789").options("aws")
    given = dict(text.partition("=")[::2] for text in options if "=" in text)
    assert given["region"] == "eu-west-1" and "endpoint_url" not in given
    assert given["image"] == "ami-0123456789"


def test_the_steps_agree_with_the_hosts_and_with_the_states(tmp_path: Path) -> None:
    tree = Tree(tmp_path, Waits(), {}, "")
    for name, plan in steps.ZONES.items():
        options = tree.options(name)
        given = dict(options[at + 1].partition("=")[::2] for at, word in enumerate(options)
                     if word == "--compute-option")
        if plan.ec2:
            assert ec2_options.parse(given).limits.ram == steps.EC2_RAM
        elif plan.hosts:
            service = plan.options[plan.options.index("--compute-name") + 1]
            hosts = simulated_options.parse(service, given).hosts
            assert {host.name: host.ram for host in hosts} == plan.hosts
    for boot in (*steps.BOOTS, steps.AT_LEAF, steps.LATER, steps.TOO_MUCH):
        assert boot.flavor in steps.FLAVORS
        assert set(boot.paths) <= set(steps.PATHS.values())
    for story in steps.STORIES.values():
        assert {act.shows["status"] for act in story if "status" in act.shows} <= states.STATUSES


def test_as_many_overflow_as_the_local_zones_have_no_room_for() -> None:
    size, used = steps.FLAVORS, Counter[str]()
    for boot in (*steps.BOOTS, steps.LATER):
        if len(boot.paths) == 1:
            used[boot.paths[0]] += size[steps.flavor_of(boot.name)]
        else:
            assert steps.STORIES[boot.name][-1].gone  # for it takes room, and nobody knows where
    used[steps.PATHS[steps.LEAF]] += size[steps.flavor_of(steps.AT_LEAF.name)]
    room = {steps.PATHS[name]: sum(plan.hosts.values()) for name, plan in steps.ZONES.items() if plan.hosts}
    left = {path: (ram - used[path]) // size[steps.FILL] for path, ram in room.items()}
    assert sum(left.values()) + steps.OVERFLOW == steps.FILL_COUNT
    assert (steps.EC2_RAM - used["aws"]) // size[steps.FILL] == steps.OVERFLOW
