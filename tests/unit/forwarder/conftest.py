"""A neighbour that misbehaves on demand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.neighbour_double import OWN, QUICK, Double, double
from zones.config import Links
from zones.forwarder.client import Client


@pytest.fixture
def west() -> Iterator[Double]:
    with double() as made:
        yield made


@pytest.fixture
def client(west: Double) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(config: Links = QUICK, **link: Any) -> Client:
        made.append(Client(west.link(**link), config, OWN))
        return made[-1]
    yield make
    for each in made:
        each.close()
