"""What the figures were measured with: versions of everything, the machine, its load, the date."""

import os
import platform
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("eventlet", "greenlet", "kombu", "amqp", "SQLAlchemy", "psycopg2-binary", "psycopg2", "WebOb",
            "orjson", "msgspec", "numpy", "cryptography", "oslo.policy", "fastjsonschema")
PROGRAMS = {"wrk": "wrk", "rabbitmq": "rabbitmq-server", "postgresql": "postgresql"}
"""Debian packages."""


def describe() -> dict[str, Any]:
    """Everything that a reader of the figures needs to know."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _said("git", "rev-parse", "HEAD"),
            "changed": _said("git", "status", "--porcelain", "--untracked-files=no").splitlines(),
            "machine": _machine(), "load_average": os.getloadavg(), "versions": _versions()}


def _machine() -> dict[str, Any]:
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {"cpu": models[0] if models else platform.processor(), "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory, 1), "kernel": platform.release()}


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, package in PROGRAMS.items():
        said = _said("dpkg-query", "--show", "--showformat=${Version}", package)
        if said:
            found[name] = said
    return found


def _said(*command: str) -> str:
    """What a program prints; "" where there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10,
                              cwd=Path(__file__).parent).stdout.strip()
    except OSError:
        return ""
