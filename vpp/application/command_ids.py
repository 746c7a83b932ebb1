"""Command ids, reserved ahead in blocks: no cycle waits for the database, and an outage of it is survived."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from vpp.domain.telemetry import IdArray
from vpp.ports import Sequences

_BLOCK = 8192
_CYCLES = 16
"""Cycles a block lasts for at the largest batch so far."""
_MOST = 2**20
"""Ids of the longest block; the rest of two blocks is lost at a crash."""


class CommandIds:
    """Gives out rising ids; the rest of its blocks is lost at a crash.

    While one block is used the next is reserved in a thread.
    """

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences
        self._next = self._end = 0
        self._largest = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="command-ids")
        self._spare: Future[int] | None = None
        self._spare_size = 0

    def begin(self) -> None:
        """Reserve the first block now, for an outage may begin before the first command; blocks.

        Raises:
            StorageError: The database takes nothing now.
        """
        self._next = self._sequences.reserve_ids(_BLOCK)
        self._end = self._next + _BLOCK
        self._reserve_ahead()

    def take(self, count: int) -> IdArray:
        """Return ``count`` ids above every earlier one, shape ``(count,)``.

        Raises:
            StorageError: Both blocks are used up while the database takes nothing.
        """
        self._largest = max(self._largest, count)
        if self._next + count > self._end:
            self._advance(count)
        ids = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        self._reserve_ahead()
        return ids

    def _advance(self, count: int) -> None:
        """Go on to a block that holds ``count`` ids: the spare one, or one reserved now."""
        spare, self._spare = self._spare, None
        size = self._spare_size
        if spare is None or size < count or (spare.done() and spare.exception() is not None):
            size = self._size(count)
            spare = self._writer.submit(self._sequences.reserve_ids, size)
        self._next = spare.result()
        self._end = self._next + size

    def _reserve_ahead(self) -> None:
        """Reserve the next block; a failed attempt is repeated when the next ids are taken."""
        if self._spare is not None and not (self._spare.done() and self._spare.exception() is not None):
            return
        self._spare_size = self._size(self._largest)
        self._spare = self._writer.submit(self._sequences.reserve_ids, self._spare_size)

    def _size(self, count: int) -> int:
        return max(count, _BLOCK, min(_CYCLES * self._largest, _MOST))
