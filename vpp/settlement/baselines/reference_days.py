"""Reference days of a baseline, and the adjustment of their mean by the hours before notice."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY, STEP_S, STEPS_PER_DAY
from vpp.fleet.calendar import DayCalendar, DayType, day_grid, local_day
from vpp.fleet.index import CLASSES
from vpp.ports import IntervalMeter
from vpp.settlement.baselines.called_hours import NOT_CALLED, CalledHours

_LEAST_TO_JUDGE = 3
"""Of two days neither can be called the odd one."""


class Adjustment(StrEnum):
    """How the hours before notice move the reference days' mean."""

    MULTIPLICATIVE = "multiplicative"
    """Times a ratio: follows a day of more use throughout."""
    ADDITIVE = "additive"
    """Plus the same shift at every step: follows a level that does not scale with the profile."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRules:
    """What a programme may set; the defaults are the recommended ones of GB/T 32672 practice and CAISO.

    Attributes:
        days: Reference days wanted.
        min_days: Fewer than this and the method is not used.
        lookback_days: How far back they may lie.
        completeness_ratio: Least share of metered steps on a reference day.
        deviation_ratio: Days whose energy is further from the mean than this are dropped.
        window_s: Length of the window before notice that adjusts.
        clip: Bounds of the adjustment ratio.
        adjustment: How it is applied.
        before_steps: How many steps meter-before may look back for a metered one.
    """

    days: int = 5
    min_days: int = 3
    lookback_days: int = 45
    completeness_ratio: float = 0.95
    deviation_ratio: float = 0.25
    window_s: float = 7200.0
    clip: tuple[float, float] = (0.8, 1.2)
    adjustment: Adjustment = Adjustment.MULTIPLICATIVE
    before_steps: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Chosen days and their mean.

    Attributes:
        days: Chosen, newest first.
        excluded: ISO date and reason.
        event_kw: Mean on the event's steps, NaN where unknown, shape ``(n_rows, n_event_steps)``.
        window_kw: Mean on the window's steps, shape ``(n_rows, n_window_steps)``.
        inputs: Every array that was looked at, for the hash.
    """

    days: tuple[date, ...]
    excluded: tuple[tuple[str, str], ...]
    event_kw: FloatArray
    window_kw: FloatArray
    inputs: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    day: date
    class_kwh: FloatArray
    event_kw: FloatArray
    window_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySearch:
    """Looks for reference days.

    Attributes:
        meter: Metered means of the fleet.
        rows: Rows that want a baseline, shape ``(n_rows,)``.
        class_code: Their classes, shape ``(n_rows,)``.
        event: Steps that want one.
        window: Steps before notice.
        notice_s: Epoch seconds of the notice; only days before its day count.
        event_days: Days on which the portfolio was called; none of them is chosen.
        called: Hours in which it was called; those of a chosen day, a drill's, do not enter the mean.
    """

    meter: IntervalMeter
    rows: IdArray
    class_code: CodeArray
    event: TimeGrid
    window: TimeGrid
    notice_s: float
    event_days: Collection[date]
    called: CalledHours = NOT_CALLED
    calendar: DayCalendar
    rules: BaselineRules

    def find(self) -> Reference:
        """Return the reference days of the event's kind; a holiday may borrow weekends when holidays are too few."""
        kind = self.calendar.day_type(local_day(self.event.start_s))
        found = self._find((kind,))
        if len(found.days) < self.rules.min_days and kind is DayType.HOLIDAY:
            found = self._find((DayType.HOLIDAY, DayType.WEEKEND))
        return found

    def _find(self, kinds: tuple[DayType, ...]) -> Reference:
        candidates = list(self._candidates(kinds))
        metered = self._metered_rows(candidates)
        excluded: list[tuple[str, str]] = []
        kept: list[_Day] = []
        for day in candidates:
            if len(kept) == self.rules.days:
                break
            reason, read = self._examine(day, metered)
            if read is None:
                excluded.append((day.isoformat(), reason))
                continue
            kept.append(read)
            if len(kept) == self.rules.days:
                excluded += self._drop_odd(kept)
        if len(kept) < self.rules.days:
            excluded += self._drop_odd(kept)
        return self._mean(kept, excluded)

    def _candidates(self, kinds: tuple[DayType, ...]) -> Iterator[date]:
        notice_day = local_day(self.notice_s)
        for back in range(1, self.rules.lookback_days + 1):
            day = notice_day - timedelta(days=back)
            if self.calendar.day_type(day) in kinds:
                yield day

    def _read(self, day: date) -> FloatArray:
        return self.meter.read(day_grid(day))[self.rows]

    def _metered_rows(self, candidates: Sequence[date]) -> BoolArray:
        """Return the rows metered on enough of the newest days; the others are new here or dark, shape ``(n_rows,)``.

        Without this a tenth of new devices would make every day incomplete for the other nine.
        """
        days_metered = np.zeros(len(self.rows), dtype=np.int64)
        seen = 0
        for day in candidates:
            known = np.isfinite(self._read(day)) if day not in self.event_days else np.zeros((1, 1), dtype=np.bool_)
            if known.any():
                days_metered += known.mean(axis=1) >= self.rules.completeness_ratio
                seen += 1
            if seen == self.rules.days:
                break
        return np.asarray(days_metered >= self.rules.min_days)

    def _examine(self, day: date, metered: BoolArray) -> tuple[str, _Day | None]:
        if day in self.event_days:
            return "event day", None
        power_kw = self._read(day)
        known = np.isfinite(power_kw[metered])
        share = float(known.mean()) if known.size else 0.0
        if share == 0.0:
            return "no metering", None
        if share < self.rules.completeness_ratio:
            return f"only {share:.1%} metered", None
        own_kw = np.where(self.called.free(day_grid(day)), power_kw, np.nan)
        return "", _Day(
            day=day,
            class_kwh=_class_kwh(power_kw[metered], self.class_code[metered]),
            event_kw=own_kw[:, _steps_of_day(self.event)],
            window_kw=own_kw[:, _steps_of_day(self.window)],
        )

    def _drop_odd(self, kept: list[_Day]) -> list[tuple[str, str]]:
        """Take days out of ``kept`` until none is off, the farthest first: one odd day also moves the mean."""
        dropped: list[tuple[str, str]] = []
        while len(kept) >= _LEAST_TO_JUDGE:
            deviation = _deviation(np.array([day.class_kwh for day in kept]))
            worst = int(np.argmax(np.abs(deviation)))
            if abs(deviation[worst]) <= self.rules.deviation_ratio:
                break
            dropped.append((kept.pop(worst).day.isoformat(), f"energy {deviation[worst]:+.0%} off the mean"))
        return dropped

    def _mean(self, kept: list[_Day], excluded: list[tuple[str, str]]) -> Reference:
        event = np.array([day.event_kw for day in kept]).reshape(len(kept), len(self.rows), self.event.count)
        window = np.array([day.window_kw for day in kept]).reshape(len(kept), len(self.rows), self.window.count)
        return Reference(
            days=tuple(day.day for day in kept),
            excluded=tuple(sorted(excluded, reverse=True)),
            event_kw=mean_known(event),
            window_kw=mean_known(window),
            inputs=(event, window),
        )


