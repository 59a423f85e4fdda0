"""Finding a driver by its name."""

from pathlib import Path

import pytest

from zones.compute import drivers
from zones.errors import Invalid


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with drivers: one of ours, one that can't be imported."""
    info = tmp_path / "site" / "drivers_of_a_test-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: drivers-of-a-test\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[zones.drivers]\nof_a_test = zones.compute.simulated:SimulatedDriver\n"
        "broken = no.such.module:Driver\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.mark.usefixtures("installed")
def test_a_driver_is_loaded_by_name_with_its_options(tmp_path: Path) -> None:
    on = drivers.load("of_a_test", tmp_path / "data", "c7", {"hosts": "2"})
    assert [host.name for host in on.hosts()] == ["c7-host-1", "c7-host-2"]
    on.close()
    with pytest.raises(Invalid, match="'hosts'"):
        drivers.load("of_a_test", tmp_path / "data", "c7", {"hosts": "x"})


@pytest.mark.usefixtures("installed")
def test_a_driver_that_is_unknown_or_broken_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no compute driver 'zeppelin'; the known ones are .*of_a_test"):
        drivers.load("zeppelin", tmp_path, "c1", {})
    with pytest.raises(Invalid, match=r"'broken'.*can't be loaded"):
        drivers.load("broken", tmp_path, "c1", {})
