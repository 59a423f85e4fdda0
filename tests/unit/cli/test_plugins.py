"""The plug-ins are for machines without the house: they load only the clients, and say what is typed."""

import ast
import importlib.metadata
from argparse import Namespace
from pathlib import Path

import pytest
from novaclient.v2 import shell

from zones import cli
from zones.cli import nova, openstack, openstack_zones

FILES = sorted(Path(cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_they_import_nothing_of_the_house(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
            [node.module or "."] if isinstance(node, ast.ImportFrom) else [])
        assert not [name for name in names if name.split(".")[0] in ("zones", "")], path


@pytest.mark.parametrize(("group", "name", "loaded"), [
    ("novaclient.extension", "zones", nova), ("openstack.cli.extension", "zones", openstack)])
def test_the_clients_find_them(group: str, name: str, loaded: object) -> None:
    (point,) = importlib.metadata.entry_points(group=group, name=name)
    assert point.load() is loaded


def test_every_verb_of_openstack_is_a_command() -> None:
    points = importlib.metadata.entry_points(group="openstack.zones.v2")
    found = {point.name: point.load() for point in points}
    assert {name.removeprefix("compute_zone_") for name in found} == {
        "list", "show", "create", "set", "delete", "cordon", "uncordon", "drain", "info", "tree"}
    assert all(kind.__module__ == openstack_zones.__name__ for kind in found.values())


def test_options_of_boot_become_hints_once() -> None:
    for _ in range(2):
        nova.__pre_parse_args__()
    options = [name for names, _ in shell.do_boot.arguments for name in names]
    assert (options.count("--zone"), options.count("--zone-capability")) == (1, 1)
    args = Namespace(scheduler_hints=[("group", "g")], zone_capability=["gpu=a100", "os=linux;bsd"],
                     hint_zone="west")
    for _ in range(3):
        nova.__post_parse_args__(args)
    assert args.scheduler_hints == [("group", "g"), ("zone_capabilities", "gpu=a100"),
                                    ("zone_capabilities", "os=linux;bsd"), ("zone", "west")]


def test_other_commands_are_left_alone() -> None:
    args = Namespace(server="x")
    nova.__post_parse_args__(args)
    assert args == Namespace(server="x")


def test_a_password_need_not_stand_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed")
    assert nova._password("-") == "typed"
    assert nova._password("told") == "told"
