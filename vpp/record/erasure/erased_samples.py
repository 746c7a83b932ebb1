"""Erased samples: rows and times of which no sample is kept any more, as an entry of the journal states them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray, RowArray, TelemetryBatch
from vpp.record.bodies.fields import Fields

SAMPLES_ERASED = "samples.erased"
"""Kind of the entry that states them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedWindow:
    """Some rows in ``[from_s, until_s)``, epoch seconds.

    Attributes:
        from_s: First instant.
        until_s: End.
        rows: Fleet rows, shape ``(k,)``.
    """

    from_s: float
    until_s: float
    rows: RowArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedSamples:
    """All samples of one erasure.

    Attributes:
        windows: Rows and times.
    """

    windows: tuple[ErasedWindow, ...]

    @classmethod
    def of(cls, spans: Iterable[tuple[int, float, float]]) -> "ErasedSamples":
        """Return the samples of some rows, each from an instant until another, epoch seconds."""
        by_time: dict[tuple[float, float], set[int]] = {}
        for row, from_s, until_s in spans:
            if until_s > from_s:
                by_time.setdefault((from_s, until_s), set()).add(row)
        return cls(
            windows=tuple(
                ErasedWindow(from_s=from_s, until_s=until_s, rows=np.array(sorted(rows), dtype=np.int32))
                for (from_s, until_s), rows in sorted(by_time.items())
            )
        )

    @property
    def rows(self) -> Sequence[int]:
        """Every row of which samples are erased, in order."""
        return sorted({int(row) for window in self.windows for row in window.rows})

    @property
    def from_s(self) -> float:
        """First instant of all windows, epoch seconds; infinite where there is none."""
        return min((window.from_s for window in self.windows), default=float("inf"))

    @property
    def until_s(self) -> float:
        """End of the last window, epoch seconds; minus infinity where there is none."""
        return max((window.until_s for window in self.windows), default=float("-inf"))

    def rows_in(self, from_s: float, until_s: float) -> RowArray:
        """Return the rows of which something in ``[from_s, until_s)`` is erased, in order."""
        met = [one.rows for one in self.windows if one.from_s < until_s and one.until_s > from_s]
        return np.unique(np.concatenate(met)) if met else np.empty(0, dtype=np.int32)

    def covers(self, rows: RowArray, at_s: FloatArray) -> BoolArray:
        """Return which samples are erased, of fleet rows at epoch seconds, shape ``(n,)`` all."""
        found = np.zeros(len(rows), dtype=np.bool_)
        if not len(rows):
            return found
        first_s, last_s = float(np.min(at_s)), float(np.max(at_s))
        for window in self.windows:
            if window.from_s <= last_s and window.until_s > first_s:
                found |= (at_s >= window.from_s) & (at_s < window.until_s) & np.isin(rows, window.rows)
        return found

    def left_of(self, batch: TelemetryBatch) -> TelemetryBatch | None:
        """Return what is left of a batch, in its order; ``None`` where nothing of it is erased."""
        erased = self.covers(batch.rows, batch.at_s)
        if not erased.any():
            return None
        kept = ~erased
        return TelemetryBatch(
            rows=batch.rows[kept], quantities=batch.quantities[kept], values=batch.values[kept], at_s=batch.at_s[kept]
        )

    def body(self) -> dict[str, object]:
        """Return it as the body of an entry."""
        return {
            "windows": [
                {"from_s": window.from_s, "until_s": window.until_s, "rows": window.rows.tolist()}
                for window in self.windows
            ]
        }

    @classmethod
    def from_body(cls, body: Mapping[str, object]) -> "ErasedSamples":
        """Return what ``body`` was called on; raises BodyError."""
        return cls(
            windows=tuple(
                ErasedWindow(
                    from_s=one.number("from_s"), until_s=one.number("until_s"), rows=one.array("rows", np.int32)
                )
                for one in Fields(body, SAMPLES_ERASED).parts("windows")
            )
        )
