"""Run one server for as long as its owner lives: `guard.py FOLDER SIGNAL SECONDS USER command…`.

The owner holds the other end of our stdin. It says `stop` or `kill`; if it dies, however that
comes, we read the end of file, stop the server and remove its folder. So nothing outlives a test
run that was interrupted or killed. Prints nothing; exits with the server's status.
"""

import os
import select
import shutil
import signal
import subprocess
import sys


def main(folder: str, stop_signal: str, patience: str, user: str, *command: str) -> int:
    """Run `command` as `user` ('' is our own) until it ends or the owner wants it to."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                             user=user or None, group=user or None, extra_groups=[] if user else None)
    order = _wait(child)
    if order is None:
        return child.wait()
    _stop(child, signal.Signals[stop_signal], float(patience), order == b"kill")
    if order == b"":
        shutil.rmtree(folder, ignore_errors=True)
    return child.returncode


def _wait(child: subprocess.Popen[bytes]) -> bytes | None:
    """What the owner said, b"" when it is gone; None when the server ended by itself."""
    watched = os.pidfd_open(child.pid)
    ready, _, _ = select.select([sys.stdin.fileno(), watched], [], [])
    os.close(watched)
    return os.read(sys.stdin.fileno(), 16).strip() if sys.stdin.fileno() in ready else None


def _stop(child: subprocess.Popen[bytes], how: signal.Signals, patience: float, now: bool) -> None:
    if not now:
        child.send_signal(how)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            now = True
    if now:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
