"""Checkpoints made while the service runs: from the state folded so far and the entries since, in a thread."""

import asyncio
import threading
from collections.abc import Callable

import structlog

from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import Recovered
from vpp.ports import Checkpoints, Clock, Journal
from vpp.record.checkpoint import CHECKPOINT, Checkpoint
from vpp.record.state_codec import encode_state

_log = structlog.get_logger(__name__)
_LONG_TAIL = 10_000
"""Entries that are too many to be read again at the next start."""


class Checkpointer:
    """Makes checkpoints of the journal's end.

    Args:
        recovered: The state that the service was restored from; it goes on to follow the journal.
        again: Returns the state at the journal's end anew, after an entry could not be followed; blocks.
        journal: The entries.
        checkpoints: Where checkpoints are kept.
        clock: The only source of time.
        version: Engine and format, as `vpp.application.recovery.restart.engine_version` returns it.
        keep: Number of the newest checkpoints that are kept.
    """

    def __init__(
        self,
        recovered: Recovered,
        again: Callable[[], Recovered],
        *,
        journal: Journal,
        checkpoints: Checkpoints,
        clock: Clock,
        version: str,
        keep: int,
    ) -> None:
        self._state: FoldedState | None = recovered.state
        self._base, self._again = recovered.base, again
        self._journal = journal
        self._checkpoints = checkpoints
        self._clock = clock
        self._version = version
        self._keep = keep
        self._covered = recovered.base
        self._making = threading.Lock()
        self.overdue = recovered.tail > _LONG_TAIL
        """Right after a start: the next one would have to read too much again."""

    async def checkpoint(self) -> None:
        """Make a checkpoint, have the journal vouch for it, and delete old ones; nothing where there are no entries.

        Raises:
            StorageError: The database takes nothing now; the checkpoints of before stay.
            AuditError: An entry cannot be read, or another process writes to the journal.
        """
        if self._journal.head().sequence <= self._covered:
            return
        made = await asyncio.to_thread(self._make)
        self._journal.append(CHECKPOINT, self._clock.now_s(), made.entry())
        await self._journal.flush()
        # What was made before counts until the entry is durable.
        await asyncio.to_thread(self._checkpoints.prune, self._keep, self._base)
        self._covered, self.overdue = self._journal.head().sequence, False
        _log.info("checkpoint", sequence=made.sequence, bytes=len(made.body))

    def oldest(self) -> int:
        """Return the sequence of the oldest checkpoint that a restart may use, 0 for none; blocks."""
        return min(self._checkpoints.sequences()[-self._keep :], default=0)

    def _make(self) -> Checkpoint:
        with self._making:
            head = self._journal.head()
            state = self._followed(head.sequence)
            made = Checkpoint(
                sequence=head.sequence,
                at_s=self._clock.now_s(),
                version=self._version,
                chain_sha256=head.sha256,
                body=encode_state(state.state()),
            )
            self._checkpoints.write(made)
            return made

    def _followed(self, sequence: int) -> FoldedState:
        """Return the state after the entry at ``sequence``."""
        # An entry of which a part was taken before the fault must not be taken twice.
        state, self._state = self._state, None
        if state is None:
            state = self._again().state
        state.follow(self._journal.entries(after=state.sequence, until=sequence))
        self._state = state
        return state
