"""Archiving as a step of the record's upkeep: what no restart needs any more leaves the journal's table."""

import asyncio
from collections.abc import Callable

import structlog

from vpp.domain.errors import AuditError, StorageError
from vpp.domain.units import SECONDS_PER_DAY
from vpp.ports import Clock, JournalArchive

_log = structlog.get_logger(__name__)
ARCHIVE_FAILING = "archive_failing"
"""Alarm: entries are not archived; nothing is lost, and the database grows."""
Tell = Callable[[bool, str], object]
"""Called with whether archiving fails, and why."""


class Archiving:
    """Moves entries before the oldest checkpoint into the archive and deletes what is older than its retention.

    A failure holds up nothing else: it is reported, and tried again with the next turn.

    Args:
        archive: Where entries go.
        oldest: Returns the sequence of the oldest checkpoint that a restart may use, 0 for none; blocks.
        trusted: Returns whether the record is trusted: while it is not, nothing of it is moved or deleted.
        clock: The only source of time.
        keep_days: Days that archived entries are kept, 0 for ever.
        tell: Called after every turn.
    """

    def __init__(
        self,
        archive: JournalArchive,
        *,
        oldest: Callable[[], int],
        trusted: Callable[[], bool],
        clock: Clock,
        keep_days: float,
        tell: Tell,
    ) -> None:
        self._archive = archive
        self._oldest = oldest
        self._trusted = trusted
        self._clock = clock
        self._keep_days = keep_days
        self._tell = tell
        self._tidy = False

    async def archive(self) -> None:
        """Archive and prune, in a thread."""
        if not self._trusted():
            return
        try:
            await asyncio.to_thread(self._turn, self._clock.now_s())
        except (AuditError, StorageError, OSError) as error:
            self._tell(True, str(error))  # noqa: FBT003 - it fails
        else:
            self._tell(False, "")  # noqa: FBT003 - it does not

    def _turn(self, now_s: float) -> None:
        if not self._tidy:
            self._archive.tidy()
            self._tidy = True
        # The entry a checkpoint was made after stays in the table: a restart compares its hash.
        moved = self._archive.archive_until(self._oldest() - 1, now_s)
        if moved:
            _log.info("journal entries archived", entries=moved)
        if self._keep_days > 0.0:
            pruned = self._archive.prune(now_s - self._keep_days * SECONDS_PER_DAY, now_s)
            if pruned:
                _log.info("segments of the archive deleted", segments=pruned, older_than_days=self._keep_days)
