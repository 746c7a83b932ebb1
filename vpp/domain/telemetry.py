"""Telemetry samples as parallel arrays, one element a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import InputError

FloatArray = npt.NDArray[np.float64]
RowArray = npt.NDArray[np.int32]
CodeArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
IdArray = npt.NDArray[np.int64]


class Quantity(IntEnum):
    """Measured quantity of a sample; the unit is in the name."""

    POWER_KW = 0
    """Net power, load positive."""
    ENERGY_KWH = 1
    """Register of energy taken in; never falls except when a meter is replaced."""
    SOC = 2
    """State of charge, 0-1."""
    CONNECTED = 3
    """1 while the device's link is up, 0 once it is lost, NaN once the device has left its row for good."""
    PLUGGED = 4
    """1 while a car is plugged in."""
    P_MIN_KW = 5
    """Least net power the device says it can take now."""
    P_MAX_KW = 6
    """Greatest net power the device says it can take now."""
    LIMIT_KW = 7
    """Limit or setpoint in force, as read back from the device."""
    TROUBLES = 8
    """Bit mask of the troubles its link knows of, see `vpp.domain.trouble.Trouble`; 0 for none."""


class Quality(IntEnum):
    """Data quality of a value (OpenADR 3 data quality, IEC 60870 quality descriptor)."""

    GOOD = 0
    STALE = 1
    SUBSTITUTED = 2
    BAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryBatch:
    """Samples from any number of devices.

    Attributes:
        rows: Fleet rows, shape ``(n_samples,)``.
        quantities: ``Quantity`` codes, shape ``(n_samples,)``.
        values: Values in the quantity's unit, shape ``(n_samples,)``.
        at_s: Epoch seconds at which each was measured, shape ``(n_samples,)``.
    """

    rows: RowArray
    quantities: CodeArray
    values: FloatArray
    at_s: FloatArray

    def __post_init__(self) -> None:
        shapes = {self.rows.shape, self.quantities.shape, self.values.shape, self.at_s.shape}
        if len(shapes) != 1:
            raise InputError("TelemetryBatch", sorted(shapes), "four arrays of one shape (n_samples,)")

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, samples: list[tuple[int, int, float, float]]) -> "TelemetryBatch":
        """Return a batch from ``(row, quantity, value, at_s)`` tuples."""
        table = np.array(samples, dtype=np.float64).reshape(-1, 4)
        return cls(
            rows=table[:, 0].astype(np.int32),
            quantities=table[:, 1].astype(np.uint8),
            values=table[:, 2].copy(),
            at_s=table[:, 3].copy(),
        )

    @classmethod
    def joined(cls, batches: "Sequence[TelemetryBatch]") -> "TelemetryBatch":
        """Return the samples of at least one batch in order, one after the other."""
        return cls(
            rows=np.concatenate([batch.rows for batch in batches]),
            quantities=np.concatenate([batch.quantities for batch in batches]),
            values=np.concatenate([batch.values for batch in batches]),
            at_s=np.concatenate([batch.at_s for batch in batches]),
        )

    def take(self, chosen: "BoolArray | IdArray") -> "TelemetryBatch":
        """Return the samples at positions ``chosen``, or where it is true."""
        return TelemetryBatch(
            rows=self.rows[chosen],
            quantities=self.quantities[chosen],
            values=self.values[chosen],
            at_s=self.at_s[chosen],
        )
