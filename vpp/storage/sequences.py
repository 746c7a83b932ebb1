"""Durable sequences: the leader's epoch and the ids of commands."""

import sqlalchemy as sa

from vpp.domain.errors import InputError
from vpp.storage.sql import counters, storing


class Sequences:
    """Durable counters of 64 bits, which do not end; implements ``vpp.ports.Sequences``.

    Each call is one committed transaction, so no number is handed out twice.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def next_epoch(self) -> int:
        """Return a leader epoch above every one before it; blocks for one commit."""
        return self._raised("leader_epoch", 1)

    def reserve_ids(self, count: int) -> int:
        """Reserve ``count`` command ids and return the first; blocks for one commit.

        Raises:
            InputError: ``count`` is not positive.
            StorageError: The database takes nothing now.
        """
        if count <= 0:
            raise InputError("count", count, "a number of ids above 0")
        return self._raised("command_id", count) - count + 1

    def _raised(self, name: str, step: int) -> int:
        raising = (
            sa.update(counters)
            .where(counters.c.name == name)
            .values(value=counters.c.value + step)
            .returning(counters.c.value)
        )
        with storing("the counters"), self._engine.begin() as connection:
            return int(connection.execute(raising).scalar_one())
