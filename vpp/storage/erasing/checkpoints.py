"""Names in clear taken out of checkpoints of earlier versions; an entry of the journal vouches for what is left."""

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from vpp.domain.errors import FrameError
from vpp.record.checkpoint import CHECKPOINT, Checkpoint
from vpp.record.state_codec import StateTree, decode_state, encode_state
from vpp.storage.checkpoints import SqlCheckpoints
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import checkpoints


class CheckpointRedaction:
    """Takes names out of the checkpoints of one database; calls block, and no other process may write to it.

    Args:
        engine: The database.
        chain: The journal.
        left_of: Returns a state without the names that are erased.
    """

    def __init__(self, engine: sa.Engine, chain: SqlJournal, left_of: Callable[[StateTree], StateTree]) -> None:
        self._engine, self._chain, self._left_of = engine, chain, left_of
        self._left: list[Checkpoint] = []

    def find(self) -> int:
        """Read every checkpoint; return how many hold a name that is to be erased."""
        for checkpoint in SqlCheckpoints(self._engine).newest():
            body = self._body_without(checkpoint)
            if body != checkpoint.body:
                self._left.append(replace(checkpoint, body=body))
        return len(self._left)

    def state(self, at_s: float) -> None:
        """Append durably what vouches for the checkpoints as they will be; ``at_s`` is the present, epoch seconds."""
        for checkpoint in self._left:
            self._chain.append(CHECKPOINT, at_s, checkpoint.entry())
        self._chain.flush_now()

    def carry_out(self, connection: sa.Connection) -> None:
        """Put what is left in the place of the checkpoints, within a transaction."""
        for left in self._left:
            here = checkpoints.c.sequence == left.sequence
            connection.execute(sa.update(checkpoints).where(here).values(body=left.body, sha256=left.sha256))

    def _body_without(self, checkpoint: Checkpoint) -> bytes:
        """Return a state as bytes without the names; none of one that cannot be read, since no restart uses it."""
        try:
            before = decode_state(checkpoint.body)
        except FrameError:
            return b""
        left = encode_state(self._left_of(before))
        return checkpoint.body if left == encode_state(before) else left
