"""Statistics of the same clock time on earlier days: the seasonal part of every forecast, pooled where data are few."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasts.panel.panel import SECONDS_PER_DAY, View
from forecasts.quantiles.levels import LEVELS
from numerics.arrays import BoolArray, FloatArray, IntArray

_PRIOR_DAYS: Final = 3.0
"""Days of own history that count as much as the pooled profile."""
_HALF_LIFE_DAYS: Final = 12.0
_WEEKDAY_OF_EPOCH: Final = 3
"""1 January 1970 was a Thursday."""
_SATURDAY: Final = 5
LEAST_SCALE: Final = 1e-6
"""Scale where no size is known, so that it can be divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Steps ahead of an issue; ``H`` of them.

    Attributes:
        offset: Steps from the issue to the start of each, 0 for the step that begins with it, shape ``(H,)``.
        slot: Clock time counted from the issue's, modulo a day, shape ``(H,)``.
        day: Days since 1 January 1970, shape ``(H,)``.
        second: Second of the day, shape ``(H,)``.
    """

    offset: IntArray
    slot: IntArray
    day: IntArray
    second: IntArray

    @classmethod
    def of(cls, view: View, offsets: IntArray) -> "Targets":
        """Return the targets of a view's issue."""
        at_s = view.end_s + offsets * view.step_s
        return cls(
            offset=offsets,
            slot=offsets % view.steps_per_day,
            day=at_s // SECONDS_PER_DAY,
            second=at_s % SECONDS_PER_DAY,
        )

    @property
    def weekday(self) -> IntArray:
        """Monday 0 to Sunday 6."""
        return np.asarray((self.day + _WEEKDAY_OF_EPOCH) % 7)


def scale_of(values: FloatArray, zone: IntArray, capacity: FloatArray, steps_per_day: int) -> FloatArray:
    """Return the usual size of every series, drawn to that of its zone per capacity where data are few, shape ``(S,)``.

    Args:
        values: Known values, NaN elsewhere, shape ``(T, S)``.
        zone: Zone of each series, shape ``(S,)``.
        capacity: Capacity of each, NaN where unknown, shape ``(S,)``.
        steps_per_day: Steps of one day.
    """
    known = ~np.isnan(values)
    total = np.where(known, np.abs(values), 0.0).sum(axis=0)
    number = known.sum(axis=0).astype(np.float64)
    size = np.where(capacity > 0.0, capacity, 1.0)
    codes = int(zone.max()) + 1 if len(zone) else 0
    pooled = np.bincount(zone, total, minlength=codes)
    exposure = np.bincount(zone, number * size, minlength=codes)
    usual = float(total.sum()) / max(float((number * size).sum()), 1.0)
    per_capacity = (pooled + usual * steps_per_day) / (exposure + steps_per_day)
    prior = _PRIOR_DAYS * steps_per_day
    return np.asarray(np.maximum((total + prior * per_capacity[zone] * size) / (number + prior), LEAST_SCALE))


