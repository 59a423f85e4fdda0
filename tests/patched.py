"""Run suites once more in a process whose standard library is patched, as the programs of `bin/` are."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import Postgres

HOME = Path(__file__).resolve().parent.parent


def passes_patched(suites: Sequence[str], amqp_url: str, postgres: Postgres, seconds: float) -> None:
    """An assertion error with the end of its output when one of these suites fails on green threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.green", "pytest", "-q", "-p", "no:cacheprovider", *suites],
        cwd=HOME, capture_output=True, text=True, timeout=seconds,
        env={**os.environ, "ZONES_TEST_AMQP_URL": amqp_url, "ZONES_TEST_DATABASE_URL": postgres.url})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
