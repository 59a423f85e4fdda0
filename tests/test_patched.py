"""The house on green threads: the unit and contract suites once more, in a patched process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Postgres

HOME = Path(__file__).resolve().parent.parent


@pytest.mark.timeout(420)
def test_the_unit_and_contract_suites_pass_on_green_threads_too(
        amqp_url: str, postgres: Postgres) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.green", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit",
         "tests/contract"], cwd=HOME, capture_output=True, text=True, timeout=400,
        env={**os.environ, "ZONES_TEST_AMQP_URL": amqp_url, "ZONES_TEST_DATABASE_URL": postgres.url})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
