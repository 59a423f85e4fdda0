"""A zone that a test drives step by step."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lifekit import Clock, LifeZone, set_clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every part."""
    return set_clock(monkeypatch)


@pytest.fixture
def make_zone(tmp_path: Path, sqlite_template: Path, clock: Clock) -> Iterator[Callable[..., LifeZone]]:
    """A zone of one's own choice: nodes, quota, timing."""
    made: list[LifeZone] = []

    def make(**given: Any) -> LifeZone:
        folder = tmp_path / f"zone-{len(made)}"
        folder.mkdir()
        made.append(LifeZone(folder, sqlite_template, clock, **given))
        made[-1].report()
        return made[-1]
    yield make
    for zone in made:
        zone.close()


@pytest.fixture
def zone(make_zone: Callable[..., LifeZone]) -> LifeZone:
    """One compute service with two hosts of 4 vCPUs."""
    return make_zone()
