"""The metered past as series a forecast can be made from, kept up to date a quarter of an hour at a time.

Buildings and plants have days of their own and are followed row by row. Which charger has a car is decided by few
people, so chargers of a large fleet are followed as cohorts behind their transformer, photovoltaics as one sky per
area, both per kW of nameplate. A city of 276,000 rows is some 18,000 series.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from numerics.sums import Powers
from optimizer.problem.validation import FloatArray, IntArray
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_DAY, STEP_S, STEPS_PER_DAY
from vpp.ports import IntervalMeter

FloatTable = npt.NDArray[np.float32]

ONE_BY_ONE_ROWS = 20_000
"""Fleets up to this size are followed row by row altogether."""
IDLE_KW = 0.2
"""Below this a charger is taken to be idle."""
_AGAIN = 8
"""Steps that are read again: meters may be late."""
_TRUSTED_STARTS = 20.0
"""Charging starts after which a cohort's own session length counts as much as everybody's."""
_SESSION_STEPS = 6.0
"""Length of a session before any was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Who belongs to which series.

    Attributes:
        of_row: Series of every row, -1 for storage, which is planned, shape ``(n_resources,)``.
        weight: What a series' value is multiplied by for a row: its nameplate in a cohort, else 1.
        single: Rows of the first series, one each.
        group: Class of every series, shape ``(k,)``.
        chargers: Which series are cohorts of chargers, shape ``(k,)``.
        widening: Square root of a cohort's effective number of rows, 1 for single rows: rows of a cohort err together,
            so each is given that much more spread than its share, shape ``(k,)``.
    """

    of_row: npt.NDArray[np.int32]
    weight: FloatTable
    single: IntArray
    group: IntArray
    chargers: BoolArray
    widening: FloatArray

    def __len__(self) -> int:
        return len(self.group)

    @classmethod
    def of(cls, index: FleetIndex) -> "Series":
        """Return the series of a fleet."""
        n = len(index)
        planned = index.is_class(ResourceClass.STORAGE)
        steady = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        alone = ~planned & (steady if n > ONE_BY_ONE_ROWS else np.ones(n, dtype=np.bool_))
        together = ~planned & ~alone
        single = np.flatnonzero(alone)
        place = np.where(index.is_class(ResourceClass.PV), index.area_code, index.transformer_code).astype(np.int64)
        key = place * 256 + index.class_code
        keys, cohort = np.unique(key[together], return_inverse=True)
        of_row = np.full(n, -1, dtype=np.int32)
        of_row[single] = np.arange(len(single))
        of_row[together] = len(single) + cohort
        nameplate = np.maximum(index.p_max_kw, -index.p_min_kw)
        weight = np.where(together, nameplate, 1.0)
        group = np.concatenate([index.class_code[single].astype(np.int64), keys % 256])
        charging = np.isin(group, np.unique(index.class_code[index.is_class(*CHARGING)]))
        charging[: len(single)] = False
        return cls(
            of_row=of_row,
            weight=weight.astype(np.float32),
            single=single,
            group=group,
            chargers=charging,
            widening=_widening(of_row, weight, len(group)),
        )


def _widening(of_row: npt.NDArray[np.int32], weight: FloatArray, count: int) -> FloatArray:
    member = of_row >= 0
    whole = np.bincount(of_row[member], weight[member], minlength=count)
    squares = np.bincount(of_row[member], weight[member] ** 2, minlength=count)
    return np.sqrt(np.divide(whole**2, squares, out=np.ones(count), where=squares > 0.0))


class LoadHistory:
    """The last days of every series; a block of a day is read when it is first asked for, later only what is new.

    Args:
        days: Whole days that are kept.
    """

    def __init__(self, *, days: int = 14) -> None:
        self.days = days
        self._index: FleetIndex | None = None
        self._series: Series | None = None
        self._end_s = float("-inf")
        self._table: FloatTable = np.zeros((0, 0), dtype=np.float32)
        self._active = np.zeros(0)
        self._starts = np.zeros(0)

    def forget(self) -> None:
        """Read everything again next time: meters were imported."""
        self._end_s = float("-inf")

    def series(self, index: FleetIndex) -> Series:
        """Return who belongs to which series."""
        if self._series is None or self._index is not index:
            self._index, self._series = index, Series.of(index)
            self.forget()
        return self._series

    def read(self, index: FleetIndex, meter: IntervalMeter, end_s: float) -> FloatTable:
        """Return the means of every series until ``end_s``, NaN where unknown, shape ``(k, days * 96)``.

        Args:
            index: The fleet.
            meter: Its meter.
            end_s: Epoch seconds, a multiple of a quarter of an hour.
        """
        series, width = self.series(index), self.days * STEPS_PER_DAY
        new = round((end_s - self._end_s) / STEP_S) if np.isfinite(self._end_s) else width
        if not 0 <= new <= width // 2:
            new = width
            self._table = np.full((len(series), width), np.nan, dtype=np.float32)
            self._active, self._starts = np.zeros(len(series)), np.zeros(len(series))
        elif new:
            self._table[:, :-new] = self._table[:, new:]
        self._fill(series, meter, end_s, first=max(width - new - _AGAIN, 0))
        self._end_s = end_s
        return self._table

    def session_steps(self) -> FloatArray:
        """Return how long a session charges in each cohort of chargers, in steps, shape ``(k,)``.

        Little's law: the mean number that charge over the rate at which they start; drawn towards all cohorts' mean
        where few starts were seen.
        """
        starts = float(self._starts.sum())
        everybody = float(self._active.sum()) / starts if starts > 0.0 else _SESSION_STEPS
        return (self._active + _TRUSTED_STARTS * everybody) / (self._starts + _TRUSTED_STARTS)

    def _fill(self, series: Series, meter: IntervalMeter, end_s: float, *, first: int) -> None:
        width = self._table.shape[1]
        begin_s = end_s - self.days * SECONDS_PER_DAY
        for step in range(first, width, STEPS_PER_DAY):
            count = min(STEPS_PER_DAY, width - step)
            values = meter.read(TimeGrid(start_at=instant(begin_s + step * STEP_S), count=count))
            self._table[: len(series.single), step : step + count] = values[series.single]
            if len(series) > len(series.single):
                self._table[len(series.single) :, step : step + count] = self._cohorts(series, values)

    def _cohorts(self, series: Series, values: FloatArray) -> FloatArray:
        """Return the mean of each cohort per kW of what was metered, shape ``(cohorts, steps)``."""
        shape = (len(series), values.shape[1])
        power, known = np.zeros(shape), np.zeros(shape)
        _gather(values, series.of_row, series.weight, power, known, self._active, self._starts)
        cohorts = slice(len(series.single), None)
        return np.divide(
            power[cohorts], known[cohorts], out=np.full_like(power[cohorts], np.nan), where=known[cohorts] > 0.0
        )


@njit()
def _gather(  # noqa: PLR0917 - a kernel takes arguments by position
    values: Powers,
    series: npt.NDArray[np.int32],
    weight: FloatTable,
    power: FloatArray,
    known: FloatArray,
    active: FloatArray,
    starts: FloatArray,
) -> None:
    """Sum known power and its nameplate by series and step; count active steps and charging starts."""
    for row in range(values.shape[0]):
        k = series[row]
        if k < 0:
            continue
        before = True
        for t in range(values.shape[1]):
            value = values[row, t]
            if np.isnan(value):
                before = True
                continue
            power[k, t] += value
            known[k, t] += weight[row]
            busy = value > IDLE_KW
            if busy:
                active[k] += 1.0
                if not before:
                    starts[k] += 1.0
            before = busy
