"""The Compute API on a SQLite database of the test's own."""

import pytest

from tests.compute_api import Api
from zones.db.engine import Database


@pytest.fixture
def api(sqlite_database: Database) -> Api:
    """The service with every noun; its callers are in `tests.compute_api`."""
    return Api(sqlite_database)


@pytest.fixture
def api_on_both(database: Database) -> Api:
    """The same, once on SQLite and once on PostgreSQL, which takes fewer values for an answer."""
    return Api(database)
