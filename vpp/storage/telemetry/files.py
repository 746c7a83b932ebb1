"""Layout of sample files: integers of a known step, sorted by device, delta-coded and compressed.

A value is kept as a whole number of steps (1 W, 1 Wh, 0.01 %) and an instant as a whole second: neighbours in a file
then differ by small numbers, which Parquet's DELTA_BINARY_PACKED and zstd turn into one or two bytes a sample
(Lemire and Boytsov 2015, "Decoding billions of integers per second through vectorization"). The exact values that a
replay needs are in the frames of `vpp.storage.samples`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vpp.domain.telemetry import FloatArray, Quantity, TelemetryBatch
from vpp.domain.units import SECONDS_PER_DAY

DAY_S = int(SECONDS_PER_DAY)
BLOCK = 8192
"""Rows of the fleet that share a clustered file."""
ROW_GROUP = 65_536
_STEPS: Mapping[Quantity, float] = {
    Quantity.POWER_KW: 1e3,
    Quantity.ENERGY_KWH: 1e3,
    Quantity.SOC: 1e4,
    Quantity.CONNECTED: 1.0,
    Quantity.PLUGGED: 1.0,
    Quantity.P_MIN_KW: 1e3,
    Quantity.P_MAX_KW: 1e3,
    Quantity.LIMIT_KW: 1e3,
    Quantity.TROUBLES: 1.0,
}
STEPS_PER_UNIT: FloatArray = np.array([_STEPS[quantity] for quantity in Quantity])
"""Steps in one unit of each quantity."""
_FARTHEST = 2**53

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("quantity", pa.int8(), nullable=False),
        pa.field("at_s", pa.int64(), nullable=False),
        pa.field("value", pa.int64(), nullable=False),
    ]
)
WRITING: Mapping[str, object] = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": False,
    "column_encoding": dict.fromkeys(("row", "quantity", "at_s", "value"), "DELTA_BINARY_PACKED")
    | {"quantity": "PLAIN"},
    "version": "2.6",
    "data_page_size": 2**20,
    "write_statistics": ["row", "at_s"],
}
"""Arguments of pyarrow's Parquet writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Samples in steps of their quantities, in the order of arrival; of two for one instant the later counts.

    Attributes:
        row: Fleet rows, int32, shape ``(n,)``.
        quantity: ``Quantity`` codes, int8.
        at_s: Epoch seconds, int64.
        value: Steps of the quantity, int64.
    """

    row: npt.NDArray[np.int32]
    quantity: npt.NDArray[np.int8]
    at_s: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(cls, batch: TelemetryBatch) -> "Columns":
        """Return a batch in steps; values that are not finite and unknown quantities are left out."""
        good = np.isfinite(batch.values) & np.isfinite(batch.at_s) & (batch.quantities < len(Quantity))
        good &= batch.rows >= 0
        codes = np.where(good, batch.quantities, 0)
        steps = np.where(good, batch.values, 0.0) * STEPS_PER_UNIT[codes]
        good &= np.abs(steps) < _FARTHEST
        return cls(
            row=batch.rows[good].astype(np.int32),
            quantity=batch.quantities[good].astype(np.int8),
            at_s=np.rint(batch.at_s[good]).astype(np.int64),
            value=np.rint(steps[good]).astype(np.int64),
        )

    @classmethod
    def joined(cls, parts: "list[Columns]") -> "Columns":
        """Return the samples of ``parts``, one after the other."""
        return cls(
            row=np.concatenate([p.row for p in parts]) if parts else np.zeros(0, dtype=np.int32),
            quantity=np.concatenate([p.quantity for p in parts]) if parts else np.zeros(0, dtype=np.int8),
            at_s=np.concatenate([p.at_s for p in parts]) if parts else np.zeros(0, dtype=np.int64),
            value=np.concatenate([p.value for p in parts]) if parts else np.zeros(0, dtype=np.int64),
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> "Columns":
        """Return the samples of a file."""
        return cls(**{name: table.column(name).to_numpy() for name in SCHEMA.names})

    def take(self, chosen: "npt.NDArray[np.bool_] | npt.NDArray[np.int64]") -> "Columns":
        """Return the chosen samples."""
        return Columns(
            row=self.row[chosen], quantity=self.quantity[chosen], at_s=self.at_s[chosen], value=self.value[chosen]
        )

    def clustered(self) -> "Columns":
        """Return them sorted by row, quantity and instant, of repeated ones the last."""
        if not len(self):
            return self
        group = (self.row.astype(np.int64) << 8) | self.quantity
        order = np.lexsort((self.at_s, group))  # stable: of equal keys the later stays behind
        group, at_s = group[order], self.at_s[order]
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = (group[1:] != group[:-1]) | (at_s[1:] != at_s[:-1])
        return self.take(order[last])

    def table(self) -> pa.Table:
        """Return them as a table for a file."""
        return pa.Table.from_arrays([self.row, self.quantity, self.at_s, self.value], schema=SCHEMA)

    def batch(self) -> TelemetryBatch:
        """Return them in their units."""
        return TelemetryBatch(
            rows=self.row.astype(np.int32),
            quantities=self.quantity.astype(np.uint8),
            values=self.value / STEPS_PER_UNIT[self.quantity],
            at_s=self.at_s.astype(np.float64),
        )


def day_of(at_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the UTC day of each instant, counted from 1970, shape ``(n,)``."""
    return np.asarray(at_s // DAY_S)


def minute_sums(samples: Columns, area_of_row: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return metered net power by minute and area: the sum over devices of the mean of each in that minute.

    Args:
        samples: Clustered.
        area_of_row: Position of every row's area, shape ``(n_rows,)``; samples of other rows are left out.

    Returns:
        Keys, shape ``(k, 2)``: minute since 1970 and area; and values, shape ``(k, 2)``: kW and number of devices.
    """
    power = (samples.quantity == Quantity.POWER_KW) & (samples.row < len(area_of_row))
    chosen = samples.take(power)
    if not len(chosen):
        return np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2))
    minute = chosen.at_s // 60
    first = np.ones(len(chosen), dtype=np.bool_)
    first[1:] = (chosen.row[1:] != chosen.row[:-1]) | (minute[1:] != minute[:-1])
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(chosen)))
    mean_kw = np.add.reduceat(chosen.value, starts) / counts / STEPS_PER_UNIT[Quantity.POWER_KW]
    areas = int(area_of_row.max()) + 1
    earliest = int(minute.min())
    key = (minute[starts] - earliest) * areas + area_of_row[chosen.row[starts]]
    power_kw = np.bincount(key, weights=mean_kw)
    devices = np.bincount(key)
    there = np.flatnonzero(devices)
    keys = np.stack((there // areas + earliest, there % areas), axis=1)
    return keys.astype(np.int64), np.stack((power_kw[there], devices[there]), axis=1)
