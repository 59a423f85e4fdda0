"""`green` runs in a process of its own, so that this one stays as Python made it."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_all_green_cases_pass_in_a_patched_process():
    ran = subprocess.run(
        [sys.executable, "-m", "tests.green", "pytest", "-q", "-p", "no:cacheprovider",
         str(HERE / "green_cases.py")],
        cwd=HERE.parents[1], capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "EventletDeprecationWarning" not in ran.stdout + ran.stderr
