"""A zone of its own for each module, with everything that waits waiting little."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import Clients
from tests.zonekit import QUICK, Zone


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """The real clients as the administrator of a running zone."""
    folder: Path = tmp_path_factory.mktemp("e2e")
    with Zone(folder / "zone", sections=QUICK) as zone:
        yield Clients(zone, folder)
