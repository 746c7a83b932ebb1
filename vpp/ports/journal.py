"""Journal: the hash-chained record of decisions, and the anchor that vouches for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vpp.record.entry import Head, JournalEntry

if TYPE_CHECKING:  # signatures take 8 MB, which no gateway needs
    from vpp.record.decisions import RestoreDecision
    from vpp.record.heads import SignedHead
    from vpp.record.stored_body import StoredBody
    from vpp.record.verification import Verification


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

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> int:
        """Add one entry and return its sequence, 0 where entries are not kept; durable after the next ``flush``."""
        ...

    def prepared(self, kind: str, body: Mapping[str, object]) -> "StoredBody":
        """Return a body for ``append_prepared``; to be called in a thread where it is large."""
        ...

    def append_prepared(self, kind: str, at_s: float, stored: "StoredBody") -> int:
        """Add one entry whose body was prepared; see ``append``."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable, in order.

        Raises:
            StorageError: Not possible now; pending entries are kept for the next flush.
        """
        ...

    def flush_now(self) -> None:
        """Do what ``flush`` does, blocking."""
        ...

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        """Iterate durable entries ``after < sequence <= until`` in order, those of ``kinds`` only if any are named.

        Names of people and companies are tokens in them (`vpp.record.names.sealing`).
        """
        ...

    def opened(self, tree: Any, sessions: Sequence[str] = ()) -> Any:  # noqa: ANN401 - whatever a state tree holds
        """Return what was folded from entries with names for the tokens of those not erased; blocks.

        ``sessions`` are those open in it: one that an earlier version wrote in clear stays so to its end.
        """
        ...

    def salvage(
        self, lost: Callable[[int, str], object], *, after: int = 0, until: int | None = None
    ) -> Iterator[JournalEntry]:
        """Iterate what can be read of a damaged journal; ``lost`` is called with the sequence of the rest, and why."""
        ...


class RecordAnchor(Protocol):
    """Vouches for a journal; every call blocks."""

    def verify(self, progress: Callable[[int], object] = ...) -> "Verification":
        """Verify the whole record; ``progress`` is called with the entries read so far and may raise to end it.

        Raises:
            ConfigurationError: The key cannot be used.
            OSError: The heads cannot be read.
        """
        ...

    def verify_start(self, progress: Callable[[int], object] = ...) -> "Verification":
        """Verify as much as proves the record unchanged, the whole of it where that is not enough.

        Where it takes long, it takes no time from this process; raises as ``verify``.
        """
        ...

    def export(self, head: Head, at_s: float, *, restored: bool = False) -> "SignedHead":
        """Sign a head and keep it, durably.

        Raises:
            StorageError: It cannot be kept now.
            ConfigurationError: The key cannot be used.
        """
        ...

    def send(self) -> int:
        """Send what was not sent yet to the second place; return how many heads still wait.

        Raises:
            StorageError: The place takes nothing now.
        """
        ...

    def decision(self) -> "RestoreDecision | None":
        """Return an operator's decision that waits to be carried out, ``None`` without one."""
        ...

    def decided(self) -> None:
        """Take the decision away: it was carried out, or there is nothing to decide."""
        ...


class JournalArchive(Protocol):
    """Archive of old journal entries; calls block."""

    def tidy(self) -> None:
        """Finish what a crash has interrupted."""
        ...

    def verified(self, manifest: str | None) -> None:
        """Take the manifest of the archive that the start has verified, ``None`` where it is not known."""
        ...

    def archive_until(self, sequence: int, at_s: float) -> int:
        """Move entries up to ``sequence`` out of the journal's table, and return how many; ``at_s`` is the present.

        Raises:
            StorageError: The database takes nothing now.
            AuditError: An entry does not match its hash.
            OSError: The archive cannot be written.
        """
        ...

    def prune(self, before_s: float, at_s: float) -> int:
        """Delete archived parts that end before ``before_s``, epoch seconds; return how many."""
        ...
