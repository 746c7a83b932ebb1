"""Champion and challenger: whose forecast of a series is used, by the losses of both over a rolling window."""

from typing import Final

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.levels import Forecasts, pinball
from numerics.arrays import FloatArray, IntArray

_SHARES: Final = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
"""Shares of the challenger that compete; both ends are one of the two alone."""
_FIRST_SHARE: Final = 2
"""Before anything is known of a series both count half."""
_PRIOR_DAYS: Final = 7.0
"""Days of a series' own losses that count as much as those of all series."""


class Selection:
    """Share of the challenger in each series' forecast; judged by truths that were known at the time.

    Quantiles of both are averaged level by level (Lichtendahl, Grushka-Cockayne & Winkler 2013).

    Args:
        window_days: Days of forecasts that are compared.
    """

    def __init__(self, *, window_days: int = 56) -> None:
        self._window_days = window_days
        self._asked: list[tuple[Forecasts, Forecasts]] = []

    def remember(self, champion: Forecasts, challenger: Forecasts) -> None:
        """Keep what both said to the same questions, row by row."""
        self._asked.append((champion, challenger))

    def shares(self, panel: Panel) -> FloatArray:
        """Return the challenger's share for each series of a panel that ends now, shape ``(S,)``."""
        count, now = len(panel.series), len(panel.value)
        oldest = now - self._window_days * panel.steps_per_day
        self._asked = [pair for pair in self._asked if pair[0].issue.max(initial=-1) >= oldest]
        loss, number = np.zeros((len(_SHARES), count)), np.zeros(count)
        for champion, challenger in self._asked:
            known = np.flatnonzero(champion.target < now)
            truth = panel.value[champion.target[known], champion.series[known]].astype(np.float64)
            known, truth = known[~np.isnan(truth)], truth[~np.isnan(truth)]
            series = champion.series[known]
            number += np.bincount(series, minlength=count)
            for place, share in enumerate(_SHARES):
                both = share * challenger.quantiles[known] + (1.0 - share) * champion.quantiles[known]
                loss[place] += np.bincount(series, pinball(truth, both), minlength=count)
        return _best(loss, number, panel.steps_per_day * _PRIOR_DAYS)

    @staticmethod
    def blended(champion: Forecasts, challenger: Forecasts, shares: FloatArray) -> Forecasts:
        """Return the forecast that is used, for the same questions row by row.

        Args:
            champion: Forecasts of the rule.
            challenger: Forecasts of the model.
            shares: Its share by series, shape ``(S,)``.
        """
        share = shares[champion.series]
        return Forecasts(
            series=champion.series,
            issue=champion.issue,
            target=champion.target,
            mean=share * challenger.mean + (1.0 - share) * champion.mean,
            quantiles=share[:, None] * challenger.quantiles + (1.0 - share[:, None]) * champion.quantiles,
        )


def _best(loss: FloatArray, number: FloatArray, prior_rows: float) -> FloatArray:
    """Return the share of least loss for every series, its own losses drawn to those of all, shape ``(S,)``."""
    total = float(number.sum())
    if total == 0.0:
        return np.full(loss.shape[1], _SHARES[_FIRST_SHARE])
    # Losses are compared relative to the mean of the shares, for series differ in size.
    own = loss / np.maximum(loss.mean(axis=0), 1e-12)
    pooled = loss.sum(axis=1) / max(float(loss.sum(axis=1).mean()), 1e-12)
    weight = number / (number + prior_rows)
    seen: FloatArray = weight * own + (1.0 - weight) * pooled[:, None]
    place: IntArray = np.argmin(seen, axis=0)
    return np.asarray(_SHARES[place])
