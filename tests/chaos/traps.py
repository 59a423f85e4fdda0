"""The crash points of one zone's processes: what they have passed, and the order to die at one of them."""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.zonekit import Zone, wait_for

GRACE = 0.15
"""Seconds that the last points of an operation may come after its end."""
IDLE = 1.5
"""Seconds in which everything that happens by the clock alone happens."""
AT_WORK = ("worker._take", "mirror._apply")
"""Steps that are taken by the clock too, and are noted only when they find something to do."""


class Trap:
    """The files through which processes that `launch.py` made are watched, and killed."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / "armed"
        self._log = folder / "points"
        self.env = {"ZONES_CRASH_AT": str(self._armed), "ZONES_CRASH_LOG": str(self._log)}
        self.idle: set[str] = set()

    def mark(self) -> int:
        """A place in the log."""
        return self._log.stat().st_size if self._log.exists() else 0

    def passed(self, start: int) -> list[str]:
        """The points passed since that place."""
        return self._log.read_bytes()[start:].decode().split() if self._log.exists() else []

    def note_idle(self) -> None:
        """Learn what passes by the clock alone."""
        start = self.mark()
        rest(IDLE)
        self.idle = {name for name in self.passed(start) if not any(step in name for step in AT_WORK)}

    def points(self, start: int, steps: Sequence[str] = ("",)) -> list[str]:
        """What was passed since `start` and has one of `steps` in its name, each with the number of its pass.

        Of the looks for work only the first is worth dying at: it is where all others are.
        """
        seen: Counter[str] = Counter()
        found = []
        for name in self.passed(start):
            seen[name] += 1
            if name not in self.idle and any(step in name for step in steps) and (
                    "worker._take" not in name or seen[name] == 1):
                found.append(f"{name}#{seen[name]}")
        return found

    def arm(self, point: str) -> None:
        """Whoever passes that point (name and number, from now on) dies of it."""
        order = self._armed.with_suffix(".new")
        order.write_text(f"{point}#{uuid.uuid4().hex}")
        order.rename(self._armed)

    def disarm(self, zone: Zone) -> bool:
        """Take the order back; whether somebody died of it."""
        until = time.monotonic() + GRACE
        wait_for("late points", lambda: is_dead(zone) or time.monotonic() > until, 5, every=0.01)
        try:
            self._armed.unlink()
        except FileNotFoundError:
            wait_for("whoever took the order to die", lambda: is_dead(zone), 5)
        return is_dead(zone)


def is_dead(zone: Zone) -> bool:
    """Whether one of the zone's processes has ended."""
    return not all(process.alive for process in zone.processes.values())


def rest(seconds: float) -> None:
    """Let that much time pass."""
    until = time.monotonic() + seconds
    wait_for("some idle time", lambda: time.monotonic() > until, seconds + 5)
