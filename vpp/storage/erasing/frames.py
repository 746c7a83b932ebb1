"""Samples taken out of recorded frames and metered intervals, some at a time."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from vpp.domain.telemetry import RowArray
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.storage.codec import decode, encode
from vpp.storage.sql import interval_frames, storing, telemetry_frames

_PAGE = 200
_AHEAD_S = SECONDS_PER_DAY
"""A sample may be stamped later than the cycle that took it: devices have clocks of their own."""
Progress = Callable[[int], object]
"""Called with the number of frames read so far."""


def erase_frames(engine: sa.Engine, erased: ErasedSamples, progress: Progress = lambda _: None) -> int:
    """Take samples out of the recorded frames, which stay in their places; return how many; blocks.

    Raises:
        FrameError: A frame cannot be read.
        StorageError: The database takes nothing now; the same call again completes it.
    """
    after = read = count = 0
    while rows := _frames(engine, after, erased.from_s - _AHEAD_S):
        changed = []
        for row in rows:
            batch = decode(bytes(row.samples))
            left = erased.left_of(batch)
            if left is not None:
                changed.append({"here": row.frame, "left": encode(left)})
                count += len(batch) - len(left)
        if changed:
            update = sa.update(telemetry_frames).where(telemetry_frames.c.frame == sa.bindparam("here"))
            with storing("the samples"), engine.begin() as connection:
                connection.execute(update.values(samples=sa.bindparam("left")), changed)
        after, read = int(rows[-1].frame), read + len(rows)
        progress(read)
    return count


def erase_intervals(engine: sa.Engine, erased: ErasedSamples, kept: Mapping[int, RowArray]) -> int:
    """Take metered quarters of an hour of some rows away; return how many values; blocks.

    Args:
        engine: The database.
        erased: Rows and times; an interval that they touch is erased whole.
        kept: Rows that money needs, by epoch seconds at which an interval starts.

    Raises:
        StorageError: The database takes nothing now; the same call again completes it.
    """
    count, after = 0, int(min(max(erased.from_s, 0.0), 2.0**40)) - STEP_S - 1
    while rows := _intervals(engine, after, erased.until_s):
        for row in rows:
            start_s = int(row.start_s)
            gone = np.setdiff1d(erased.rows_in(start_s, start_s + STEP_S), kept.get(start_s, np.empty(0, np.int32)))
            count += _erase_interval(engine, row, gone[gone < row.n_rows])
        after = int(rows[-1].start_s)
    return count


def _erase_interval(engine: sa.Engine, row: sa.Row[tuple[object, ...]], gone: RowArray) -> int:
    mean_kw = np.frombuffer(row.mean_kw, dtype="<f4").copy()
    completeness = np.frombuffer(row.completeness, dtype="<f2").copy()
    known = int(np.count_nonzero(np.isfinite(mean_kw[gone]) | (completeness[gone] > 0.0)))
    if known:
        mean_kw[gone], completeness[gone] = np.nan, 0.0
        values = {"mean_kw": mean_kw.tobytes(), "completeness": completeness.tobytes()}
        here = interval_frames.c.start_s == row.start_s
        with storing("the metered intervals"), engine.begin() as connection:
            connection.execute(sa.update(interval_frames).where(here).values(values))
    return known


def _frames(engine: sa.Engine, after: int, from_s: float) -> Sequence[sa.Row[int, bytes]]:
    table = telemetry_frames.c
    page = sa.select(table.frame, table.samples).where((table.frame > after) & (table.at_s >= from_s))
    with storing("the samples"), engine.connect() as connection:
        return connection.execute(page.order_by(table.frame).limit(_PAGE)).all()


def _intervals(engine: sa.Engine, after: int, until_s: float) -> Sequence[sa.Row[tuple[object, ...]]]:
    table = interval_frames.c
    page = sa.select(interval_frames).where((table.start_s > after) & (table.start_s < until_s))
    with storing("the metered intervals"), engine.connect() as connection:
        return connection.execute(page.order_by(table.start_s).limit(_PAGE)).all()
