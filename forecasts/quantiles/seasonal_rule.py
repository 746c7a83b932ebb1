"""Seasonal rule as a forecaster: quantiles of the same clock time on days of the same type; the champion."""

from collections.abc import Sequence

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.features import rows_of
from forecasts.quantiles.forecaster import Question
from forecasts.quantiles.levels import Forecasts, proper
from numerics.arrays import IntArray


class SeasonalRule:
    """Mean and quantiles of the same clock time on days of the same type; has nothing to learn.

    Args:
        history_days: Days of history it looks at.
        lower: Least possible value.
        per_capacity: Largest possible value per unit of capacity.
    """

    def __init__(self, *, history_days: int, lower: float, per_capacity: float) -> None:
        self.history_days = history_days
        self._lower, self._per_capacity = lower, per_capacity

    def fit(self, panel: Panel, asked: Sequence[tuple[int, IntArray]]) -> None:
        """Do nothing: the rule reads its view alone."""

    def forecast(self, questions: Sequence[Question]) -> Forecasts:
        """Answer questions, each from its own view alone."""
        parts = []
        for question in questions:
            rows = rows_of(question.view, question.offsets)
            upper = self._per_capacity * rows.capacity
            mean, quantiles = proper(rows.anchor["profile"], rows.quantiles, self._lower, upper)
            parts.append(
                Forecasts(
                    series=rows.series,
                    issue=np.full(len(mean), question.view.issue),
                    target=rows.target,
                    mean=mean,
                    quantiles=quantiles,
                    upper=upper,
                )
            )
        return Forecasts.joined(parts)
