"""Tracking of a request's portfolio while it runs: interval means, minute means and the quality of both.

Between two snapshots the earlier one holds. A gap longer than ``max_gap_s`` is a gap, not a guess: a service that was
down has no samples of it.
"""

from dataclasses import dataclass

import numpy as np

from numerics.jit import njit
from numerics.mean_power import credit, credit_together, mean_kw
from numerics.views import read_only
from vpp.domain.errors import InputError
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quality
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState

_GOOD, _SUBSTITUTED, _BAD = int(Quality.GOOD), int(Quality.SUBSTITUTED), int(Quality.BAD)
_QUALITIES = len(Quality)
_LEAST_COVER_RATIO = 0.5
"""Below this share of an interval metered its mean is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteSeries:
    """One-minute means for plots and ramp times; NaN where nothing was seen. Shapes ``(n_minutes,)``.

    Attributes:
        at_s: Epoch seconds of each minute's start.
        target_kw: Change asked for, positive in both directions.
        delivered_kw: Change of net load in the direction asked.
        covered_s: Seconds of the minute that were seen.
    """

    at_s: FloatArray
    baseline_kw: FloatArray
    measured_kw: FloatArray
    target_kw: FloatArray
    delivered_kw: FloatArray
    covered_s: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedIntervals:
    """State of a tracker; a new tracker resumes from it.

    Attributes:
        mean_kw: Metered mean over what was seen, 0 where nothing was, shape ``(n_resources, count)``.
        covered_s: Seconds metered, shape ``(n_resources, count)``.
        quality_count: Samples by ``Quality`` code, shape ``(4, count)``.
        minutes: The minute series so far.
    """

    grid: TimeGrid
    mean_kw: FloatArray
    covered_s: FloatArray
    quality_count: IdArray
    minutes: MinuteSeries

    def lengthened(self, grid: TimeGrid) -> "TrackedIntervals":
        """Return the same on a grid that begins at the same step and ends later, or the same where it does not."""
        more = grid.count - self.grid.count
        if more <= 0 or grid.start_s != self.grid.start_s:
            return self
        per_step = len(self.minutes.at_s) // self.grid.count
        unknown = np.full(more * per_step, np.nan)
        minutes = MinuteSeries(
            at_s=grid.start_s + SECONDS_PER_MINUTE * np.arange(grid.count * per_step, dtype=np.float64),
            baseline_kw=np.append(self.minutes.baseline_kw, unknown),
            measured_kw=np.append(self.minutes.measured_kw, unknown),
            target_kw=np.append(self.minutes.target_kw, unknown),
            delivered_kw=np.append(self.minutes.delivered_kw, unknown),
            covered_s=np.append(self.minutes.covered_s, np.zeros(more * per_step)),
        )
        return TrackedIntervals(
            grid=grid,
            mean_kw=np.pad(self.mean_kw, ((0, 0), (0, more))),
            covered_s=np.pad(self.covered_s, ((0, 0), (0, more))),
            quality_count=np.pad(self.quality_count, ((0, 0), (0, more))),
            minutes=minutes,
        )

    def measured_kw(self) -> FloatArray:
        """Return interval means, NaN where less than half was metered, shape ``(n_resources, count)``."""
        return np.where(self.covered_s >= _LEAST_COVER_RATIO * self.grid.step_s, self.mean_kw, np.nan)

    def good_ratio(self) -> FloatArray:
        """Return the share of good samples, NaN where there were none, shape ``(count,)``."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.quality_count[Quality.GOOD] / self.quality_count.sum(axis=0), dtype=np.float64)

    def quality_ratio(self) -> dict[str, float]:
        """Return the share of samples by quality over all intervals; empty before the first."""
        total = int(self.quality_count.sum())
        if total == 0:
            return {}
        return {code.name.lower(): float(self.quality_count[code].sum() / total) for code in Quality}


