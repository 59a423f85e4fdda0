"""One number that a benchmark measures, and what it is held against."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.lab import Lab


@dataclass(frozen=True)
class Goal:
    """What is measured: its key, words, unit, and the target (None: only to be seen)."""

    key: str
    words: str
    unit: str
    target: float | None = None
    at_most: bool = False

    def holds(self, value: float) -> bool | None:
        """Whether the value reaches the target; None without one."""
        if self.target is None:
            return None
        return value <= self.target if self.at_most else value >= self.target

    @property
    def target_words(self) -> str:
        """The target as the table shows it."""
        return "" if self.target is None else f"{'≤' if self.at_most else '≥'} {self.target:g}"


@dataclass(frozen=True)
class Benchmark:
    """A name to choose it by, what it measures, and `run(lab)`: one round of it, `key → value`.

    Keys without a goal are details, which go to the file only. One that is measured `once` takes its time
    for what it needs, and has many samples of its own.
    """

    name: str
    goals: Sequence[Goal]
    run: Callable[["Lab"], dict[str, float]]
    once: bool = False


@dataclass
class Series:
    """The values of one goal over the rounds."""

    goal: Goal
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    def plain(self) -> dict[str, Any]:
        """For the JSON file."""
        return {"words": self.goal.words, "unit": self.goal.unit, "median": self.median,
                "min": min(self.values), "max": max(self.values), "values": self.values,
                "target": self.goal.target_words, "holds": self.goal.holds(self.median)}
