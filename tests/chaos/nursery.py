"""Processes of zones that are forked from one that has everything imported: a restart costs little.

What runs in them is `bin/zone-manager` all the same, with the crash points of `launch.py`.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.zonekit import Process

LAUNCH = Path(__file__).with_name("launch.py")


class Child(Process):
    """A process of a zone that the nursery forks; a session of its own, watched by its pidfd."""

    def __init__(self, nursery: "Nursery", argv: list[str], log: Path, env: dict[str, str]) -> None:
        super().__init__(argv, log, env)
        self._nursery = nursery
        self._pid = 0
        self._fd = -1

    def start(self) -> Self:
        """Fork it."""
        self._bury()
        self._pid = self._nursery.order({"argv": self.argv, "env": self.env, "log": str(self.log)})
        self._fd = os.pidfd_open(self._pid)
        return self

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._fd >= 0 and not self._ended(0)

    def kill(self) -> None:
        """SIGKILL to it and its own children, and wait until it is gone."""
        if self._fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            assert self._ended(10), f"{self.argv} survives SIGKILL"
            self._bury()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP: it hangs, and its connections stay open."""
        signal.pidfd_send_signal(self._fd, number)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and its exit code; SIGKILL and an assertion error when it does not end."""
        signal.pidfd_send_signal(self._fd, signal.SIGTERM)
        if not self._ended(seconds):
            self.kill()
            raise AssertionError(f"{self.argv} did not end on SIGTERM")
        return self._bury()

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self._fd], [], [], seconds)[0])

    def _bury(self) -> int:
        """Let the nursery wait for it; its exit code, negative for a signal."""
        if self._fd < 0:
            return 0
        os.close(self._fd)
        self._fd = -1
        return os.waitstatus_to_exitcode(self._nursery.order({"wait": self._pid}))


class Nursery:
    """The process that forks them. Whatever it has forked dies with it, or when this process ends."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._popen = subprocess.Popen([sys.executable, str(LAUNCH)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, start_new_session=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.wait(30)
        self._popen.stdout.close()

    def order(self, order: dict[str, Any]) -> int:
        """The answer to one order, as `launch.py` tells."""
        assert self._popen.stdin is not None and self._popen.stdout is not None
        with self._lock:
            self._popen.stdin.write(json.dumps(order).encode() + b"\n")
            self._popen.stdin.flush()
            return int(self._popen.stdout.readline())

    def process(self, argv: list[str], log: Path, env: dict[str, str]) -> Child:
        """A process of a zone, not started yet: what `Zone(make=…)` wants."""
        return Child(self, argv, log, env)
