"""The house on green threads: the unit suites of whatever waits, locks, or talks to somebody.

What is pure (scheduler, capabilities) and the API's handlers, which a test calls one at a time, behave
alike on any threads: they run natively only. The contract suites are in test_patched_contracts.py.
"""

import pytest

from tests.conftest import Postgres
from tests.patched import passes_patched

SUITES = [f"tests/unit/{name}" for name in (
    "servers", "neighbours", "forwarder", "image", "identity", "compute", "db", "test_zone_manager.py")]


@pytest.mark.timeout(620)
def test_the_unit_suites_pass_on_green_threads_too(amqp_url: str, postgres: Postgres) -> None:
    passes_patched(SUITES, amqp_url, postgres, 600)
