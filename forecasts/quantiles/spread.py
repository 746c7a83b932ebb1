"""Spread of quantiles about their median, widened by how they held of late.

Trees learn on past days and are a little too sure of coming ones. The factor that would have lost least is taken,
series by series and by how far ahead.
"""

from typing import Final

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.levels import LEVELS, Forecasts, pinball
from forecasts.quantiles.selection import BANDS, band_of, least_loss
from numerics.arrays import FloatArray

_FACTORS: Final = np.array([1.0, 1.15, 1.3, 1.5, 1.75, 2.0])
"""Factors that compete; the first is taken where nothing is known."""
_MEDIAN: Final = LEVELS.index(0.5)


class Spread:
    """Factor on the distance of the quantiles from the median; judged by truths that were known at the time.

    Args:
        step_s: Length of a step.
        window_days: Days of forecasts that are looked at.
    """

    def __init__(self, *, step_s: int, window_days: int = 56) -> None:
        self._step_s = step_s
        self._window_days = window_days
        self._asked: list[Forecasts] = []

    def remember(self, said: Forecasts) -> None:
        """Keep what was said before its spread was changed."""
        self._asked.append(said)

    def factors(self, panel: Panel) -> FloatArray:
        """Return the factor for each series and band of a panel that ends now, shape ``(S, BANDS)``."""
        now = len(panel.value)
        oldest = now - self._window_days * panel.steps_per_day
        self._asked = [said for said in self._asked if said.issue.max(initial=-1) >= oldest]
        cells = len(panel.series) * BANDS
        loss, number = np.zeros((len(_FACTORS), cells)), np.zeros(cells)
        for said in self._asked:
            known = np.flatnonzero(said.target < now)
            truth = panel.value[said.target[known], said.series[known]].astype(np.float64)
            known, truth = known[~np.isnan(truth)], truth[~np.isnan(truth)]
            cell = said.series[known] * BANDS + band_of(said, self._step_s)[known]
            number += np.bincount(cell, minlength=cells)
            for place, factor in enumerate(_FACTORS):
                quantiles = _spread(said.quantiles[known], np.full(len(known), factor))
                loss[place] += np.bincount(cell, pinball(truth, quantiles), minlength=cells)
        return least_loss(loss, number, _FACTORS, _FACTORS[0], panel.steps_per_day).reshape(-1, BANDS)

    def applied(self, said: Forecasts, factors: FloatArray, lower: float) -> Forecasts:
        """Return forecasts with another spread, within their bounds.

        Args:
            said: Forecasts.
            factors: See ``factors``, shape ``(S, BANDS)``.
            lower: Least possible value.
        """
        wide = _spread(said.quantiles, factors[said.series, band_of(said, self._step_s)])
        upper = np.where(np.isnan(said.upper), np.inf, said.upper)
        return said.with_quantiles(np.clip(wide, lower, np.maximum(upper, lower)[:, None]))


def _spread(quantiles: FloatArray, factor: FloatArray) -> FloatArray:
    """Return quantiles at a multiple of their distance from the median, shape ``(n, 7)``."""
    middle = quantiles[:, _MEDIAN, None]
    return np.asarray(middle + factor[:, None] * (quantiles - middle))
