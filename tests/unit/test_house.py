"""The house rules hold, and the program that checks them sees a breach."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_house

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "zones").rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update({node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def test_every_file_keeps_the_rules() -> None:
    assert {str(path.relative_to(ROOT)): list(check_house.breaches(path))
            for path in check_house.files(ROOT) if list(check_house.breaches(path))} == {}


@pytest.mark.parametrize(("code", "told"), [
    ("x = 1\n", "the module has no docstring"),
    ('"""M."""\ndef f():\n    return 1\n', "f has no docstring"),
    ('"""M."""\nclass C:\n    """C."""\n    def f(self):\n        return 1\n', "f has no docstring"),
    ('"""M."""\nclass C:\n    pass\n', "class C has no docstring"),
    ('"""M."""\ndef _f():\n' + "    x = 1\n" * 60, "_f has 61 lines; 60 is the most"),
    ('"""M."""\n' + "x = 1\n" * 400, "401 lines; 400 is the most"),
    ('"""M."""\n# TO' + "DO\n", "«TO" + "DO»"),
    ('"""M."""\ntry:\n    x = 1\nexcept Exception:\n    pass\n', "an exception is swallowed"),
    ('"""M."""\nfor x in ():\n    try:\n        x = 1\n    except:\n        continue\n',
     "an exception is swallowed"),
])
def test_a_breach_is_seen(tmp_path: Path, code: str, told: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(code)
    assert told in [what for _line, what in check_house.breaches(path)]


def test_what_is_in_order_passes(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""M."""\n\n\nclass _C:\n    def f(self):\n        return 1\n\n\ndef _g():\n    return 2\n')
    assert list(check_house.breaches(path)) == []


def test_only_green_and_its_users_know_eventlet() -> None:
    knowing = {path.relative_to(ROOT / "zones").as_posix() for path in SOURCES
               if any(name.split(".")[0] in ("eventlet", "greenlet") for name in _imports(path))}
    assert knowing <= {"green.py"}


def test_modules_other_than_the_service_load_without_eventlet() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in SOURCES
             if path.name not in ("green.py", "env.py", "__main__.py") and path.parent.name != "service"]
    script = ("import importlib, sys\n"
              f"for name in {names!r}:\n    importlib.import_module(name)\n"
              "sys.exit('eventlet' in sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_client_plug_ins_import_nothing_of_the_house() -> None:
    for path in (ROOT / "zones" / "cli").rglob("*.py"):
        assert not {name for name in _imports(path)
                    if name.split(".")[0] == "zones" and not name.startswith("zones.cli")}, path


def test_a_command_without_dependencies_says_what_to_do(tmp_path: Path) -> None:
    """A copy without `.venv`, run by a Python that has nothing installed."""
    for name in ("bin/zone-manager", "zones/__init__.py", "zones/launch.py"):
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((ROOT / name).read_text())
    done = subprocess.run([sys.executable, "-I", "-S", str(tmp_path / "bin/zone-manager")],
                          cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "make venv" in done.stderr
