"""The schema's history leads to the tables that the code uses, whoever runs it and how often."""

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from zones.db import migrate
from zones.db.engine import Database
from zones.db.tables import metadata
from zones.errors import Conflict


def test_migrations_make_exactly_the_tables(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    assert empty_database.run(
        lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []


def test_is_current_only_after_the_upgrade(empty_database: Database) -> None:
    assert migrate.current(empty_database) is None
    assert not migrate.is_current(empty_database)
    assert migrate.upgrade(empty_database) == migrate.head() == migrate.current(empty_database)
    assert migrate.is_current(empty_database)


def test_a_second_upgrade_keeps_what_is_there(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    empty_database.run(lambda conn: conn.execute(
        sa.text("INSERT INTO role (id, name) VALUES ('1', 'admin')")).rowcount)
    migrate.upgrade(empty_database)
    assert empty_database.run(
        lambda conn: conn.execute(sa.text("SELECT name FROM role")).scalar_one()) == "admin"


def test_many_processes_may_upgrade_at_once(empty_database: Database) -> None:
    url = empty_database.url.render_as_string(hide_password=False)
    found: list[str] = []

    def start() -> None:
        database = Database(url)
        found.append(migrate.upgrade(database))
        database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [migrate.head()] * 4


def test_a_schema_of_a_later_version_is_refused(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    empty_database.run(lambda conn: conn.execute(
        sa.text("UPDATE alembic_version SET version_num = '9999'")).rowcount)
    with pytest.raises(Conflict, match="9999"):
        migrate.upgrade(empty_database)


def test_a_failed_upgrade_leaves_nothing(empty_database: Database) -> None:
    empty_database.run(lambda conn: conn.execute(sa.text("CREATE TABLE work (id integer)")).rowcount)
    with pytest.raises(sa.exc.DBAPIError):
        migrate.upgrade(empty_database)
    assert empty_database.run(lambda conn: sa.inspect(conn).get_table_names()) == ["work"]