class Tracker:
    """Follows one request's portfolio, snapshot by snapshot; the same snapshots always give the same numbers.

    Args:
        baseline: Frozen baseline; its grid is what is tracked.
        portfolio: Rows that take part, shape ``(n_resources,)``.
        direction: What was asked.
        resumed: State of an earlier tracker; the time since is a gap.
        max_gap_s: Longest time a snapshot may stand for.
    """

    def __init__(
        self,
        *,
        baseline: Baseline,
        portfolio: BoolArray,
        direction: Direction,
        resumed: TrackedIntervals | None = None,
        max_gap_s: float = 120.0,
    ) -> None:
        if portfolio.shape != (len(baseline.power_kw),):
            raise InputError("portfolio", portfolio.shape, f"one flag a row of the baseline, {len(baseline.power_kw)}")
        self._baseline = baseline
        self._portfolio = portfolio
        self._sign = direction.sign
        self._max_gap_s = max_gap_s
        self._grid = baseline.grid
        self._rows = np.flatnonzero(portfolio)
        self._column: tuple[int, FloatArray] | None = None
        self._total_kw = baseline.power_kw[self._rows].sum(axis=0)
        self._held: _HeldSnapshot | None = None
        self._start(resumed)

    def observe(self, state: FleetState, *, target_kw: float, baseline_kw: float | None = None) -> None:
        """Take a snapshot; it holds until the next.

        Args:
            state: The snapshot.
            target_kw: Change due now, positive both ways.
            baseline_kw: The portfolio's baseline now, where it follows its sessions; the frozen one if not given.
        """
        self.close(state.at_s)
        known, power_kw, counts = self._metered_rows(state)
        self._held = _HeldSnapshot(
            at_s=state.at_s, power_kw=power_kw, known=known, target_kw=target_kw, baseline_kw=baseline_kw
        )
        step = self._grid.index_at(state.at_s)
        if 0 <= step < self._grid.count:
            self._quality_count[:, step] += counts

    def _metered_rows(self, state: FleetState) -> tuple[BoolArray, FloatArray, IdArray]:
        """Return which rows are metered, their power, and their number by quality; those retired count with nothing."""
        columns = (read_only(state.connected), read_only(state.power_kw), read_only(state.quality))
        live = state.index.in_service[self._rows] if len(state.index.out_of_service) else np.ones(1, dtype=np.bool_)
        if live.all():
            return _metered(self._rows, *columns)
        known, power_kw = np.ones(len(self._rows), dtype=np.bool_), np.zeros(len(self._rows))
        known[live], power_kw[live], counts = _metered(self._rows[live], *columns)
        return known, power_kw, counts

    def close(self, at_s: float) -> None:
        """Let the last snapshot hold until ``at_s`` and no longer."""
        held, self._held = self._held, None
        if held is None or at_s - held.at_s > self._max_gap_s:
            return
        from_s, until_s = max(held.at_s, self._grid.start_s), min(at_s, self._grid.end_s)
        while from_s < until_s:
            minute = int((from_s - self._grid.start_s) // SECONDS_PER_MINUTE)
            piece_end_s = min(until_s, self._grid.start_s + (minute + 1) * SECONDS_PER_MINUTE)
            self._add(held, minute, self._grid.index_at(from_s), piece_end_s - from_s)
            from_s = piece_end_s

    def tracked(self) -> TrackedIntervals:
        """Return a copy of the state so far."""
        return TrackedIntervals(
            grid=self._grid,
            mean_kw=self._on_all_rows(mean_kw(self._energy_kws, self._covered_s, unknown=0.0)),
            covered_s=self._on_all_rows(self._covered_s),
            quality_count=self._quality_count.copy(),
            minutes=self.minutes(),
        )

    def minutes(self) -> MinuteSeries:
        """Return the minute series."""
        measured_kw, target_kw, baseline_kw = mean_kw(self._minute_kws, self._minute_s)
        frozen_kw = np.repeat(self._total_kw, self._minutes_a_step)
        baseline_kw = np.where(self._minute_s > 0.0, baseline_kw, frozen_kw)
        return MinuteSeries(
            at_s=self._grid.start_s + SECONDS_PER_MINUTE * np.arange(len(measured_kw), dtype=np.float64),
            baseline_kw=baseline_kw,
            measured_kw=measured_kw,
            target_kw=target_kw,
            delivered_kw=self._sign * (baseline_kw - measured_kw),
            covered_s=self._minute_s.copy(),
        )

    @property
    def _minutes_a_step(self) -> int:
        return round(self._grid.step_s / SECONDS_PER_MINUTE)

    def _start(self, resumed: TrackedIntervals | None) -> None:
        shape, held = (len(self._portfolio), self._grid.count), (self._grid.count, len(self._rows))
        minutes = self._grid.count * self._minutes_a_step
        # Pages of steps that are never reached stay untouched: a city's run to tens of megabytes each.
        self._covered_s, self._energy_kws = np.zeros(held), np.zeros(held)
        if resumed is None:
            self._quality_count = np.zeros((len(Quality), self._grid.count), dtype=np.int64)
            # Measured, due and baseline, which are known together.
            self._minute_s, self._minute_kws = np.zeros(minutes), np.zeros((3, minutes))
            return
        if resumed.grid != self._grid or resumed.mean_kw.shape != shape:
            raise InputError("resumed", resumed.mean_kw.shape, f"intervals of this baseline, shape {shape}")
        series = resumed.minutes
        for step in np.flatnonzero(resumed.covered_s.any(axis=0)).tolist():
            self._covered_s[step] = resumed.covered_s[self._rows, step]
            self._energy_kws[step] = resumed.mean_kw[self._rows, step] * self._covered_s[step]
        self._quality_count = resumed.quality_count.copy()
        self._minute_s = series.covered_s.copy()
        means_kw = np.stack([series.measured_kw, series.target_kw, series.baseline_kw])
        self._minute_kws = np.where(self._minute_s > 0.0, means_kw * self._minute_s, 0.0)

    def _on_all_rows(self, held: FloatArray) -> FloatArray:
        """Return what is kept of the portfolio's rows, step by step, as one row a resource."""
        whole = np.zeros((len(self._portfolio), self._grid.count))
        whole[self._rows] = held.T
        return whole

    def _baseline_rows(self, step: int) -> FloatArray:
        """Return the frozen baseline of the portfolio's rows in one step."""
        if self._column is None or self._column[0] != step:
            self._column = (step, np.ascontiguousarray(self._baseline.power_kw[self._rows, step]))
        return self._column[1]

    def _add(self, held: "_HeldSnapshot", minute: int, step: int, seconds: float) -> None:
        # A row that is not metered counts at its baseline: nothing metered, nothing claimed.
        total_kw = _added(
            self._energy_kws[step],
            self._covered_s[step],
            held.power_kw,
            held.known,
            self._baseline_rows(step),
            seconds,
        )
        baseline_kw = self._total_kw[step] if held.baseline_kw is None else held.baseline_kw
        credit_together(
            self._minute_kws,
            self._minute_s,
            np.array([minute], dtype=np.int64),
            np.array([[total_kw], [held.target_kw], [baseline_kw]], dtype=np.float64),
            np.array([seconds], dtype=np.float64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldSnapshot:
    """The snapshot that holds until the next; arrays over the portfolio's rows."""

    at_s: float
    power_kw: FloatArray
    known: BoolArray
    target_kw: float
    baseline_kw: float | None


@njit()
def _metered(
    rows: IdArray, connected: BoolArray, power_kw: FloatArray, quality: CodeArray
) -> tuple[BoolArray, FloatArray, IdArray]:
    """Return which of ``rows`` are metered, their power, and the number of rows of each quality."""
    known, shown = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows))
    counts = np.zeros(_QUALITIES, dtype=np.int64)
    for place in range(len(rows)):
        row = rows[place]
        if not connected[row] or np.isnan(power_kw[row]):
            counts[_BAD] += 1
            continue
        counts[quality[row]] += 1
        # A stale value is the last one, not a measurement of now.
        if quality[row] in (_GOOD, _SUBSTITUTED):
            known[place], shown[place] = True, power_kw[row]
    return known, shown, counts


@njit()
def _added(  # noqa: PLR0917 - a kernel takes arguments by position
    energy_kws: FloatArray,
    covered_s: FloatArray,
    power_kw: FloatArray,
    known: BoolArray,
    baseline_kw: FloatArray,
    seconds: float,
) -> float:
    """Let powers hold for some time; return the portfolio's, unmetered rows at their baseline."""
    total_kw = 0.0
    for place in range(len(power_kw)):
        if known[place]:
            credit(energy_kws, covered_s, place, power_kw[place], seconds)
            total_kw += power_kw[place]
        else:
            total_kw += baseline_kw[place]
    return total_kw
