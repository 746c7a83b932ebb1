"""Samples taken out of recorded frames and of metered quarters of an hour."""

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import TimeGrid, instant
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.storage.erasing import frames
from vpp.storage.erasing.frames import erase_frames, erase_intervals
from vpp.storage.interval_store import IntervalStore
from vpp.storage.samples import SqlTelemetryLog

BEGIN_S = 1_780_000_200.0 // 900.0 * 900.0


def test_frames_stay_in_their_places_without_the_samples(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_PAGE", 2)
    log = SqlTelemetryLog(engine)
    for cycle in range(5):
        at_s = BEGIN_S + 10.0 * cycle
        log.append(cycle, at_s, TelemetryBatch.of([(row, Quantity.POWER_KW, float(row), at_s) for row in range(3)]))
    log.close()
    seen: list[int] = []
    erased = ErasedSamples.of([(1, BEGIN_S + 10.0, BEGIN_S + 40.0)])
    assert erase_frames(engine, erased, seen.append) == 3
    assert seen == [2, 4, 5]
    read = SqlTelemetryLog(engine)
    assert [frame.batch.rows.tolist() for frame in read.iterate()] == [[0, 1, 2], [0, 2], [0, 2], [0, 2], [0, 1, 2]]
    assert [frame.cycle for frame in read.iterate()] == [0, 1, 2, 3, 4]
    assert erase_frames(engine, erased) == 0
    read.close()


def test_intervals_are_unknown_except_where_money_needs_them(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    for step in range(4):
        store.write(BEGIN_S + 900.0 * step, np.full(3, float(step)), np.ones(3))
    erased = ErasedSamples.of([(1, BEGIN_S + 1000.0, BEGIN_S + 2800.0), (2, BEGIN_S, BEGIN_S + 900.0), (7, 0.0, 1e12)])
    kept = {int(BEGIN_S) + 1800: np.array([1], dtype=np.int32)}
    assert erase_intervals(engine, erased, kept) == 3
    found = IntervalStore(engine).read(TimeGrid(start_at=instant(BEGIN_S), count=4))
    np.testing.assert_array_equal(found[0], [0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found[1], [0.0, np.nan, 2.0, np.nan])
    np.testing.assert_array_equal(found[2], [np.nan, 1.0, 2.0, 3.0])
    assert erase_intervals(engine, erased, kept) == 0
