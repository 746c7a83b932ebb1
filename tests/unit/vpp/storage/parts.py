"""A batch of samples."""

from datetime import UTC, datetime

import numpy as np

from vpp.domain.telemetry import TelemetryBatch

START = datetime(2026, 7, 15, tzinfo=UTC)
START_S = START.timestamp()


def rows(*numbers: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array(numbers, dtype=np.int32)


def batch(count: int) -> TelemetryBatch:
    random = np.random.default_rng(count)
    return TelemetryBatch(
        rows=random.integers(0, 300_000, count).astype(np.int32),
        quantities=random.integers(0, 8, count).astype(np.uint8),
        values=np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
        at_s=START_S + random.random(count),
    )


def same(one: TelemetryBatch, other: TelemetryBatch) -> bool:
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("rows", "quantities", "values", "at_s")
    )
