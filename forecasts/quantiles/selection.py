"""Champion and challenger: whose forecast of a series is used, by the losses of both over a rolling window."""

from typing import Final

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.levels import Forecasts, pinball
from numerics.arrays import FloatArray, IntArray

_SHARES: Final = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
"""Shares of the challenger that compete; both ends are one of the two alone."""
_FIRST_SHARE: Final = 0.75
"""Before anything is known of a series."""
_PRIOR_DAYS: Final = 7.0
"""Days of a series' own losses that count as much as those of all series."""
_BAND_EDGES_H: Final = np.array([1.0, 4.0, 12.0])
"""Hours ahead at which another band of horizons begins: what decides an hour ahead says little of tomorrow."""
_LEAST: Final = 1e-12
BANDS: Final = len(_BAND_EDGES_H) + 1


class Selection:
    """Shares of the challenger in each series' forecast; judged by truths that were known at the time.

    Quantiles of both are averaged level by level (Lichtendahl, Grushka-Cockayne & Winkler 2013). Quantiles are judged
    by their pinball loss, the mean by its square.

    Args:
        step_s: Length of a step.
        window_days: Days of forecasts that are compared.
    """

    def __init__(self, *, step_s: int, window_days: int = 56) -> None:
        self._step_s = step_s
        self._window_days = window_days
        self._asked: list[tuple[Forecasts, Forecasts]] = []

    def remember(self, champion: Forecasts, challenger: Forecasts) -> None:
        """Keep what both said to the same questions, row by row."""
        self._asked.append((champion, challenger))

    def shares(self, panel: Panel) -> FloatArray:
        """Return the challenger's share of quantiles and of the mean for a panel that ends now, ``(2, S, BANDS)``."""
        now = len(panel.value)
        oldest = now - self._window_days * panel.steps_per_day
        self._asked = [pair for pair in self._asked if pair[0].issue.max(initial=-1) >= oldest]
        cells = len(panel.series) * BANDS
        loss, number = np.zeros((2, len(_SHARES), cells)), np.zeros(cells)
        for champion, challenger in self._asked:
            known = np.flatnonzero(champion.target < now)
            truth = panel.value[champion.target[known], champion.series[known]].astype(np.float64)
            known, truth = known[~np.isnan(truth)], truth[~np.isnan(truth)]
            cell = champion.series[known] * BANDS + band_of(champion, self._step_s)[known]
            number += np.bincount(cell, minlength=cells)
            for place, share in enumerate(_SHARES):
                quantiles = share * challenger.quantiles[known] + (1.0 - share) * champion.quantiles[known]
                mean = share * challenger.mean[known] + (1.0 - share) * champion.mean[known]
                loss[0, place] += np.bincount(cell, pinball(truth, quantiles), minlength=cells)
                loss[1, place] += np.bincount(cell, (truth - mean) ** 2, minlength=cells)
        day = panel.steps_per_day
        return np.stack([least_loss(each, number, _SHARES, _FIRST_SHARE, day).reshape(-1, BANDS) for each in loss])

    def blended(self, champion: Forecasts, challenger: Forecasts, shares: FloatArray) -> Forecasts:
        """Return the forecast that is used, for the same questions row by row.

        Args:
            champion: Forecasts of the rule.
            challenger: Forecasts of the model.
            shares: See ``shares``, shape ``(2, S, BANDS)``.
        """
        quantile_share, mean_share = shares[:, champion.series, band_of(champion, self._step_s)]
        spread = quantile_share[:, None]
        return Forecasts(
            series=champion.series,
            issue=champion.issue,
            target=champion.target,
            mean=mean_share * challenger.mean + (1.0 - mean_share) * champion.mean,
            quantiles=spread * challenger.quantiles + (1.0 - spread) * champion.quantiles,
            upper=champion.upper,
        )


def band_of(asked: Forecasts, step_s: int) -> IntArray:
    """Return the band of horizons of every row, below ``BANDS``, shape ``(n,)``."""
    ahead_h = (asked.target - asked.issue) * (step_s / 3600.0)
    return np.searchsorted(_BAND_EDGES_H, ahead_h, side="right").astype(np.int64)


def least_loss(
    loss: FloatArray, number: FloatArray, choices: FloatArray, unknown: float, steps_per_day: int
) -> FloatArray:
    """Return the choice of least loss for every series and band, its losses drawn to those of all series of the band.

    Args:
        loss: Summed losses by choice, series and band, shape ``(k, S * BANDS)``.
        number: Rows they were summed over, shape ``(S * BANDS,)``.
        choices: What competes, shape ``(k,)``.
        unknown: What is taken where nothing is known of a band.
        steps_per_day: Steps of one day.

    Returns:
        Shape ``(S * BANDS,)``.
    """
    # Losses are compared relative to the mean of the choices, for series differ in size.
    own = loss / np.maximum(loss.mean(axis=0), _LEAST)
    by_band = loss.reshape(len(choices), -1, BANDS).sum(axis=1)
    pooled = np.tile(by_band / np.maximum(by_band.mean(axis=0), _LEAST), (1, loss.shape[1] // BANDS))
    weight = number / (number + _PRIOR_DAYS * steps_per_day / BANDS)
    seen = weight * own + (1.0 - weight) * pooled
    return np.where(pooled.max(axis=0) > 0.0, choices[np.argmin(seen, axis=0)], unknown)
