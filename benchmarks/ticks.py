"""Late wake-ups of a 5 ms ticker: written down, and read by others.

    python -m benchmarks.ticks FILE    tick in a process that does nothing else
"""

import struct
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

TICK = 0.005
WORTH_NOTING = 0.001
_RECORD = struct.Struct("ddd")


@dataclass(frozen=True)
class Tick:
    """When it woke (monotonic clock, which the processes of a machine share), how many seconds late,
    and how many of CPU its hub used meanwhile."""

    at: float
    late: float
    cpu: float

    def packed(self) -> bytes:
        """One record of the file."""
        return _RECORD.pack(*astuple(self))


def since(path: Path, moment: float) -> list[Tick]:
    """What a ticker noted after a moment of the monotonic clock."""
    raw = path.read_bytes() if path.exists() else b""
    whole = raw[:len(raw) // _RECORD.size * _RECORD.size]
    return [tick for values in _RECORD.iter_unpack(whole) if (tick := Tick(*values)).at > moment]


def tick(path: Path) -> None:
    """Note each wake-up that comes late, for ever."""
    with path.open("ab", buffering=0) as file:
        while True:
            began, used = time.monotonic(), time.thread_time()
            time.sleep(TICK)
            woke = time.monotonic()
            if woke - began - TICK > WORTH_NOTING:
                file.write(Tick(woke, woke - began - TICK, time.thread_time() - used).packed())


if __name__ == "__main__":
    tick(Path(sys.argv[1]))
