"""Alembic's revisions of the SQL schema, run when a database is opened."""
