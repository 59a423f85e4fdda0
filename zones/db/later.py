"""Writes of one transaction that are gathered and sent together: each statement once, for many rows.

A statement costs the same in SQLAlchemy, and on the way to PostgreSQL, for one row and for a hundred.
"""

from typing import Any, Protocol

from sqlalchemy.engine import Connection


class Writer(Protocol):
    """What a write is handed to: a connection, or `Later`."""

    def execute(self, statement: Any, parameters: Any, /) -> Any:
        """Do it now, or remember it."""


class Later:
    """Gathers writes until `flush`. They are sent by statement, not in the order in which they came.

    So whoever writes the same row twice, or reads what was written, flushes in between.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._rows: dict[tuple[Any, frozenset[str]], list[dict[str, Any]]] = {}

    def execute(self, statement: Any, parameters: Any, /) -> None:
        """Remember it; `parameters` of one row or a list of rows. Has no result."""
        for row in parameters if isinstance(parameters, list) else [parameters]:
            self._rows.setdefault((statement, frozenset(row)), []).append(row)

    def flush(self) -> None:
        """Send what was gathered."""
        gathered, self._rows = self._rows, {}
        for (statement, _), rows in gathered.items():
            self._conn.execute(statement, rows)
