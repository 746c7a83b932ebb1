"""Checkpoints kept."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from vpp.record.checkpoint import Checkpoint


class Checkpoints(Protocol):
    """Keeps the newest checkpoints of the journal; calls block."""

    def newest(self) -> Iterator[Checkpoint]:
        """Iterate the checkpoints kept, the newest first.

        Raises:
            StorageError: The database cannot be read now.
        """
        ...

    def sequences(self) -> Sequence[int]:
        """Return the sequences of the checkpoints kept, rising, without reading their states."""
        ...

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep one more; one of the same sequence is replaced.

        Raises:
            StorageError: The database takes nothing now.
        """
        ...

    def prune(self, keep: int, also: int = 0) -> None:
        """Delete all but the newest ``keep`` and that of sequence ``also``."""
        ...
