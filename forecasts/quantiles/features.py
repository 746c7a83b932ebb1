"""Features of a forecast without a scale: own history, its zone, calendar, and what is going on now."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasts.panel.panel import SECONDS_PER_DAY, View
from forecasts.quantiles.same_slot import SameSlot, Targets, scale_of
from numerics.arrays import FloatArray, FloatTable, IntArray

_RECENT_HOURS: Final = (1, 3, 6)
_LAGS: Final = (1, 2, 3, 7, 14)
_USUAL_DAYS: Final = 14
_TOP: Final = slice(2, 6)
"""Levels 0.25 to 0.90 of the seasonal quantiles that serve as features."""
_KEPT_LAGS: Final = (1, 7)
"""Days before, whose course from the last clock time on is kept."""
_MOST_LEVEL: Final = 4.0
_LEAST_BRIGHT: Final = 0.05
_DAYS_PER_YEAR: Final = 365.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows for a model, one for each present series and target: ``n`` of them, the series running fastest.

    Attributes:
        features: Shape ``(n, F)``, NaN where unknown.
        series: Column of the panel, shape ``(n,)``.
        target: Step of the panel's grid, shape ``(n,)``.
        scale: Usual size of the series, shape ``(n,)``.
        anchor: Simple forecasts by name, in units of the series, shape ``(n,)`` each.
        quantiles: Seasonal quantiles in units of the series, shape ``(n, 7)``.
        capacity: Largest possible value, NaN where unknown, shape ``(n,)``.
    """

    features: FloatTable
    series: IntArray
    target: IntArray
    scale: FloatArray
    anchor: dict[str, FloatArray]
    quantiles: FloatArray
    capacity: FloatArray


def rows_of(view: View, offsets: IntArray) -> Rows:
    """Return the rows of a view for steps ahead of its issue.

    Args:
        view: What is known.
        offsets: Steps from the issue to the start of each target, shape ``(H,)``.
    """
    present = np.flatnonzero(view.present)
    zone = np.unique(view.zone[present], return_inverse=True)[1].astype(np.int64)
    capacity = view.capacity[present].astype(np.float64)
    value = view.value[:, present].astype(np.float64)
    scale = scale_of(value, zone, capacity, view.steps_per_day)
    targets = Targets.of(view, offsets)
    scaled = _stood_in(value / scale, view, present, zone)
    slots = SameSlot(view, scaled, zone, targets)
    now = _Now(view, scaled, zone, slots)
    columns = [*_calendar(view, targets), *_seasonal(slots), *_sizes(scaled, scale, capacity, view)]
    columns += now.columns()
    for name in sorted(view.live):
        columns += _live(view, view.live[name][:, present].astype(np.float64), zone, targets)
    shape = (len(offsets), len(present))
    return Rows(
        features=np.stack([np.broadcast_to(column, shape).ravel() for column in columns], axis=1).astype(np.float32),
        series=np.broadcast_to(present, shape).ravel(),
        target=np.broadcast_to((view.issue + offsets)[:, None], shape).ravel(),
        scale=np.broadcast_to(scale, shape).ravel(),
        anchor={name: (table * scale).ravel() for name, table in now.anchors().items()},
        quantiles=(slots.quantiles() * scale).reshape(7, -1).T,
        capacity=np.broadcast_to(capacity, shape).ravel(),
    )


def _stood_in(scaled: FloatArray, view: View, present: IntArray, zone: IntArray) -> FloatArray:
    """Return values over their scale, where unknown those of the live quantity that stands for them over its own."""
    if not view.stand_in:
        return scaled
    live = view.live[view.stand_in][:, present].astype(np.float64)
    own = live / scale_of(live, zone, np.full(len(zone), np.nan), view.steps_per_day)
    return np.where(np.isnan(scaled), own, scaled)


def _calendar(view: View, targets: Targets) -> list[FloatArray]:
    """Return how far ahead, clock time, weekday and season, shape ``(H, 1)`` each."""
    year = 2.0 * np.pi * (targets.day % _DAYS_PER_YEAR) / _DAYS_PER_YEAR
    ahead, clock = targets.offset * (view.step_s / 3600.0), targets.second / 3600.0
    columns = (ahead, clock, targets.weekday, np.sin(year), np.cos(year))
    return [np.asarray(column, dtype=np.float64)[:, None] for column in columns]


def _seasonal(slots: SameSlot) -> list[FloatArray]:
    """Return statistics of the same clock time, own and of the zone, shape ``(H, S)`` each."""
    own = [slots.of_type(), slots.of_weekday(), slots.recent(3), slots.recent(7), slots.recent(28)]
    own += [slots.active_share(28), *(slots.lag(days) for days in _LAGS), *slots.quantiles()[_TOP]]
    return [*own, slots.of_zone(), slots.zone_lag(1), slots.zone_lag(7)]


