"""Revision of the registry: a cheap way to know that a fleet that was read is still the one that is saved."""

import sqlalchemy as sa

from vpp.storage.sql import metadata, storing

_BEGINS = "registry"
"""How the names of the tables begin to which an addition or a change of members adds a row."""


def revision_of(engine: sa.Engine) -> tuple[int, ...]:
    """Return numbers that differ whenever the members of the fleet do; blocks.

    Members are never deleted, and a change keeps what was before in a row of its own: so the rows are counted.

    Raises:
        StorageError: The database cannot be read now.
    """
    tables = [table for name, table in sorted(metadata.tables.items()) if name.startswith(_BEGINS)]
    counts = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in tables]
    with storing("the registry"), engine.connect() as connection:
        return tuple(int(count) for count in connection.execute(sa.select(*counts)).one())
