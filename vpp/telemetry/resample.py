"""Interval means of a model's curve, known at every instant; samples of meters go through `metering`."""

import numpy as np

from numerics.mean_power import hold, mean_kw
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S


class IntervalMeans:
    """Time-weighted mean of a model's power of every row over the running 15-minute interval, last value held.

    ``update`` is given a snapshot of the powers at rising instants; whenever an interval ends it yields the means.
    """

    def __init__(self, count: int, start_s: float, *, step_s: int = STEP_S) -> None:
        self._step_s = step_s
        self._interval_s = floor_s(start_s, step_s)
        self._at_s = start_s
        self._power_kw = np.full(count, np.nan)
        self._energy_kws = np.zeros(count)
        self._known_s = np.zeros(count)

    def resize(self, count: int) -> None:
        """Make room for rows that joined; they begin unknown."""
        more = count - len(self._power_kw)
        self._power_kw = np.append(self._power_kw, np.full(more, np.nan))
        self._energy_kws = np.append(self._energy_kws, np.zeros(more))
        self._known_s = np.append(self._known_s, np.zeros(more))

    def update(self, at_s: float, power_kw: FloatArray) -> list[tuple[float, FloatArray, FloatArray]]:
        """Take the powers that hold from ``at_s`` on.

        Args:
            at_s: Epoch seconds, not before the last call's.
            power_kw: Net power, NaN where unknown or not to be trusted, shape ``(n,)``.

        Returns:
            For every interval that ended: its start, the means (NaN where nothing was known) and the known share.
        """
        ended = []
        while at_s >= self._interval_s + self._step_s:
            self._accumulate(self._interval_s + self._step_s)
            ended.append((self._interval_s, *self._close()))
        self._accumulate(at_s)
        self._power_kw = power_kw.copy()
        return ended

    def _accumulate(self, until_s: float) -> None:
        hold(self._power_kw, self._energy_kws, self._known_s, until_s - self._at_s)
        self._at_s = until_s

    def _close(self) -> tuple[FloatArray, FloatArray]:
        means = mean_kw(self._energy_kws, self._known_s)
        share = self._known_s / self._step_s
        self._energy_kws = np.zeros_like(self._energy_kws)
        self._known_s = np.zeros_like(self._known_s)
        self._interval_s += self._step_s
        return means, share
