"""Batches of samples keep their columns together when they are taken and joined."""

import numpy as np
import pytest

from vpp.domain.errors import InputError
from vpp.domain.telemetry import Quantity, TelemetryBatch

SAMPLES = [(3, Quantity.POWER_KW, 7.5, 10.0), (1, Quantity.SOC, 0.5, 11.0), (3, Quantity.PLUGGED, 1.0, 12.0)]


def listed(batch: TelemetryBatch) -> list[tuple[int, int, float, float]]:
    columns = (batch.rows, batch.quantities, batch.values, batch.at_s)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_samples_are_taken_by_position_or_by_mask_and_joined_in_order() -> None:
    batch = TelemetryBatch.of(SAMPLES)
    assert listed(batch) == SAMPLES
    assert listed(batch.take(np.array([2, 0]))) == [SAMPLES[2], SAMPLES[0]]
    assert listed(batch.take(batch.rows == 1)) == [SAMPLES[1]]
    assert listed(TelemetryBatch.joined([batch.take(np.array([1])), batch])) == [SAMPLES[1], *SAMPLES]


def test_columns_of_different_lengths_are_refused() -> None:
    batch = TelemetryBatch.of(SAMPLES)
    with pytest.raises(InputError, match="one shape"):
        TelemetryBatch(rows=batch.rows[:2], quantities=batch.quantities, values=batch.values, at_s=batch.at_s)
