"""`python -m benchmarks [--quick] [--rounds N] [NAME …]`: run, show and keep the figures.

One run is some rounds; a round is every benchmark once, so that what else the machine does meets
all of them alike.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import boots, hub, listing, load, machine, memory, messages, report, tree, wide
from benchmarks.figure import Benchmark, Series
from benchmarks.lab import Lab
from tests.servers import Missing

ALL: dict[str, Benchmark] = {one.name: one for one in (
    *boots.BENCHMARKS, *listing.BENCHMARKS, *messages.BENCHMARKS, *memory.BENCHMARKS, *hub.BENCHMARKS,
    *tree.BENCHMARKS, *wide.BENCHMARKS)}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(ALL)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short round: rough figures")
    parser.add_argument("--rounds", type=int, help="rounds (default 3)")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    unknown = [name for name in given.names if not any(each.startswith(name) for each in ALL)]
    if unknown or given.rounds < 1:
        parser.error(f"no benchmark {', '.join(unknown)}" if unknown else "--rounds: at least 1")
    return given


def main() -> int:
    """The status: 0 when all was measured, whatever the figures say."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = arguments()
    chosen = [one for name, one in ALL.items()
              if not given.names or any(name.startswith(prefix) for prefix in given.names)]
    before = machine.describe()
    run = Run({one.name: [Series(goal) for goal in one.goals] for one in chosen})
    try:
        load.install()
        with Lab(quick=given.quick) as lab:
            for number in range(1, given.rounds + 1):
                run.round(lab, [one for one in chosen if number == 1 or not one.once],
                          f"round {number} of {given.rounds}")
    except Missing as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    about = {**before, "load_average_after": os.getloadavg()}
    measured = {name: [one for one in found if one.values] for name, found in run.series.items()}
    report.show([one for found in measured.values() for one in found], about, given.rounds)
    print(f"written to {report.write(measured, run.details, about, run.errors)}")
    for failure in run.errors:
        print(f"make bench: {failure}", file=sys.stderr)
    return 1 if run.errors else 0


@dataclass
class Run:
    """What was measured so far."""

    series: dict[str, list[Series]]
    details: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def round(self, lab: Lab, chosen: Sequence[Benchmark], title: str) -> None:
        """Run each once. One that fails is noted, and the others go on."""
        found: dict[str, Any] = {}
        for one in chosen:
            print(f"{title}: {one.name} …", end=" ", file=sys.stderr, flush=True)
            try:
                found[one.name] = values = one.run(lab)
            except (RuntimeError, AssertionError, OSError) as error:
                self.errors.append(f"{one.name}: {error}")
                print("failed", file=sys.stderr)
                continue
            for each in self.series[one.name]:
                each.values.append(values[each.goal.key])
            print(", ".join(f"{values[goal.key]:.4g} {goal.unit}" for goal in one.goals
                            if goal.target is not None), file=sys.stderr)
        self.details.append(found)


if __name__ == "__main__":
    sys.exit(main())
