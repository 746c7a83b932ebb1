"""Every sample the service acted on, one frame a control cycle, for replay."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from vpp.domain.telemetry import TelemetryBatch
from vpp.storage.codec import decode, encode
from vpp.storage.sql import telemetry_frames

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryFrame:
    """One control cycle's samples as they were heard."""

    cycle: int
    at_s: float
    batch: TelemetryBatch


class SqlTelemetryLog:
    """Frames in SQL, written behind the caller's back by one thread; implements ``vpp.ports.TelemetryLog``.

    Frames carry a number of their own, since cycles start again after a restart.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._pending: list[dict[str, object]] = []
        self._guard = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry-log")
        self._write: Future[None] | None = None
        with engine.connect() as connection:
            self._frame = connection.execute(sa.select(sa.func.max(telemetry_frames.c.frame))).scalar() or 0

    def append(self, cycle: int, at_s: float, batch: TelemetryBatch) -> None:
        """Store one cycle's samples; returns at once, they are durable soon, and for certain after ``flush``.

        Raises:
            SQLAlchemyError: An earlier frame could not be written; it is tried again with the next.
        """
        samples = encode(batch)
        with self._guard:
            self._frame += 1
            self._pending.append({"frame": self._frame, "cycle": cycle, "at_s": float(at_s), "samples": samples})
        last, self._write = self._write, self._writer.submit(self._write_pending)
        if last is not None and last.done():
            last.result()

    async def flush(self) -> None:
        """Make everything appended so far durable."""
        await asyncio.wrap_future(self._writer.submit(self._write_pending))

    def close(self) -> None:
        """Write what is left and stop; blocks."""
        self._writer.submit(self._write_pending).result()
        self._writer.shutdown()

    def iterate(self, *, from_s: float = float("-inf"), until_s: float = float("inf")) -> Iterator[TelemetryFrame]:
        """Iterate durable frames of ``[from_s, until_s)`` in the order they were heard; blocks for a page at a time.

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

    def prune(self, before_s: float) -> int:
        """Forget frames older than ``before_s`` and return how many there were; blocks."""
        with self._engine.begin() as connection:
            return connection.execute(sa.delete(telemetry_frames).where(telemetry_frames.c.at_s < before_s)).rowcount

    def _write_pending(self) -> None:
        with self._guard:
            batch = list(self._pending)
        if batch:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(telemetry_frames), batch)
            with self._guard:
                del self._pending[: len(batch)]

    def _page(self, after: int, from_s: float, until_s: float) -> Sequence[sa.Row[int, int, float, bytes]]:
        table = telemetry_frames.c
        page = sa.select(table.frame, table.cycle, table.at_s, table.samples).where(table.frame > after)
        if np.isfinite(from_s):
            page = page.where(table.at_s >= from_s)
        if np.isfinite(until_s):
            page = page.where(table.at_s < until_s)
        with self._engine.connect() as connection:
            return connection.execute(page.order_by(table.frame).limit(_PAGE)).all()
