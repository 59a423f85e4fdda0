"""What the tests that break things share: a nursery, from which processes of zones start fast."""

from collections.abc import Iterator

import pytest

from tests.chaos.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks processes of zones, with crash points."""
    with Nursery() as made:
        yield made
