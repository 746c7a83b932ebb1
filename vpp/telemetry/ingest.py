"""The front door of measurements: what cannot be is kept out and counted, the rest goes into the next picture."""

from collections import Counter

import numpy as np

from optimizer.jit import njit
from vpp.domain.fleet import FleetState
from vpp.domain.session import ChargingSession, SessionEnded, SessionEvent
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quantity, RowArray, TelemetryBatch
from vpp.state.image import ProcessImage
from vpp.telemetry.quality import QualityRules, grade

_FUTURE_S = 600.0
"""How far ahead of the clock a sample may be stamped; further is a broken clock at the device."""

_FAULTS = ("unknown_row", "unknown_quantity", "not_a_number", "future")
_QUANTITIES = len(Quantity)


class Ingest:
    """Checks batches, writes them into the process image and remembers them until the cycle takes them.

    Attributes:
        dropped: How many samples were kept out, by reason.
    """

    def __init__(self, image: ProcessImage, rules: QualityRules) -> None:
        self.dropped: Counter[str] = Counter()
        self._image = image
        self._rules = rules
        self._batches: list[TelemetryBatch] = []
        self._events: list[SessionEvent] = []
        self._ended: list[ChargingSession] = []

    def telemetry(self, batch: TelemetryBatch, now_s: float) -> None:
        """Take a batch; unknown rows, unknown quantities, NaN and samples from the future are dropped and counted."""
        good = self._acceptable(batch, now_s)
        kept = batch if good.all() else _chosen(batch, good)
        if len(kept):
            self._image.write(kept)
            self._batches.append(kept)

    def session(self, event: SessionEvent) -> None:
        """Take news of a car."""
        closing = self._image.sessions.closing(event) if isinstance(event, SessionEnded) else None
        if closing is not None:
            self._ended.append(closing)
        self._image.write_session(event)
        self._events.append(event)

    def snapshot(self, at_s: float) -> FleetState:
        """Swap the process image: the picture everything in this cycle sees."""
        image, index = self._image, self._image.index
        age_s = at_s - image.power_at_s()
        quality = grade(
            age_s=age_s, power_kw=image.power_kw(), p_min_kw=index.p_min_kw, p_max_kw=index.p_max_kw, rules=self._rules
        )
        return image.swap(at_s, quality)

    def anchors(self) -> list[tuple[int, float]]:
        """Return and forget the newly known charges at plug-in, by row; see `ProcessImage.take_anchors`."""
        return self._image.take_anchors()

    def taken(self) -> tuple[TelemetryBatch, list[SessionEvent]]:
        """Return and forget everything taken since the last call, for the record that a replay reads."""
        batches, self._batches = self._batches, []
        events, self._events = self._events, []
        return _joined(batches), events

    def ended(self) -> list[ChargingSession]:
        """Return and forget the sessions that ended since the last call, as they ended."""
        ended, self._ended = self._ended, []
        return ended

    def _acceptable(self, batch: TelemetryBatch, now_s: float) -> BoolArray:
        good, counts = _checked(
            batch.rows,
            batch.quantities,
            batch.values,
            batch.at_s,
            len(self._image.index),
            now_s + _FUTURE_S,
        )
        for reason, count in zip(_FAULTS, counts.tolist(), strict=True):
            self.dropped[reason] += count
        return good


@njit()
def _checked(  # noqa: PLR0917 - a kernel takes arguments by position
    rows: RowArray, quantities: CodeArray, values: FloatArray, at_s: FloatArray, n_rows: int, latest_s: float
) -> tuple[BoolArray, IdArray]:
    """Return which samples are acceptable, and how many were not for each of ``_FAULTS``."""
    good = np.ones(len(rows), dtype=np.bool_)
    counts = np.zeros(4, dtype=np.int64)
    for i in range(len(rows)):
        fault = -1
        if rows[i] < 0 or rows[i] >= n_rows:
            fault = 0
        elif quantities[i] >= _QUANTITIES:
            fault = 1
        elif not np.isfinite(values[i]):
            fault = 2
        elif at_s[i] > latest_s:
            fault = 3
        if fault >= 0:
            good[i] = False
            counts[fault] += 1
    return good, counts


def _chosen(batch: TelemetryBatch, chosen: BoolArray) -> TelemetryBatch:
    return TelemetryBatch(
        rows=batch.rows[chosen],
        quantities=batch.quantities[chosen],
        values=batch.values[chosen],
        at_s=batch.at_s[chosen],
    )


def _joined(batches: list[TelemetryBatch]) -> TelemetryBatch:
    if not batches:
        return TelemetryBatch.of([])
    return TelemetryBatch(
        rows=np.concatenate([b.rows for b in batches]),
        quantities=np.concatenate([b.quantities for b in batches]),
        values=np.concatenate([b.values for b in batches]),
        at_s=np.concatenate([b.at_s for b in batches]),
    )
