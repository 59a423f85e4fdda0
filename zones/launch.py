"""Let a command of `bin/` start from a clean clone: find the Python that has what it needs."""

import importlib.util
import os
import sys
from pathlib import Path

NEEDED = ("eventlet", "kombu", "sqlalchemy", "webob", "oslo_config", "msgspec")


def ready(program: str) -> None:
    """Return when this Python has the dependencies; else become the clone's own `.venv` Python.

    Where there is neither, exit with one line that says what to do. Imports nothing that a command
    would have to patch first.
    """
    program = str(Path(program).resolve())
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return
    home = Path(__file__).resolve().parent.parent
    python = home / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != home / ".venv":
        os.execv(python, [str(python), program, *sys.argv[1:]])  # noqa: S606 - our own Python
    raise SystemExit(f"{Path(program).name}: its dependencies are missing: "
                     f"run `make venv` in {home}, or `pip install {home}`")
