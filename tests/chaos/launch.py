"""A nursery of zone processes with crash points: SIGKILL of the process itself, at a named edge.

    python tests/chaos/launch.py

reads one JSON order a line and answers it in one line: `{"argv": […], "env": {…}, "log": path}` forks a
`bin/zone-manager` (its pid), `{"wait": pid}` buries one that has ended (its wait status). Everything
is imported before, so that a fork is up in a fraction of the time. When its input ends, every process
that is left is killed.

The edges are found, not listed: every transaction that writes (by its function; `before` is before its
commit), every message that is handed to the bus (by its type), every call of the driver and of a neighbour
(by its name). Production code knows nothing of it.

    ZONES_CRASH_AT     a file; when it holds `before:db:boot._accept#2#any`, the second pass of that point
                       from then on kills; whoever takes the file away is the one that dies
    ZONES_CRASH_LOG    a file; every point that is passed is appended to it
    ZONES_CHAOS_…      see `patches.py`
"""

# ruff: noqa: E402 - nothing may be imported before it is patched
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from zones import green

green.patch()

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import eventlet.hubs
from sqlalchemy import event
from sqlalchemy.engine import Engine
from stevedore import ExtensionManager

from tests.chaos import patches
from zones.bus.bus import Bus
from zones.compute import drivers
from zones.db.engine import Database
from zones.forwarder.neighbour import Neighbour
from zones.service import zone_manager_main

CALLS = ("spawn", "find", "list", "destroy", "action", "snapshot", "console", "diagnostics")
TOLD = ("hand", "recall", "document", "forward", "offer", "upload", "download", "forget_image")
"""Calls of a neighbour that are made for a server; polls are made by the clock."""
LOOK_FOR_WORK, HEAR = "db:worker._take", "db:mirror._apply"


class Points:
    """What passes a crash point of this process, and what becomes of it there."""

    def __init__(self, armed: str | None, log: str | None) -> None:
        self._armed = Path(armed) if armed else None
        self._log = log
        self._order = ""
        self._passed = 0

    def passed(self, name: str) -> None:
        """Note it, and die here when this is the armed one."""
        if self._log:
            fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(fd, f"{name}\n".encode())
            os.close(fd)
        if self._armed is None or not self._armed.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            order = self._armed.read_text()
            if order != self._order:
                self._order, self._passed = order, 0
            wanted, number, _ = order.split("#")
            if wanted == name:
                self._passed += 1
                if self._passed == int(number):
                    self._armed.unlink()
                    os.kill(os.getpid(), signal.SIGKILL)

    def around(self, edge: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` with a point before and one after it."""
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.passed(f"before:{edge}")
            result = call(*args, **kwargs)
            self.passed(f"after:{edge}")
            return result
        return wrapped

    def transaction(self, edge: str, run: Callable[..., Any], body: Callable[..., Any]) -> Any:
        """What `run(body)` returns, with the same points, when it writes and is a step of anything."""
        steps: list[bool] = []

        def watched(conn: Any, *args: Any, **kwargs: Any) -> Any:
            conn.info["wrote"] = False
            result = body(conn, *args, **kwargs)
            steps.append(conn.info["wrote"] and _is_step(edge, args, result))
            if steps[-1]:
                self.passed(f"before:{edge}")
            return result
        watched.__name__ = body.__name__
        result = run(watched)
        if steps[-1]:
            self.passed(f"after:{edge}")
        return result

    def feed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` with a point behind an answer that has something new in it."""
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if result.servers or result.images:
                self.passed("after:http:changes")
            return result
        return wrapped

    def pieces(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` with a point before each piece of what is sent."""
        def passing(pieces: Iterator[bytes]) -> Iterator[bytes]:
            for piece in pieces:
                self.passed("within:http:upload")
                yield piece
        return lambda neighbour, image_id, offset, total, pieces: call(
            neighbour, image_id, offset, total, passing(pieces))


def _is_step(edge: str, args: tuple[Any, ...], result: Any) -> bool:
    """Whether it was more than a look that found nothing."""
    if edge == LOOK_FOR_WORK:
        return bool(result)
    return edge != HEAR or bool(args[2])


def wrap(points: Points) -> None:
    """Put points around every edge of this process."""
    plain_publish, plain_load = Bus.publish, drivers.load

    def around_run(plain_run: Any) -> Any:
        def run(self: Database, transaction: Any, *args: Any, **kwargs: Any) -> Any:
            edge = f"db:{transaction.__module__.rpartition('.')[2]}.{transaction.__name__}"
            return points.transaction(edge, lambda body: plain_run(self, body, *args, **kwargs), transaction)
        return run

    def publish(self: Bus, queue: str, message: Any) -> bool:
        return bool(points.around(f"publish:{type(message).__name__}", plain_publish)(self, queue, message))

    def load(*args: Any, **kwargs: Any) -> Any:
        driver = plain_load(*args, **kwargs)
        for name in CALLS:
            setattr(driver, name, points.around(f"driver:{name}", getattr(driver, name)))
        return driver

    for name in TOLD:
        setattr(Neighbour, name, points.around(f"http:{name}", getattr(Neighbour, name)))
    Neighbour.upload = points.pieces(Neighbour.upload)  # type: ignore[method-assign]
    Neighbour.changes = points.feed(Neighbour.changes)  # type: ignore[method-assign]

    @event.listens_for(Engine, "before_cursor_execute")
    def notice(conn: Any, _cursor: Any, statement: str, *_rest: object) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            conn.info["wrote"] = True

    Bus.publish, drivers.load = publish, load  # type: ignore[method-assign]
    for name in ("run", "run_lightly"):
        setattr(Database, name, around_run(getattr(Database, name)))


def child(order: dict[str, Any]) -> int:
    """The process of a zone that was ordered: in a session of its own, its output in its log."""
    os.setsid()
    eventlet.hubs.use_hub()  # the one that the imports made is shared with every other fork
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(order["env"])
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    sys.argv = [str(HOME / "bin" / "zone-manager"), *order["argv"]]
    armed, log = os.environ.get("ZONES_CRASH_AT"), os.environ.get("ZONES_CRASH_LOG")
    if armed or log:
        wrap(Points(armed, log))
    patches.apply()
    return zone_manager_main(order["argv"])


def serve() -> None:
    """Answer orders until there are none; then end what is left."""
    ExtensionManager(drivers.GROUP)  # its look through all that is installed is kept for every fork
    living: set[int] = set()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitpid(order["wait"], 0)[1]
            living.discard(order["wait"])
        else:
            answer = os.fork()
            if not answer:
                try:
                    code = child(order)
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                    code = 1
                sys.stdout.flush()
                os._exit(code)
            living.add(answer)
        os.write(1, f"{answer}\n".encode())
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
