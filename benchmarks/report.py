"""The table for people and the JSON file for comparisons."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Series

RESULTS = Path(__file__).with_name("results")


def table(series: Sequence[Series], machine: Mapping[str, Any], rounds: int) -> Table:
    """Each figure with its spread, its target, and whether it holds."""
    load = machine["load_average"][0]
    found = Table(title=f"{rounds} rounds; {machine['machine']['cores']} cores, {machine['machine']['cpu']}; "
                        f"load {load:.1f} before; commit {machine['commit'][:10]}")
    for name, side in (("", "left"), ("median", "right"), ("min … max", "right"), ("unit", "left"),
                       ("target", "left"), ("", "left")):
        found.add_column(name, justify=side)  # type: ignore[arg-type]
    for one in series:
        holds = one.goal.holds(one.median)
        mark = {None: "", True: "[green]holds[/]", False: "[red]does not hold[/]"}[holds]
        style = "dim" if holds is None else ""
        found.add_row(one.goal.words, _short(one.median),
                      f"{_short(min(one.values))} … {_short(max(one.values))}", one.goal.unit,
                      one.goal.target_words, mark, style=style)
    return found


def show(series: Sequence[Series], machine: Mapping[str, Any], rounds: int) -> None:
    """Print it; where there is no terminal, as wide as it wants to be."""
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table(series, machine, rounds))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(series: Mapping[str, Sequence[Series]], details: Sequence[Mapping[str, Any]],
          machine: Mapping[str, Any], errors: Sequence[str]) -> Path:
    """The file: everything that was measured, and with what."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{machine['date'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(json.dumps({
        **machine, "figures": {f"{name}.{one.goal.key}": one.plain() for name, found in series.items()
                               for one in found},
        "rounds": details, "errors": errors}, indent=1) + "\n")
    return path
