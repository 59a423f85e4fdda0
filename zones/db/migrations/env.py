"""What Alembic runs: the revisions, on the connection and in the transaction of `zones.db.migrate`."""

from alembic import context

from zones.db.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata,
                  transactional_ddl=False, render_as_batch=True)
context.run_migrations()
