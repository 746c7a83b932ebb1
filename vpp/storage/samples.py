"""Log of every sample the service acted on, one frame a control cycle, for replay."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from vpp.domain.telemetry import TelemetryBatch
from vpp.storage.codec import decode, encode
from vpp.storage.sql import storing, telemetry_frames

_PAGE = 200
_AT_ONCE = 200
"""Frames of one transaction: after an outage there may be thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryFrame:
    """The samples of one control cycle, in the order of arrival."""

    cycle: int
    at_s: float
    batch: TelemetryBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """One frame that is not durable yet, of ``count`` samples."""

    frame: int
    cycle: int
    at_s: float
    samples: bytes
    count: int

    def row(self) -> dict[str, object]:
        """Return the frame as a row of its table."""
        return {"frame": self.frame, "cycle": self.cycle, "at_s": self.at_s, "samples": self.samples}


class SqlTelemetryLog:
    """Frames in SQL, written in the background by one thread; implements ``vpp.ports.TelemetryLog``.

    Frames carry a number of their own, since cycles start again after a restart. What cannot be written stays in memory
    up to a bound, above which the oldest frames are dropped and counted.

    Args:
        engine: The database.
        most_bytes: Bytes of frames that may wait.

    Attributes:
        dropped: Number of samples that were dropped.
    """

    def __init__(self, engine: sa.Engine, *, most_bytes: int = 256 * 2**20) -> None:
        self.dropped = 0
        self._engine = engine
        self._most_bytes = most_bytes
        self._pending: deque[_Waiting] = deque()
        self._pending_bytes = 0
        self._guard = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry-log")
        self._write: Future[None] | None = None
        with engine.connect() as connection:
            self._frame = connection.execute(sa.select(sa.func.max(telemetry_frames.c.frame))).scalar() or 0

    def append(self, cycle: int, at_s: float, batch: TelemetryBatch) -> None:
        """Store one cycle's samples; returns at once. They are durable soon, and for certain after ``flush``."""
        samples = encode(batch)
        with self._guard:
            self._frame += 1
            self._pending.append(
                _Waiting(frame=self._frame, cycle=cycle, at_s=float(at_s), samples=samples, count=len(batch))
            )
            self._pending_bytes += len(samples)
            self._bound()
        if self._write is None or self._write.done():  # a failure is raised by the next flush
            self._write = self._writer.submit(self._write_pending)

    async def flush(self) -> None:
        """Make everything appended so far durable.

        Raises:
            StorageError: The database takes nothing now; what is missing goes out with the next flush.
        """
        if self._pending:
            await asyncio.wrap_future(self._writer.submit(self._write_pending))

    @property
    def pending(self) -> int:
        """Number of frames that are not durable yet."""
        return len(self._pending)

    def close(self) -> None:
        """Write what is left and stop; blocks.

        Raises:
            StorageError: The database takes nothing now; what is left is lost.
        """
        try:
            self._writer.submit(self._write_pending).result()
        finally:
            self._writer.shutdown()

    def iterate(self, *, from_s: float = float("-inf"), until_s: float = float("inf")) -> Iterator[TelemetryFrame]:
        """Iterate durable frames of ``[from_s, until_s)`` in the order of arrival; blocks for a page at a time.

        Raises:
            FrameError: A frame does not decode.
        """
        after = 0
        while True:
            rows = self._page(after, from_s, until_s)
            for row in rows:
                yield TelemetryFrame(cycle=int(row.cycle), at_s=float(row.at_s), batch=decode(bytes(row.samples)))
            if len(rows) < _PAGE:
                return
            after = int(rows[-1].frame)

    def since(self, from_s: float) -> Iterator[tuple[float, TelemetryBatch]]:
        """Iterate instant and samples of the durable frames from ``from_s`` on; see ``iterate``."""
        return ((frame.at_s, frame.batch) for frame in self.iterate(from_s=from_s))

    def _write_pending(self) -> None:
        with self._guard:
            waiting = list(self._pending)
        for first in range(0, len(waiting), _AT_ONCE):
            batch = waiting[first : first + _AT_ONCE]
            with storing("the samples"), self._engine.begin() as connection:
                connection.execute(sa.insert(telemetry_frames), [one.row() for one in batch])
            with self._guard:
                self._release(batch[-1].frame)

    def _bound(self) -> None:
        """Drop the oldest frames above the bound; the newest always stays."""
        while self._pending_bytes > self._most_bytes and len(self._pending) > 1:
            self.dropped += self._pop().count

    def _release(self, last_frame: int) -> None:
        """Release the frames that are written; the oldest of them may have been dropped meanwhile."""
        while self._pending and self._pending[0].frame <= last_frame:
            self._pop()

    def _pop(self) -> "_Waiting":
        oldest = self._pending.popleft()
        self._pending_bytes -= len(oldest.samples)
        return oldest

    def _page(self, after: int, from_s: float, until_s: float) -> Sequence[sa.Row[int, int, float, bytes]]:
        table = telemetry_frames.c
        page = sa.select(table.frame, table.cycle, table.at_s, table.samples).where(table.frame > after)
        if np.isfinite(from_s):
            page = page.where(table.at_s >= from_s)
        if np.isfinite(until_s):
            page = page.where(table.at_s < until_s)
        with self._engine.connect() as connection:
            return connection.execute(page.order_by(table.frame).limit(_PAGE)).all()
