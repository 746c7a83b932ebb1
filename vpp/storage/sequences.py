"""Durable sequences: the leader's epoch and the ids of commands."""

import sqlalchemy as sa

from vpp.domain.errors import InputError, StopError
from vpp.storage.sql import counters, storing

COMMAND_ID_END = 2**31
"""Command ids stay below this so that OCPP can carry them as chargingProfileId."""


class Sequences:
    """Durable counters; implements ``vpp.ports.Sequences``.

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
            StopError: The ids below 2**31 are used up.
        """
        if count <= 0:
            raise InputError("count", count, "a number of ids above 0")
        return self._raised("command_id", count, end=COMMAND_ID_END) - count + 1

    def _raised(self, name: str, step: int, *, end: int | None = None) -> int:
        raising = (
            sa.update(counters)
            .where(counters.c.name == name)
            .values(value=counters.c.value + step)
            .returning(counters.c.value)
        )
        with storing("the counters"), self._engine.begin() as connection:
            value = int(connection.execute(raising).scalar_one())
            if end is not None and value >= end:
                raise StopError(f"{name} would reach {value}, all numbers below {end} are used up")
        return value
