"""A data folder is private, and held by one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from zones import folder
from zones.errors import Invalid

HOLDER = """
import sys, pathlib
from zones import folder
let_go = folder.hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_made_private(tmp_path: Path) -> None:
    made = folder.make(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert folder.make(made) == made


def test_a_file_in_the_way_is_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Invalid, match="can't make the data folder"):
            folder.make(path)


def test_one_process_holds_it_until_it_lets_go_or_dies(tmp_path: Path) -> None:
    let_go = folder.hold(tmp_path)
    with pytest.raises(Invalid, match="is used by another process"):
        folder.hold(tmp_path)
    let_go()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(Invalid, match=rf"\(pid {other.pid}\)"):
            folder.hold(tmp_path)
        other.kill()
        other.wait()
    folder.hold(tmp_path)()
