"""bin/zone-manager with crash points: SIGKILL of this very process, before or after a named edge.

The edges are found, not listed: every transaction (by its function), every message that is handed to
the bus (by its type), every call of the driver (by its name). Production code knows nothing of it.

    ZONES_CRASH_AT   a file; when it holds `before:db:boot._accept` (or `after:…`), that point kills
    ZONES_CRASH_LOG  a file; every point that is passed is appended to it
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from zones import green

green.patch()

import os
import signal
from collections.abc import Callable
from typing import Any

from zones.bus.bus import Bus
from zones.compute import drivers
from zones.db.engine import Database
from zones.service import zone_manager_main

ARMED = Path(os.environ.get("ZONES_CRASH_AT", "/nonexistent"))
LOG = os.environ.get("ZONES_CRASH_LOG")
CALLS = ("spawn", "find", "list", "destroy", "action", "snapshot", "console", "diagnostics")


def point(name: str) -> None:
    """One edge is passed: note it, and die here when this is the armed one."""
    if LOG:
        fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{name}\n".encode())
        os.close(fd)
    try:
        armed = ARMED.read_text().strip()
    except OSError:
        return
    if armed == name:
        ARMED.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def around(edge: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with a point before and one after it."""
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        point(f"before:{edge}")
        result = call(*args, **kwargs)
        point(f"after:{edge}")
        return result
    return wrapped


def wrap_database() -> None:
    """Every transaction, by module and function."""
    plain = Database.run

    def run(self: Database, transaction: Any, *args: Any, **kwargs: Any) -> Any:
        edge = f"db:{transaction.__module__.rpartition('.')[2]}.{transaction.__name__}"
        return around(edge, plain)(self, transaction, *args, **kwargs)
    Database.run = run  # type: ignore[method-assign]


def wrap_bus() -> None:
    """Every message that is handed to the bus, by its type."""
    plain = Bus.publish

    def publish(self: Bus, queue: str, message: Any) -> bool:
        return bool(around(f"publish:{type(message).__name__}", plain)(self, queue, message))
    Bus.publish = publish  # type: ignore[method-assign]


def wrap_driver() -> None:
    """Every call of the driver, by its name."""
    plain = drivers.load

    def load(*args: Any, **kwargs: Any) -> Any:
        driver = plain(*args, **kwargs)
        for name in CALLS:
            setattr(driver, name, around(f"driver:{name}", getattr(driver, name)))
        return driver
    drivers.load = load


if __name__ == "__main__":
    wrap_database()
    wrap_bus()
    wrap_driver()
    sys.exit(zone_manager_main(sys.argv[1:]))
