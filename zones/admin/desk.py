"""What every command of `zone-admin` works with."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zones.config import Config
from zones.db.engine import Database
from zones.db.identity import IdentityStore
from zones.identity.bootstrap import EmbeddedIdentity, embedded_identity


@dataclass(frozen=True)
class Desk:
    """The zone's configuration and database, and what was asked for."""

    config: Config
    db: Database
    args: argparse.Namespace

    def identity(self) -> EmbeddedIdentity:
        """The embedded identity, hashing passwords right here."""
        return embedded_identity(IdentityStore(self.db), self.config.data_dir, lambda job: job(),
                                 token_ttl=self.config.identity.token_ttl)


def show(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: one line a row, columns as wide as they must be."""
    lines = [titles, *([("-" if cell in (None, "") else str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
