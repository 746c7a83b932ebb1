"""Journal: the hash-chained record of decisions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from vpp.record.entry import Head, JournalEntry


class Journal(Protocol):
    """Append-only, hash-chained record of decisions."""

    def head(self) -> Head:
        """Return position and hash of the last durable entry; sequence 0 where there is none."""
        ...

    @property
    def pending(self) -> int:
        """Number of entries that are not durable yet."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Approximate size of pending entries in memory."""
        ...

    def set_torn_aside(self, at_s: float) -> int:
        """Move entries that a crash left unreadable at the end aside; return their number. Called before ``entries``.

        Raises:
            AuditError: An unreadable entry lies before the end.
        """
        ...

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Add one entry; it is durable after the next ``flush``."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable, in order.

        Raises:
            StorageError: Not possible now; pending entries are kept for the next flush.
        """
        ...

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        """Iterate durable entries ``after < sequence <= until`` in order, those of ``kinds`` only if any are named."""
        ...
