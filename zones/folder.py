"""The data folder of a process: private, writable, and held by one process where only one may use it."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from zones.errors import Invalid

LOCK_FILE = "lock"
"""Its name in a held folder. The kernel drops the lock with the process, however that ends."""


def make(folder: Path) -> Path:
    """The folder, made (0700) when it is missing. Raises `Invalid` when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Invalid(f"can't make the data folder {folder}: {error.strerror}: choose another with "
                      "--data-dir", code="bad_data_dir") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Invalid(f"can't write to the data folder {folder}: make it this user's, or choose another "
                      "with --data-dir", code="bad_data_dir")
    return folder


def hold(folder: Path) -> Callable[[], None]:
    """Make the folder and keep every other process out of it; call what comes back to let go.

    Raises `Invalid` naming the process that holds it already.
    """
    file = os.open(make(folder) / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise Invalid(f"the data folder {folder} is used by another process (pid {holder}): stop that one, "
                      "or choose another folder with --data-dir", code="data_dir_in_use") from error
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return lambda: os.close(file)
