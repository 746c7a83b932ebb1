"""Command ids, reserved in blocks so that a cycle seldom waits for the database."""

import numpy as np

from vpp.domain.telemetry import IdArray
from vpp.ports import Sequences

_BLOCK = 8192


class CommandIds:
    """Gives out rising ids; what is left of a block at a crash is never used."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences
        self._next = 0
        self._end = 0

    def take(self, count: int) -> IdArray:
        """Return ``count`` ids above every earlier one, shape ``(count,)``."""
        if self._next + count > self._end:
            block = max(count, _BLOCK)
            self._next = self._sequences.reserve_ids(block)
            self._end = self._next + block
        ids = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        return ids
