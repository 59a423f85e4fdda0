"""A compute service that a test drives step by step."""

from collections.abc import Iterator

import pytest

from tests.lifekit import LifeZone, Node


@pytest.fixture
def node(zone: LifeZone) -> Iterator[Node]:
    """The zone's one service; what it says is read by the test."""
    zone.post.take("news")
    return zone.nodes["c1"]
