"""The house on green threads: every contract suite, on the doubles and on the real things."""

import pytest

from tests.conftest import Postgres
from tests.patched import passes_patched


@pytest.mark.timeout(620)
def test_the_contract_suites_pass_on_green_threads_too(amqp_url: str, postgres: Postgres) -> None:
    passes_patched(["tests/contract"], amqp_url, postgres, 600)
