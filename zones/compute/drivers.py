"""Find a driver by its name among the installed ones (entry points of the group `zones.drivers`)."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stevedore import driver, exception

from zones.compute.driver import ComputeDriver
from zones.errors import Invalid

GROUP = "zones.drivers"
"""The entry-point group; each entry is called as (data_dir, service name, options)."""


def load(name: str, data_dir: Path, service: str, options: Mapping[str, object]) -> ComputeDriver:
    """The driver `name`, made for `service`; `data_dir` is where it may keep what it needs.

    Raises `Invalid` naming the known drivers when there is none of that name or its package can't
    be imported, and whatever the driver itself raises for its options.
    """
    try:
        found: driver.DriverManager[ComputeDriver] = driver.DriverManager(
            GROUP, name, on_load_failure_callback=_refuse)
    except exception.NoMatches as error:
        raise Invalid(f"there is no compute driver {name!r}; {_known()}", code="no_driver") from error
    except exception.MultipleMatches as error:
        raise Invalid(f"several installed packages bring a compute driver {name!r}",
                      code="no_driver") from error
    plugin: Any = found.driver
    made: ComputeDriver = plugin(data_dir, service, options)
    return made


def _refuse(_manager: object, entry: importlib.metadata.EntryPoint, error: BaseException) -> None:
    raise Invalid(f"the compute driver {entry.name!r} ({entry.value}) can't be loaded: {error}",
                  code="no_driver") from error


def _known() -> str:
    names = sorted({entry.name for entry in importlib.metadata.entry_points(group=GROUP)})
    return f"the known ones are {', '.join(names)}" if names else (
        "none is installed: install this package, its entry points name them")
