"""Revision of the registry: a cheap way to know that a fleet that was read is still the one that is saved."""

import sqlalchemy as sa

from vpp.storage.sql import metadata, storing

_BEGINS = ("registry", "former_devices")
_PASSING = "registry_unrecorded"
"""Holds a change that the other tables have as well, for a moment."""
"""How the names of the tables begin whose rows a change of the fleet adds, or a device that has left removes."""


def revision_of(engine: sa.Engine) -> tuple[int, ...]:
    """Return numbers that differ whenever the members of the fleet, or the rows withheld, do; blocks.

    Members are never deleted, and a change keeps what was before in a row of its own: so the rows are counted. Former
    devices are forgotten, but each has come with a change of its own.

    Raises:
        StorageError: The database cannot be read now.
    """
    tables = [table for name, table in sorted(metadata.tables.items()) if name.startswith(_BEGINS) and name != _PASSING]
    counts = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in tables]
    with storing("the registry"), engine.connect() as connection:
        return tuple(int(count) for count in connection.execute(sa.select(*counts)).one())