def mean_known(stack: FloatArray) -> FloatArray:
    """Return the mean over the first axis of what is known, NaN where nothing is."""
    known = np.isfinite(stack)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stack, 0.0).sum(axis=0) / known.sum(axis=0), dtype=np.float64)


_NO_LOAD_KW = 1e-6
"""A milliwatt in all: rounding, which has no level."""


def adjustment_ratio(actual_kw: FloatArray, reference_kw: FloatArray, clip: tuple[float, float]) -> float:
    """Return today's load over the reference in the window, clipped, NaN where it is unknown.

    Both are of shape ``(n_rows, n_window_steps)``; only what is known in both counts. Where consumption and production
    nearly cancel, the ratio of their small difference is noise: it fades to 1 from half of the reference's
    magnitude down, and is 1 from a quarter on.
    """
    both = np.isfinite(actual_kw) & np.isfinite(reference_kw)
    reference, size = float(reference_kw[both].sum()), float(np.abs(reference_kw[both]).sum())
    if size < _NO_LOAD_KW:
        return float("nan")
    trust = min(max(4.0 * abs(reference) / size - 1.0, 0.0), 1.0)
    if trust == 0.0:
        return 1.0
    off = float(actual_kw[both].sum()) / reference - 1.0
    return float(np.clip(1.0 + trust * off, *clip))


def adjusted(event_kw: FloatArray, window_kw: FloatArray, ratio: float, how: Adjustment) -> FloatArray:
    """Return reference rows moved to today's level, shape ``(n_rows, n_event_steps)``.

    Added up, the additive form shifts the class by ``(ratio - 1)`` times its mean in the window; every row carries its
    share of it.
    """
    match how:
        case Adjustment.MULTIPLICATIVE:
            return event_kw * ratio
        case Adjustment.ADDITIVE:
            level = mean_known(window_kw.T)
            return event_kw + (ratio - 1.0) * np.where(np.isnan(level), 0.0, level)[:, None]
        case Adjustment.NONE:
            return event_kw


def _steps_of_day(grid: TimeGrid) -> IdArray:
    """Return which of a Shanghai day's 96 steps each step of ``grid`` is, shape ``(count,)``."""
    since_midnight = grid.starts_s() - day_grid(local_day(grid.start_s)).start_s
    return (since_midnight % SECONDS_PER_DAY // STEP_S).astype(np.int64) % STEPS_PER_DAY


def _class_kwh(power_kw: FloatArray, class_code: CodeArray) -> FloatArray:
    """Return a day's energy by class, gaps filled with the mean of what is known, shape ``(n_classes,)``."""
    row_kwh = mean_known(power_kw.T) * 24.0
    known = np.isfinite(row_kwh)
    shape = len(CLASSES)
    total = np.bincount(class_code[known], weights=row_kwh[known], minlength=shape)
    rows, seen = np.bincount(class_code, minlength=shape), np.bincount(class_code[known], minlength=shape)
    return np.asarray(total * rows / np.maximum(seen, 1), dtype=np.float64)


def _deviation(class_kwh: FloatArray) -> FloatArray:
    """Return each day's energy relative to the mean, less 1, shape ``(n_days,)``.

    Relative to the classes' absolute energies: where photovoltaics nearly cancel the load, their small difference
    does not measure how usual a day was. With one sign throughout this is ``E_d / mean(E) - 1``.
    """
    mean = class_kwh.mean(axis=0)
    scale = float(np.abs(mean).sum())
    off = (class_kwh - mean).sum(axis=1)
    return np.asarray(off / scale if scale > 0.0 else np.zeros(len(class_kwh)), dtype=np.float64)
