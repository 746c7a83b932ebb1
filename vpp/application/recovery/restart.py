"""Restart: the newest good checkpoint and the entries since, else all entries, folded in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from vpp.application.recovery.folded_state import FORMAT, READABLE, UNREADABLE, FoldedState
from vpp.domain.errors import AuditError
from vpp.fleet.members.changes import CHANGED
from vpp.ports import Checkpoints, Journal
from vpp.record.bodies.fields import BodyError
from vpp.record.checkpoint import CHECKPOINT, Checkpoint
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import decode_state

_log = structlog.get_logger(__name__)
_SHOWN_EVERY = 100_000
"""Entries between two log lines about progress."""
_LOST_SHOWN = 20
"""Entries passed over that are named in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A state folded to the end of the journal.

    Attributes:
        state: The state.
        base: Sequence of the checkpoint it was computed from, 0 for none.
        tail: Number of entries that were followed on top.
        lost: Number of entries, or of runs of them, that could not be read or followed.
    """

    state: FoldedState
    base: int
    tail: int
    lost: int = 0


def engine_version(version: str) -> str:
    """Return what a checkpoint names as its maker; ``version`` is the product's."""
    return f"{version}/{FORMAT}"


def recover(
    fresh: Callable[[], FoldedState],
    journal: Journal,
    checkpoints: Checkpoints,
    *,
    version: str,
    until: int | None = None,
    damaged: bool = False,
) -> Recovered:
    """Return the state at the end of the journal; blocks.

    A checkpoint that is damaged, of another version, or not what the journal says of it is passed over with a warning,
    for the one before it or for all entries.

    Args:
        fresh: Returns a state that has followed nothing.
        journal: The entries.
        checkpoints: The checkpoints kept.
        version: As ``engine_version`` returns it.
        until: Last entry to follow; to the end where it is not given.
        damaged: Go on without entries that cannot be read, so that control of what runs does.

    Raises:
        AuditError: An entry cannot be read, and the journal may not be damaged.
    """
    state = newest_good(fresh, journal, checkpoints, version=version, until=until)
    base = state.sequence
    tail = 0
    try:
        for entry in _with_progress(journal.entries(after=base, until=until), base):
            state.follow((entry,))
            tail += 1
    except (AuditError, *UNREADABLE) as error:
        if not damaged:
            raise
        _log.error("journal is damaged; what can be read is followed", after=state.sequence, why=repr(error))
        salvage = _Salvage(state)
        salvage.follow(journal, until)
        return Recovered(state=state, base=base, tail=tail + salvage.tail, lost=salvage.lost)
    return Recovered(state=state, base=base, tail=tail)


def unbroken(entries: Iterable[JournalEntry], after: int) -> Iterator[JournalEntry]:
    """Iterate entries that follow ``after`` without a gap.

    Raises:
        AuditError: Entries are missing: they were archived and pruned, or moved, while their reader was away.
    """
    for entry in entries:
        if entry.sequence != after + 1:
            raise AuditError(f"journal entries {after + 1} to {entry.sequence - 1} are not there any more")
        after = entry.sequence
        yield entry


class _Salvage:
    """Follows what can be read of a damaged journal.

    Attributes:
        tail: Entries followed.
        lost: Entries, or runs of them, that were not.
    """

    def __init__(self, state: FoldedState) -> None:
        self._state = state
        self.tail = self.lost = self._last = 0

    def follow(self, journal: Journal, until: int | None) -> None:
        """Follow the entries after the state's."""
        for entry in journal.salvage(self._note, after=self._state.sequence, until=until):
            try:
                self._state.follow((entry,))
                self.tail += 1
            except BodyError as error:
                self._note(entry.sequence, str(error))
        # What goes on from here reads none of them again.
        self._state.sequence = max(self._state.sequence, self._last)

    def _note(self, sequence: int, why: str) -> None:
        self.lost += 1
        self._last = max(self._last, sequence)
        if self.lost <= _LOST_SHOWN:
            _log.error("journal entry passed over", sequence=sequence, why=why)


def newest_good(
    fresh: Callable[[], FoldedState],
    journal: Journal,
    checkpoints: Checkpoints,
    *,
    version: str,
    until: int | None = None,
) -> FoldedState:
    """Return the state of the newest good checkpoint, not beyond ``until``, or a fresh one; see ``recover``."""
    for checkpoint in checkpoints.newest():
        if until is not None and checkpoint.sequence > until:
            continue
        state = fresh()
        fault = _fault(checkpoint, journal, version) or _load_fault(state, checkpoint)
        if not fault:
            date_back(state, journal)
            return state
        _log.warning("checkpoint passed over", sequence=checkpoint.sequence, why=fault)
    state = fresh()
    date_back(state, journal)
    return state


def date_back(state: FoldedState, journal: Journal) -> None:
    """Let a state begin with the power ranges of its last entry, if it does not; blocks."""
    if state.dated:
        return
    try:
        state.date_back(journal.entries((CHANGED,), after=state.sequence))
    except (AuditError, *UNREADABLE) as error:  # following comes to the same entry, and decides what that means
        _log.warning("changes of the fleet cannot be read; nameplates are taken as of now", why=str(error))


def _fault(checkpoint: Checkpoint, journal: Journal, version: str) -> str:
    """Return why a checkpoint is not to be trusted, empty where it is."""
    if not _reads(version, checkpoint.version):
        return f"it is of version {checkpoint.version}, this is {version}"
    try:
        covered = next(journal.entries(after=checkpoint.sequence - 1, until=checkpoint.sequence), None)
        vouching = journal.entries((CHECKPOINT,), after=checkpoint.sequence)
        vouched = any(checkpoint.is_vouched_by(entry.body) for entry in vouching)
    except AuditError as error:
        return f"what vouches for it cannot be read: {error}"
    if covered is None or covered.sha256 != checkpoint.chain_sha256:
        return f"the journal's entry {checkpoint.sequence} is not the one it was made after"
    if not vouched:
        return "no entry of the journal names it with this hash: it was changed, or the service ended while it was made"
    return ""


def _reads(version: str, made_by: str) -> bool:
    """Return whether ``version`` reads a checkpoint ``made_by`` another one: of the same product, in a known format."""
    product, made = version.rpartition("/")[0], made_by.rpartition("/")
    return made[0] == product and made[2] in {str(known) for known in READABLE}


def _load_fault(state: FoldedState, checkpoint: Checkpoint) -> str:
    """Load a checkpoint into a fresh state; return why that is not possible, empty where it was."""
    try:
        state.load(decode_state(checkpoint.body), checkpoint.sequence)
    except UNREADABLE as error:
        return f"its state cannot be read: {error!r}"
    return ""


def _with_progress(entries: Iterable[JournalEntry], base: int) -> Iterator[JournalEntry]:
    for count, entry in enumerate(entries, start=1):
        if count % _SHOWN_EVERY == 0:
            _log.info("reading the journal", entries=count, sequence=entry.sequence, since_checkpoint=base)
        yield entry
