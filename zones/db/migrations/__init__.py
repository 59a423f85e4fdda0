"""The history of the schema, as Alembic scripts; `zones.db.migrate` runs them."""