def _sizes(scaled: FloatArray, scale: FloatArray, capacity: FloatArray, view: View) -> list[FloatArray]:
    """Return sizes of the series and of its last day, week and month, shape ``(1, S)`` each."""
    day = view.steps_per_day
    last = [_mean(scaled[-days * day :]) for days in (1, 3, 7, 28)]
    known_days = (~np.isnan(scaled)).sum(axis=0) / day
    per_capacity = scale / np.where(capacity > 0.0, capacity, np.nan)
    return [column[None, :] for column in (np.log(scale), per_capacity, known_days, *last)]


class _Now:
    """What the last hours were against what is usual at their clock times.

    Args:
        view: What is known.
        scaled: Values in units of the scale, shape ``(D * P, S)``.
        zone: Zone of every series, shape ``(S,)``.
        slots: The same clock times as the targets'.
    """

    def __init__(self, view: View, scaled: FloatArray, zone: IntArray, slots: SameSlot) -> None:
        per_hour = 3600.0 / view.step_s
        day = view.steps_per_day
        self._steps = [max(round(hours * per_hour), 1) for hours in _RECENT_HOURS]
        self._last = scaled[-1]
        self._before = scaled[-2]
        self._recent = [_mean(scaled[-steps:]) for steps in self._steps]
        blocks = scaled.reshape(view.days, day, -1)[-_USUAL_DAYS - 1 : -1]
        self._usual = [_mean(blocks[:, -steps:].reshape(-1, scaled.shape[1])) for steps in self._steps]
        self._bright = np.nan_to_num(blocks[:, -1]).max(axis=0, initial=0.0)
        self._slots = slots
        self._last_slot = SameSlot(view, _without_last(scaled), zone, Targets.of(view, np.array([-1])))

    def columns(self) -> list[FloatArray]:
        """Return recent values, what they are off the usual, and forecasts that keep it, ``(H, S)`` or ``(1, S)``."""
        flat = [self._last, self._before, *self._recent]
        flat += [recent - usual for recent, usual in zip(self._recent, self._usual, strict=True)]
        # The day before the last value ends a day before the view does.
        kept = [self._last + self._slots.lag(days) - self._last_slot.lag(days + 1) for days in _KEPT_LAGS]
        return [
            *(column[None, :] for column in flat),
            *kept,
            *self.anchors().values(),
            self._slots.highest(_USUAL_DAYS),
        ]

    def anchors(self) -> dict[str, FloatArray]:
        """Return simple forecasts in units of the scale, never NaN, shape ``(H, S)`` each.

        ``profile`` is the usual value; ``shifted`` keeps what the last value is above the usual, ``levelled`` its ratio
        to the largest of the last days at its clock time.
        """
        profile, usual = _middle(self._slots), _middle(self._last_slot)
        drift = np.nan_to_num(self._last - usual)
        ratio = np.divide(
            self._last, self._bright, out=np.full(len(self._last), np.nan), where=self._bright > _LEAST_BRIGHT
        )
        level = np.clip(ratio, 0.0, _MOST_LEVEL)
        of_type = self._slots.of_type()
        levelled = np.where(np.isnan(level), of_type, level * self._slots.highest(_USUAL_DAYS))
        return {"profile": of_type, "shifted": profile + drift, "levelled": levelled}


def _middle(slots: SameSlot) -> FloatArray:
    """Return the usual value between that of the weekday and that of the last week, shape ``(H, S)``."""
    weekday, week = slots.of_weekday(), slots.recent(7)
    return np.asarray(0.5 * weekday + 0.5 * np.where(np.isnan(week), weekday, week))


def _without_last(scaled: FloatArray) -> FloatArray:
    """Return values of which the last is unknown."""
    kept = scaled.copy()
    kept[-1] = np.nan
    return kept


def _live(view: View, values: FloatArray, zone: IntArray, targets: Targets) -> list[FloatArray]:
    """Return what a live quantity is now and usually, in units of its own scale, ``(H, S)`` or ``(1, S)`` each."""
    scaled = values / scale_of(values, zone, np.full(len(zone), np.nan), view.steps_per_day)
    slots = SameSlot(view, scaled, zone, targets)
    day = view.steps_per_day
    per_hour = SECONDS_PER_DAY // 24 // view.step_s
    blocks = scaled.reshape(view.days, day, -1)[-_USUAL_DAYS - 1 : -1]
    steps = max(3 * per_hour, 1)
    recent = _mean(scaled[-steps:])
    usual = _mean(blocks[:, -steps:].reshape(-1, scaled.shape[1]))
    flat = [scaled[-1], recent, recent - usual, _mean(scaled[-day:]), _mean(scaled[-7 * day :])]
    return [*(column[None, :] for column in flat), slots.of_type(), slots.lag(1)]


def _mean(values: FloatArray) -> FloatArray:
    """Return the mean of known values along the first axis, NaN where there are none."""
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.asarray(np.divide(total, number, out=np.full(values.shape[1], np.nan), where=number > 0))
