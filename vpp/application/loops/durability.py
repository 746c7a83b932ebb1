"""Durability before action: decisions are stored before they are sent; control outlives an outage of storage.

Every store keeps in order what it cannot write. A cycle waits for its record to be written for a limited time: where
a write fails or does not end, the record stays in memory, commands are sent all the same, and no cycle waits until
storage works again. A crash in that time loses what is in memory: an alarm says so, and no new commitment is accepted.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from vpp.domain.errors import SpoolFullError, StorageError

_log = structlog.get_logger(__name__)
_LATE = 2
"""Late writes in a row that count as failing storage; a single one may be a busy machine."""


class Spool(Protocol):
    """A store that keeps in memory what it cannot write."""

    @property
    def pending(self) -> int:
        """Number of entries that are not durable yet."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable; raises StorageError where that is not possible now."""
        ...


class SampleSpool(Spool, Protocol):
    """The spool of samples, of which the oldest are dropped above a bound."""

    @property
    def dropped(self) -> int:
        """Samples that were dropped."""
        ...


class JournalSpool(Spool, Protocol):
    """The spool of decisions, of which nothing is ever dropped."""

    @property
    def pending_bytes(self) -> int:
        """Size in memory of what is not durable yet, roughly."""
        ...


class Durability:
    """Writes what the loops record, and tracks whether storage works.

    Args:
        samples: Written first: a decision is never stored without its inputs.
        meters: Metered intervals.
        journal: Decisions.
        patience_wall_s: Longest time a cycle waits for its record.
        most_bytes: Size of decisions in memory above which the service stops.

    Attributes:
        reason: Cause of failing storage, empty while it works.
    """

    def __init__(
        self, *, samples: SampleSpool, meters: Spool, journal: JournalSpool, patience_wall_s: float, most_bytes: int
    ) -> None:
        self.reason = ""
        self._spools: Mapping[str, Spool] = {"samples": samples, "meters": meters, "journal": journal}
        self._samples = samples
        self._journal = journal
        self._patience_wall_s = patience_wall_s
        self._most_bytes = most_bytes
        self._failed: dict[str, str] = {}
        self._late = 0
        self._writing: asyncio.Task[None] | None = None

    @property
    def failing(self) -> bool:
        """Storage fails now."""
        return bool(self.reason)

    def parts(self) -> Mapping[str, bool]:
        """Return whether each part of storage fails: samples, meters, journal."""
        return {
            name: name in self._failed or (self._late >= _LATE and s.pending > 0) for name, s in self._spools.items()
        }

    def spooled(self) -> Mapping[str, int]:
        """Return how many entries of each part are in memory only."""
        return {name: spool.pending for name, spool in self._spools.items()}

    def dropped(self) -> int:
        """Return how many samples were dropped for want of memory."""
        return self._samples.dropped

    def require(self) -> None:
        """Raise StorageError while a crash could lose a new commitment."""
        if self.failing:
            raise StorageError(f"nothing new is promised while decisions cannot be stored: {self.reason}")

    async def settle(self) -> None:
        """Have everything recorded so far written; wait for it up to the patience, and not at all while storage fails.

        Raises:
            AuditError: Somebody else has written to the journal.
            SpoolFullError: More decisions are pending than memory may hold.
        """
        end = asyncio.get_running_loop().time() + (0.0 if self.failing else self._patience_wall_s)
        while any(self.spooled().values()):
            if self._writing is None:
                self._writing = asyncio.create_task(self._write(), name="storage")
            await asyncio.wait((self._writing,), timeout=max(end - asyncio.get_running_loop().time(), 0.0))
            if not self._writing.done():
                self._late += 1
                break
            if not self._conclude():
                break
        self._judge()

    async def close(self) -> None:
        """Write what is pending.

        Raises:
            StorageError: The database takes nothing; what is pending is lost.
        """
        if self._writing is not None:
            await asyncio.wait((self._writing,))
            self._conclude()
        for spool in self._spools.values():
            await spool.flush()

    async def _write(self) -> None:
        """Flush every part; one that fails keeps none of the others from being written."""
        for name, spool in self._spools.items():
            try:
                await spool.flush()
            except StorageError as error:
                self._failed[name] = str(error)
            else:
                self._failed.pop(name, None)

    def _conclude(self) -> bool:
        """Take the end of a write; return whether every part was written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
        self._late = 0
        return not self._failed

    def _judge(self) -> None:
        """Log when storage begins to fail and when it works again; stop where memory is used up."""
        before = self.reason
        late = f"not written within {self._patience_wall_s} s" if self._late >= _LATE else ""
        self.reason = "; ".join(self._failed.values()) or late
        if self.reason and not before:
            _log.error("storage fails, control goes on from memory", why=self.reason, spooled=dict(self.spooled()))
        elif before and not self.reason:
            _log.info("storage works again, everything is written", was=before)
        if self._journal.pending_bytes > self._most_bytes:
            raise SpoolFullError(
                f"{self._journal.pending} decisions, {self._journal.pending_bytes} bytes, could not be stored;"
                f" VPP_SPOOL_MB allows {self._most_bytes // 2**20} MiB: {self.reason}"
            )
