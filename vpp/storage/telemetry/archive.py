"""Archiving of recorded frames into the telemetry store, in a thread of its own.

The frames of `vpp.storage.samples` are durable before a cycle acts on them; they are the acknowledged record. The
archive reads them in order and stores its position with every write: a crash, a full disk or a slow object store
delays it and loses nothing, and its memory is bounded however far it is behind.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
import structlog

from vpp.domain.errors import FrameError
from vpp.domain.telemetry import RowArray, TelemetryBatch
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.storage.codec import decode
from vpp.storage.sql import telemetry_frames
from vpp.storage.telemetry.store import TelemetryStore

_log = structlog.get_logger(__name__)
_MOST_SAMPLES = 2_000_000
_PAGE = 50
_DAY_IS_OVER_AFTER_S = 3 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRules:
    """Intervals and retention of the archive.

    Attributes:
        write_wall_s: Wall seconds between two writes.
        compact_wall_s: Wall seconds between two compactions.
        keep_days: Days for which the store keeps samples.
        keep_frames_days: Days for which frames that are in the store are kept for replay; ``None`` for ever.
    """

    write_wall_s: float = 30.0
    compact_wall_s: float = 900.0
    keep_days: float = 400.0
    keep_frames_days: float | None = None


class TelemetryArchive:
    """Follows the frames of one database into one store.

    Args:
        engine: The database of the frames.
        store: The store they go to.
        now_s: Returns the epoch seconds of the service's clock; called from the archive's thread.
        rules: Intervals and retention.
    """

    def __init__(
        self, engine: sa.Engine, store: TelemetryStore, *, now_s: Callable[[], float], rules: ArchiveRules
    ) -> None:
        self.store = store
        self._engine = engine
        self._now_s = now_s
        self._rules = rules
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._areas: Callable[[], RowArray] = _nowhere
        self._may_write: Callable[[], bool] = lambda: True
        self._since_compaction_s = 0.0
        self._failing = False

    def start(self, *, areas: Callable[[], RowArray], may_write: Callable[[], bool] = lambda: True) -> None:
        """Begin to follow.

        Args:
            areas: Returns the position of every fleet row's area, shape ``(n_resources,)``.
            may_write: Returns whether this process leads; the store has one writer, and waits for it otherwise.
        """
        self._areas, self._may_write = areas, may_write
        self._thread = threading.Thread(target=self._follow, name="telemetry-archive", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the remaining frames and stop; blocks."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._try_to_catch_up()
        self.store.close()

    def catch_up(self) -> int:
        """Write every frame that is not in the store yet; return the number of samples.

        Raises:
            OSError: The store could not be written; the rest is written with the next call.
        """
        count = 0
        self.store.assign(self._areas())
        while batches := self._next():
            after, samples = batches
            count += self.store.write(samples, at_s=self._now_s(), mark=after)
        return count

    def tidy(self) -> None:
        """Compact, merge days that are over, delete what is older than its retention; blocks."""
        now_s, rules = self._now_s(), self._rules
        self.store.compact(at_s=now_s)
        self.store.merge_days(before_s=now_s - _DAY_IS_OVER_AFTER_S, at_s=now_s)
        self.store.retain(from_s=now_s - rules.keep_days * SECONDS_PER_DAY, at_s=now_s)
        if rules.keep_frames_days is not None:
            self._delete_frames(now_s - rules.keep_frames_days * SECONDS_PER_DAY)

    def _follow(self) -> None:
        while not self._stop.wait(self._rules.write_wall_s):
            self._try_to_catch_up()
            self._since_compaction_s += self._rules.write_wall_s
            if self._since_compaction_s >= self._rules.compact_wall_s:
                self._since_compaction_s = 0.0
                self._trying(self.tidy)

    def _try_to_catch_up(self) -> None:
        self._trying(self.catch_up)

    def _trying(self, work: Callable[[], object]) -> None:
        if not self._may_write():
            return
        try:
            work()
        except (OSError, sa.exc.SQLAlchemyError, FrameError) as error:
            if not self._failing:
                _log.error("telemetry archive is behind and tries again", why=str(error))
            self._failing = True
        else:
            if self._failing:
                _log.info("telemetry archive works again")
            self._failing = False

    def _next(self) -> tuple[int, Sequence[TelemetryBatch]] | None:
        """Return the number of the last frame of the next batch and its samples; ``None`` where there is none."""
        table, after = telemetry_frames.c, self.store.mark
        batches: list[TelemetryBatch] = []
        while sum(map(len, batches)) < _MOST_SAMPLES:
            page = sa.select(table.frame, table.samples).where(table.frame > after).order_by(table.frame).limit(_PAGE)
            with self._engine.connect() as connection:
                rows = connection.execute(page).all()
            batches += [decode(bytes(row.samples)) for row in rows]
            after = int(rows[-1].frame) if rows else after
            if len(rows) < _PAGE:
                break
        return (after, batches) if after > self.store.mark else None

    def _delete_frames(self, before_s: float) -> None:
        old = (telemetry_frames.c.at_s < before_s) & (telemetry_frames.c.frame <= self.store.mark)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(telemetry_frames).where(old))


def _nowhere() -> RowArray:
    return np.zeros(0, dtype=np.int32)
