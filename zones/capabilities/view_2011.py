"""The zone's capabilities in the form of 2011: `<service>_<capability>: "min,max"`, `key: "v1;v2"`."""

from collections.abc import Iterator

import numpy as np

from zones.capabilities.columns import Floats
from zones.capabilities.host_table import HostTable


def view(table: HostTable, service: str = "compute") -> dict[str, str]:
    """Least and greatest live number over the open hosts, and every static value that one of them has."""
    rows = np.flatnonzero(table.open())
    found: dict[str, str] = {}
    for name, column in _numbers(table):
        amounts = column[rows]
        amounts = amounts[~np.isnan(amounts)]
        if len(amounts):
            found[f"{service}_{name}"] = f"{_plain(amounts.min())},{_plain(amounts.max())}"
    open_rows = set(table.classes.codes[rows].tolist())
    offered: dict[str, set[str]] = {}
    for code in open_rows:
        kind = table.classes.value(code)
        assert kind is not None
        for key, values in kind.capabilities:
            offered.setdefault(key, set()).update(values)
    found.update({key: ";".join(sorted(values)) for key, values in sorted(offered.items())})
    return found


def _numbers(table: HostTable) -> Iterator[tuple[str, Floats]]:
    columns = table.columns
    yield "vcpus_total", columns.cap_vcpus
    yield "vcpus_free", columns.free_vcpus
    yield "host_memory_total", columns.cap_ram
    yield "host_memory_free", columns.free_ram
    yield "disk_total", columns.cap_disk
    yield "disk_available", columns.free_disk
    yield "servers", columns.servers
    yield from sorted(table.live.items())


def _plain(amount: float) -> str:
    return str(int(amount)) if float(amount).is_integer() else f"{amount:g}"
