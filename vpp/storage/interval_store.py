"""Metered intervals in SQL: one row holds a quarter of an hour of the whole fleet.

A value takes a few bytes in such a frame, 20 to 100 in a row of its own, and one commit covers the fleet.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import STEP_S
from vpp.ports import LEAST_METERED_RATIO
from vpp.storage.sql import interval_frames, storing

_CACHE_BYTES = 512 * 2**20
_FORGOTTEN_AT_ONCE = 24
"""Intervals of one deletion, six hours: 10 MB of 70,000 rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One interval of the fleet; shape ``(n_rows,)`` both, completeness 0-1."""

    mean_kw: npt.NDArray[np.float32]
    completeness: npt.NDArray[np.float16]

    @property
    def known_kw(self) -> npt.NDArray[np.float32]:
        """The means, NaN where less than `LEAST_METERED_RATIO` was metered, shape ``(n_rows,)``."""
        return np.where(self.completeness >= LEAST_METERED_RATIO, self.mean_kw, np.float32(np.nan))


class IntervalStore:
    """Metered 15-minute means and the share of each that was measured; implements ``vpp.ports.IntervalMemory``.

    Calls block; they may come from any thread. Frames are kept in memory up to 512 MiB, the least recently used go
    first. Means are stored as 32-bit floats, exact to about 1 W in 10 MW.

    Args:
        engine: The database.
        n_resources: Size of the fleet now; it grows when a wider frame is written.
    """

    def __init__(self, engine: sa.Engine, *, n_resources: int = 0) -> None:
        self._engine = engine
        self._frames: OrderedDict[int, _Frame] = OrderedDict()
        self._unwritten: dict[int, _Frame] = {}
        self._held_bytes = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        with engine.connect() as connection:
            known = connection.execute(sa.select(interval_frames.c.start_s, interval_frames.c.n_rows)).all()
        self._starts = {int(row.start_s) for row in known}
        self._n_resources = max([n_resources, *(int(row.n_rows) for row in known)])

    @property
    def n_resources(self) -> int:
        """Number of fleet rows that ``read`` returns."""
        return self._n_resources

    @property
    def first_s(self) -> float | None:
        """Epoch seconds at which the first interval kept starts, ``None`` where there is none."""
        with self._guard:
            return min(self._starts, default=None)

    def grow(self, n_resources: int) -> None:
        """Make ``read`` return at least that many fleet rows."""
        self._n_resources = max(self._n_resources, n_resources)

    def write(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Store one interval of the whole fleet in place of an earlier one; blocks.

        Args:
            start_s: Epoch seconds of its start, a multiple of 900.
            mean_kw: Mean net power, load positive, NaN where unknown, shape ``(n,)``.
            completeness: Share of the interval that was measured, 0-1, shape ``(n,)``.

        Raises:
            InputError: The start is not on a quarter of an hour, or the shapes differ.
        """
        with self._writing:
            self._store({_aligned(start_s): _frame(mean_kw, completeness)})

    def keep(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Take one interval as ``write`` does: readable at once, durable after ``flush``; never blocks."""
        start, frame = _aligned(start_s), _frame(mean_kw, completeness)
        with self._guard:
            self._unwritten[start] = frame
            self._note({start: frame})

    @property
    def pending(self) -> int:
        """Number of intervals that are not durable yet."""
        return len(self._unwritten)

    async def flush(self) -> None:
        """Make everything kept so far durable.

        Raises:
            StorageError: The database takes nothing now; what is missing goes out with the next flush.
        """
        if self._unwritten:
            await asyncio.to_thread(self.flush_now)

    def flush_now(self) -> None:
        """Do what ``flush`` does, blocking."""
        with self._writing:
            with self._guard:
                waiting = dict(self._unwritten)
            if waiting:
                self._store(waiting)

    def forget(self, before_s: float) -> int:
        """Delete the intervals that start before an instant, epoch seconds; return how many; blocks.

        A few of them are deleted at a time, the oldest first: no writer waits for long.

        Raises:
            StorageError: The database takes nothing now; what was not deleted goes with the next call.
        """
        count = 0
        while deleted := self._forget_some(before_s):
            count += deleted
        return count

    def import_rows(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Merge metered means of some rows into the frames, in one transaction; NaN leaves a value as it was.

        Args:
            grid: Quarters of an hour.
            rows: Fleet rows, shape ``(k,)``.
            mean_kw: Mean net power, load positive, shape ``(k, grid.count)``.

        Returns:
            The number of values stored.

        Raises:
            InputError: Wrong shape, or a grid that is not made of quarters of an hour.
        """
        if mean_kw.shape != (len(rows), grid.count):
            raise InputError("mean_kw", mean_kw.shape, f"shape ({len(rows)}, {grid.count})")
        starts = _starts(grid)
        if not starts or not len(rows):
            return 0
        with self._writing:
            present = self._loaded(starts)
            width = max(self._n_resources, int(rows.max()) + 1)
            merged = {
                start: _merged(present.get(start), width, rows, mean_kw[:, step]) for step, start in enumerate(starts)
            }
            self._store(merged)
        return int(np.isfinite(mean_kw).sum())

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where too little was metered, shape ``(n_resources, grid.count)``.

        Raises:
            InputError: The grid is not made of quarters of an hour.
        """
        return self._columns(grid, "known_kw", missing=np.nan)

    def read_completeness(self, grid: TimeGrid) -> FloatArray:
        """Return the share of each interval that was measured, 0 where nothing was, shape as ``read``."""
        return self._columns(grid, "completeness", missing=0.0)

    def _forget_some(self, before_s: float) -> int:
        with self._writing:
            with self._guard:
                old = sorted(start for start in self._starts if start < before_s)[:_FORGOTTEN_AT_ONCE]
            if not old:
                return 0
            with storing("the metered intervals"), self._engine.begin() as connection:
                connection.execute(sa.delete(interval_frames).where(interval_frames.c.start_s <= old[-1]))
            with self._guard:
                for start in old:
                    self._starts.discard(start)
                    self._unwritten.pop(start, None)
                    if start in self._frames:
                        self._held_bytes -= _size(self._frames.pop(start))
        return len(old)

    def _columns(self, grid: TimeGrid, name: str, *, missing: float) -> FloatArray:
        starts = _starts(grid)
        frames = self._loaded(starts)
        table = np.full((grid.count, self._n_resources), missing)
        for step, start in enumerate(starts):
            if start in frames:
                column = getattr(frames[start], name)
                table[step, : len(column)] = column[: self._n_resources]
        return np.ascontiguousarray(table.T)

    def _loaded(self, starts: Sequence[int]) -> dict[int, _Frame]:
        with self._guard:
            wanted = [start for start in starts if start in self._starts]
            found = {start: self._frames[start] for start in wanted if start in self._frames}
            for start in found:
                self._frames.move_to_end(start)
            found.update({start: self._unwritten[start] for start in wanted if start in self._unwritten})
        absent = [start for start in wanted if start not in found]
        if absent:
            fetched = self._fetched(absent[0], absent[-1])
            with self._guard:
                # A writer may have replaced a frame meanwhile; the one in memory is newer.
                for start in absent:
                    if start in fetched and start not in self._frames:
                        self._hold(start, fetched[start])
                    found[start] = self._frames.get(start, fetched[start])
        return found

    def _fetched(self, first_s: int, last_s: int) -> dict[int, _Frame]:
        between = sa.select(interval_frames).where(interval_frames.c.start_s.between(first_s, last_s))
        with storing("the metered intervals"), self._engine.connect() as connection:
            rows = connection.execute(between).all()
        return {
            int(row.start_s): _Frame(
                mean_kw=np.frombuffer(row.mean_kw, dtype="<f4"),
                completeness=np.frombuffer(row.completeness, dtype="<f2"),
            )
            for row in rows
        }

    def _store(self, frames: dict[int, _Frame]) -> None:
        """Write frames in one transaction; a frame kept for its interval meanwhile stays unwritten.

        Raises:
            StorageError: Nothing was written.
        """
        with self._guard:
            before = {start: self._unwritten.get(start) for start in frames}
        rows = [
            {
                "start_s": start,
                "n_rows": len(frame.mean_kw),
                "mean_kw": frame.mean_kw.astype("<f4").tobytes(),
                "completeness": frame.completeness.astype("<f2").tobytes(),
            }
            for start, frame in frames.items()
        ]
        replaced = interval_frames.c.start_s.in_(list(frames))
        with storing("the metered intervals"), self._engine.begin() as connection:
            connection.execute(sa.delete(interval_frames).where(replaced))
            connection.execute(sa.insert(interval_frames), rows)
        with self._guard:
            newest = {s: frame for s, frame in frames.items() if self._unwritten.get(s) is before[s]}
            self._note(newest)
            for start in newest:
                self._unwritten.pop(start, None)

    def _note(self, frames: dict[int, _Frame]) -> None:
        """Make frames readable; the caller holds the guard."""
        self._starts.update(frames)
        self._n_resources = max([self._n_resources, *(len(frame.mean_kw) for frame in frames.values())])
        for start, frame in frames.items():
            self._hold(start, frame)

    def _hold(self, start: int, frame: _Frame) -> None:
        if start in self._frames:
            self._held_bytes -= _size(self._frames.pop(start))
        self._frames[start] = frame
        self._held_bytes += _size(frame)
        while self._held_bytes > _CACHE_BYTES and len(self._frames) > 1:
            _, dropped = self._frames.popitem(last=False)
            self._held_bytes -= _size(dropped)


def _frame(mean_kw: FloatArray, completeness: FloatArray) -> _Frame:
    if mean_kw.shape != completeness.shape or mean_kw.ndim != 1:
        raise InputError("completeness", completeness.shape, f"the shape of mean_kw, {mean_kw.shape}, as (n,)")
    return _Frame(mean_kw=mean_kw.astype(np.float32), completeness=completeness.astype(np.float16))


def _starts(grid: TimeGrid) -> list[int]:
    if grid.step_s != STEP_S:
        raise InputError("grid.step_s", grid.step_s, f"{STEP_S}, the length of a metered interval")
    first = _aligned(grid.start_s)
    return [first + STEP_S * step for step in range(grid.count)]


def _aligned(start_s: float) -> int:
    if start_s % STEP_S:
        raise InputError("start_s", start_s, f"a multiple of {STEP_S}: intervals start on quarters of an hour")
    return int(start_s)


def _merged(present: _Frame | None, width: int, rows: RowArray, values: FloatArray) -> _Frame:
    mean_kw = np.full(width, np.nan, dtype=np.float32)
    completeness = np.zeros(width, dtype=np.float16)
    if present is not None:
        mean_kw[: len(present.mean_kw)] = present.mean_kw
        completeness[: len(present.completeness)] = present.completeness
    known = np.isfinite(values)
    mean_kw[rows[known]] = values[known]
    completeness[rows[known]] = 1.0
    return _Frame(mean_kw=mean_kw, completeness=completeness)


def _size(frame: _Frame) -> int:
    return frame.mean_kw.nbytes + frame.completeness.nbytes
