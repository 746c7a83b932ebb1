"""Alembic's entry: runs the revisions on the connection that ``open_database`` hands over."""

from alembic import context

from vpp.storage.sql import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
