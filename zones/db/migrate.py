"""Bring a database's schema to the revision that this code was written for.

Alembic's scripts stand in `migrations/`. An upgrade is one transaction: it takes place whole or not
at all, and processes that start at the same time wait for one another.
"""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from zones.db.engine import Database
from zones.errors import Conflict

SCRIPTS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 0x7A6F6E6573  # «zones»: one upgrade at a time in one PostgreSQL database


def upgrade(database: Database) -> str:
    """Make or bring up the schema; the revision that it has now. Harmless when repeated.

    Raises `Conflict` (`schema_too_new`) for a database of a later version of zones.
    """
    # or it tells of every step, and of none, at each start
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return database.run(_upgrade)


def current(database: Database) -> str | None:
    """The revision of the schema; None for a database without one."""
    return database.run(_revision)


def is_current(database: Database) -> bool:
    """Whether the schema is the one that this code needs."""
    return current(database) == head()


def head() -> str:
    """The revision that this code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _upgrade(conn: Connection) -> str:
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    wanted, found = head(), _revision(conn)
    if found == wanted:
        return wanted
    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Conflict(f"the database has schema {found}, which this version of zones does not know: "
                       "it was upgraded by a later one", code="schema_too_new", found=found, wanted=wanted)
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
    return wanted


def _revision(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
