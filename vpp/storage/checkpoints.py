"""Checkpoints of the journal in SQL."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from vpp.record.checkpoint import Checkpoint
from vpp.storage.sql import checkpoints, storing


class SqlCheckpoints:
    """Checkpoints in one table; implements ``vpp.ports.Checkpoints``; calls block."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def newest(self) -> Iterator[Checkpoint]:
        """See ``Checkpoints``; one state at a time is in memory."""
        for sequence in reversed(self.sequences()):
            found = self._read(sequence)
            if found is not None:
                yield found

    def sequences(self) -> Sequence[int]:
        """See ``Checkpoints``."""
        with storing("the checkpoints"), self._engine.connect() as connection:
            rows = connection.execute(sa.select(checkpoints.c.sequence).order_by(checkpoints.c.sequence))
            return [int(sequence) for sequence in rows.scalars()]

    def write(self, checkpoint: Checkpoint) -> None:
        """See ``Checkpoints``."""
        row = {
            "sequence": checkpoint.sequence,
            "at_s": checkpoint.at_s,
            "version": checkpoint.version,
            "chain_sha256": checkpoint.chain_sha256,
            "sha256": checkpoint.sha256,
            "body": checkpoint.body,
        }
        with storing("the checkpoints"), self._engine.begin() as connection:
            connection.execute(sa.delete(checkpoints).where(checkpoints.c.sequence == checkpoint.sequence))
            connection.execute(sa.insert(checkpoints).values(row))

    def prune(self, keep: int, also: int = 0) -> None:
        """See ``Checkpoints``."""
        kept = {*self.sequences()[-keep:], also}
        with storing("the checkpoints"), self._engine.begin() as connection:
            connection.execute(sa.delete(checkpoints).where(checkpoints.c.sequence.not_in(kept)))

    def _read(self, sequence: int) -> Checkpoint | None:
        with storing("the checkpoints"), self._engine.connect() as connection:
            row = connection.execute(sa.select(checkpoints).where(checkpoints.c.sequence == sequence)).one_or_none()
        if row is None:
            return None
        return Checkpoint(
            sequence=int(row.sequence),
            at_s=float(row.at_s),
            version=str(row.version),
            chain_sha256=str(row.chain_sha256),
            body=bytes(row.body),
        )
