"""Cohorts: rows forecast together per kW of nameplate, their mean session length and the share of newcomers."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from numerics.arrays import BoolArray, FloatArray, FloatTable, Powers
from numerics.jit import njit

SeriesCode = npt.NDArray[np.int32]
"""Series of every row, -1 for none, shape ``(n,)``."""

IDLE_KW: Final = 0.2
"""Below this a charger is taken to be idle."""
_TRUSTED_STARTS = 20.0
"""Charging starts after which a cohort's own session length counts as much as that of all cohorts."""
_SESSION_STEPS = 6.0
"""Length of a session before any was seen."""
_MOST_OCCUPIED = 0.8
"""Beyond this share of occupied chargers a cohort's newcomers are not pressed into the free ones."""


class ChargingCounts(NamedTuple):
    """Charging seen in every series; changed in place, shape ``(k,)`` each.

    Attributes:
        active: Steps in which a row charged, summed over rows.
        starts: Times a row began to charge.
    """

    active: FloatArray
    starts: FloatArray

    @classmethod
    def empty(cls, count: int) -> "ChargingCounts":
        """Return counts of nothing seen."""
        return cls(np.zeros(count), np.zeros(count))

    def session_steps(self) -> FloatArray:
        """Return the mean length of a charging session in steps, shape ``(k,)``.

        Little's law: the mean number that charge over the rate at which they start; drawn towards the mean of all
        cohorts where few starts were seen.
        """
        starts = float(self.starts.sum())
        mean_of_all = float(self.active.sum()) / starts if starts > 0.0 else _SESSION_STEPS
        return (self.active + _TRUSTED_STARTS * mean_of_all) / (self.starts + _TRUSTED_STARTS)


def widening(of_row: SeriesCode, weight: FloatArray, count: int) -> FloatArray:
    """Return the square root of each series' effective number of rows, 1 for a single row, shape ``(count,)``.

    Args:
        of_row: Series of every row, shape ``(n,)``.
        weight: Share of a series each row counts with, shape ``(n,)``.
        count: Number of series.
    """
    member = of_row >= 0
    whole = np.bincount(of_row[member], weight[member], minlength=count)
    squares = np.bincount(of_row[member], weight[member] ** 2, minlength=count)
    return np.sqrt(np.divide(whole**2, squares, out=np.ones(count), where=squares > 0.0))


def series_means(values: Powers, of_row: SeriesCode, weight: FloatTable, counts: ChargingCounts) -> FloatArray:
    """Return each series' mean power per unit of weight, NaN where nothing was metered, shape ``(k, steps)``.

    Args:
        values: Metered means, NaN where unknown, shape ``(n, steps)``.
        of_row: Series of every row, shape ``(n,)``.
        weight: Nameplate of every row, shape ``(n,)``.
        counts: Increased by the charging that is seen.
    """
    shape = (len(counts.active), values.shape[1])
    power, known = np.zeros(shape), np.zeros(shape)
    _gather(values, of_row, weight, power, known, counts.active, counts.starts)
    return np.divide(power, known, out=np.full_like(power, np.nan), where=known > 0.0)


def occupied_share(
    of_row: SeriesCode,
    promised: BoolArray,
    departure_s: FloatArray,
    *,
    clock: tuple[float, float],
    shape: tuple[int, int],
) -> FloatArray:
    """Return the share of each series' rows whose promised car is still plugged in, of ``shape``.

    Args:
        of_row: Series of every row, shape ``(n,)``.
        promised: Rows with a promised car, shape ``(n,)``.
        departure_s: Epoch seconds of its departure, shape ``(n,)``.
        clock: Epoch seconds of the first step and length of a step in seconds.
        shape: Number of series, and of steps.
    """
    (count, steps), (start_s, step_s) = shape, clock
    cars = np.flatnonzero(promised & (of_row >= 0))
    stays = np.ceil((departure_s[cars] - start_s) / step_s)
    last = np.clip(stays, 0, steps).astype(np.int64)
    width = steps + 1
    leaving = np.bincount(of_row[cars] * np.int64(width) + last, minlength=count * width)
    there = leaving.reshape(count, width)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    size = np.bincount(of_row[of_row >= 0], minlength=count)
    return np.asarray(there / np.maximum(size, 1)[:, None])


def newcomers(mean: FloatTable, session_steps: FloatArray, occupied: FloatArray) -> FloatArray:
    """Return what sessions that begin later add to each cohort, per free charger, shape ``(k, count)``.

    A cohort's load at a later step is that of sessions running now, which fade with their length and are known car by
    car, and of newcomers, which take the chargers that are free by then.

    Args:
        mean: Usual load of the cohorts, shape ``(k, count)``.
        session_steps: Mean length of a session, shape ``(k,)``.
        occupied: Share of chargers whose promised car is still there, shape ``(k, count)``.
    """
    fading = np.exp(-np.arange(mean.shape[1]) / np.maximum(session_steps[:, None], 1.0))
    running = np.clip(mean[:, :1], 0.0, None) * fading
    free = 1.0 - np.minimum(occupied, _MOST_OCCUPIED)
    return np.asarray(np.maximum(mean - running, 0.0) / free)


@njit()
def _gather(  # noqa: PLR0917 - a kernel takes arguments by position
    values: Powers,
    of_row: SeriesCode,
    weight: FloatTable,
    power: FloatArray,
    known: FloatArray,
    active: FloatArray,
    starts: FloatArray,
) -> None:
    """Sum known power and its nameplate by series and step; count active steps and charging starts."""
    for row in range(values.shape[0]):
        k = of_row[row]
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