class SameSlot:
    """Earlier days at the clock times of the targets, in units of each series' scale.

    Args:
        view: What is known.
        values: Its values over the scale of every series, NaN where unknown, shape ``(D * P, S)``.
        zone: Zone of every series of ``values``, shape ``(S,)``.
        targets: Steps wanted.
    """

    def __init__(self, view: View, values: FloatArray, zone: IntArray, targets: Targets) -> None:
        days = view.days
        self._zone = zone
        self._blocks = values.reshape(days, view.steps_per_day, -1)[:, targets.slot]
        self._known = ~np.isnan(self._blocks)
        self._filled = np.where(self._known, self._blocks, 0.0)
        started = view.end_s - (days - np.arange(days)[:, None]) * SECONDS_PER_DAY + targets.slot[None, :] * view.step_s
        weekday = (started // SECONDS_PER_DAY + _WEEKDAY_OF_EPOCH) % 7
        self._same_type = (weekday >= _SATURDAY) == (targets.weekday >= _SATURDAY)[None, :]
        self._same_weekday = weekday == targets.weekday[None, :]
        self._age = np.arange(days)[::-1].astype(np.float64)

    def lag(self, days: int) -> FloatArray:
        """Return the value so many days before the first day ahead, NaN where unknown, shape ``(H, S)``."""
        if days > len(self._blocks):
            return np.full(self._blocks.shape[1:], np.nan)
        return np.asarray(self._blocks[-days])

    def recent(self, days: int) -> FloatArray:
        """Return the mean of the last days of any type, NaN where none is known, shape ``(H, S)``."""
        return _ratio(self._filled[-days:].sum(axis=0), self._known[-days:].sum(axis=0))

    def highest(self, days: int) -> FloatArray:
        """Return the largest value of the last days, 0 where none is known, shape ``(H, S)``."""
        return np.asarray(self._filled[-days:].max(axis=0, initial=0.0))

    def active_share(self, days: int) -> FloatArray:
        """Return the share of the last days that was not zero, NaN where none is known, shape ``(H, S)``."""
        return _ratio((self._filled[-days:] > 0.0).sum(axis=0), self._known[-days:].sum(axis=0))

    def of_weekday(self) -> FloatArray:
        """Return the mean of the same weekday, drawn to the mean of the same type, shape ``(H, S)``."""
        total, number = self._weighted(self._same_weekday.astype(np.float64))
        return np.asarray((total + self.of_type()) / (number + 1.0))

    def of_type(self) -> FloatArray:
        """Return the mean of days of the same type, later days counting more, drawn to the zone's, shape ``(H, S)``."""
        total, number = self._weighted(self._same_type * (0.5 ** (self._age / _HALF_LIFE_DAYS))[:, None])
        return np.asarray((total + _PRIOR_DAYS * self.of_zone()) / (number + _PRIOR_DAYS))

    def of_zone(self) -> FloatArray:
        """Return the pooled mean of the zone on days of the same type, of all zones where it has none, ``(H, S)``."""
        total, number = self._weighted(self._same_type.astype(np.float64))
        everywhere = np.nan_to_num(_ratio(total.sum(axis=1), number.sum(axis=1)), nan=0.0)
        pooled, count = self._by_zone(total), self._by_zone(number)
        return np.asarray((pooled + everywhere[:, None]) / (count + 1.0))

    def zone_lag(self, days: int) -> FloatArray:
        """Return the zone's mean so many days before, NaN where unknown, shape ``(H, S)``."""
        if days > len(self._blocks):
            return np.full(self._blocks.shape[1:], np.nan)
        return _ratio(self._by_zone(self._filled[-days]), self._by_zone(self._known[-days].astype(np.float64)))

    def quantiles(self) -> FloatArray:
        """Return quantiles of days of the same type at ``LEVELS``, drawn to the zone's, shape ``(7, H, S)``."""
        like = self._known & self._same_type[:, :, None]
        own, number = _sorted_quantiles(np.where(like, self._blocks, np.nan))
        pooled = np.empty_like(own)
        for code in np.unique(self._zone):
            members = np.flatnonzero(self._zone == code)
            sample = np.where(like[:, :, members], self._blocks[:, :, members], np.nan)
            flat = np.moveaxis(sample, 2, 1).reshape(-1, sample.shape[1], 1)
            pooled[:, :, members] = _sorted_quantiles(flat)[0]
        pooled = np.where(np.isnan(pooled), self.of_zone()[None], pooled)
        share = number / (number + _PRIOR_DAYS)
        return np.asarray(share * np.nan_to_num(own) + (1.0 - share) * pooled)

    def _weighted(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return weighted sums of values and the sums of weights over the days, shape ``(H, S)`` each."""
        total = np.einsum("dh,dhs->hs", weight, self._filled)
        return total, np.einsum("dh,dhs->hs", weight, self._known.astype(np.float64))

    def _by_zone(self, table: FloatArray) -> FloatArray:
        """Return the sums over the zone of every series, shape ``(H, S)``."""
        member: BoolArray = self._zone[:, None] == np.arange(int(self._zone.max()) + 1)
        return np.asarray((table @ member)[:, self._zone])


def _ratio(total: FloatArray, number: FloatArray | IntArray) -> FloatArray:
    """Return a mean, NaN where nothing was counted."""
    return np.asarray(np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0))


def _sorted_quantiles(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles of known values along the first axis and their number; NaN where there are none."""
    ordered = np.sort(sample, axis=0)
    number = (~np.isnan(sample)).sum(axis=0)
    place = np.asarray(LEVELS)[:, None, None] * np.maximum(number - 1, 0)[None]
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(number - 1, 0)[None])
    low, high = np.take_along_axis(ordered, below, axis=0), np.take_along_axis(ordered, above, axis=0)
    return np.asarray(low + (place - below) * (high - low)), number.astype(np.float64)
