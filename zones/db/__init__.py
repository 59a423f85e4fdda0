"""The zone's database: tables, engine, and one file of queries per noun. SQLAlchemy lives here."""
