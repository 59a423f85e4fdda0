"""What a run of benchmarks has at hand, and ends: a folder, private servers, zones."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.zone import Zone
from tests.servers import PrivatePostgres, PrivateRabbit, drop_database

ALONE = (("api", "manager", "scheduler", "compute"),)
APART = (("api",), ("api",), ("manager", "scheduler"), ("compute",))
"""The processes of a zone on PostgreSQL and RabbitMQ, by their roles: an API worker a core."""


class Lab:
    """`quick` asks each benchmark for less. Servers start when they are first needed."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.folder = Path(tempfile.mkdtemp(prefix="zones-bench-"))
        self._open = ExitStack()
        self._rabbit: PrivateRabbit | None = None
        self._postgres: PrivatePostgres | None = None
        self._zones = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._open.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def rabbit(self) -> PrivateRabbit:
        """RabbitMQ of our own, running."""
        if self._rabbit is None:
            self._rabbit = self._open.enter_context(PrivateRabbit())
        return self._rabbit

    @property
    def postgres(self) -> PrivatePostgres:
        """PostgreSQL of our own, running."""
        if self._postgres is None:
            self._postgres = self._open.enter_context(PrivatePostgres())
        return self._postgres

    @contextmanager
    def zone(self, *, apart: bool = False, hosts: int = 200, idle: bool = False) -> Iterator[Zone]:
        """A fresh zone that is ready: one process on SQLite, or several on PostgreSQL and RabbitMQ.

        An `idle` one accepts boots and places none.
        """
        self._zones += 1
        folder = self.folder / f"zone-{self._zones}"
        database = self.postgres.new_database() if apart else ""
        broker = self.rabbit.url if apart else "memory://"
        zone = Zone(folder, f"bench-{self._zones}", APART if apart else ALONE, database, broker,
                    hosts=hosts, idle=idle)
        try:
            zone.start()
            yield zone
        finally:
            zone.stop()
            if apart:
                drop_database(self.postgres.url, database)
            shutil.rmtree(folder, ignore_errors=True)
