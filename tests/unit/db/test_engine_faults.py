"""Which faults of a database pass by themselves, and which are refused at once with a reason in the log."""

import logging
import sqlite3
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from zones.db.engine import Connection, Database
from zones.errors import Invalid, Unavailable


class Flaky:
    """A transaction that fails with each of these errors in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.__name__ = "flaky"

    def __call__(self, _conn: Connection) -> str:
        if self.errors:
            raise exc.OperationalError("SELECT", None, self.errors.pop(0))
        return "done"


@pytest.mark.parametrize("error", [
    psycopg2.OperationalError("FATAL:  the database system is starting up\n"),
    psycopg2.OperationalError('connection to server at "127.0.0.1", port 1 failed: Connection refused'),
    psycopg2.OperationalError("FATAL:  sorry, too many clients already\n"),
    psycopg2.OperationalError("server closed the connection unexpectedly"),
    sqlite3.OperationalError("database is locked"),
], ids=str)
def test_what_passes_is_repeated(error: Exception) -> None:
    assert Database("sqlite://", patience=5.0).run(Flaky(error, error)) == "done"


@pytest.mark.parametrize("error", [
    psycopg2.OperationalError('connection failed: FATAL:  password authentication failed for user "z"'),
    psycopg2.OperationalError('connection failed: FATAL:  database "zones" does not exist'),
], ids=str)
def test_what_does_not_pass_is_refused_at_once_and_told_in_the_log_alone(
        error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable) as refusal:
        Database("sqlite://", patience=60.0).run(Flaky(error))
    assert "FATAL" in caplog.text
    assert "FATAL" not in refusal.value.message


def test_a_file_that_is_no_database_is_unusable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with caplog.at_level(logging.ERROR), pytest.raises(Unavailable, match="can't be used"):
        Database(f"sqlite:///{tmp_path / 'file'}").run(lambda conn: conn.execute(sa.text("SELECT 1 FROM t")))
    assert "file is not a database" in caplog.text


def test_a_missing_folder_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="can't be used"):
        Database(f"sqlite:///{tmp_path / 'none' / 'file'}").run(lambda conn: None)


@pytest.mark.parametrize("url", ["", "zones", "mysql://u:secret@h/d", "postgresql+psycopg://h/d"])
def test_a_url_of_something_else_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        Database(url)
    assert "secret" not in refusal.value.message
