"""Boosted trees as a forecaster: one global scale-free model per quantile and one for the mean; the challenger.

LightGBM (Ke et al. 2017), direct over all horizons, with the horizon as a feature (Ben Taieb & Hyndman 2014).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np

from forecasts.panel.panel import Panel, PanelError
from forecasts.quantiles.features import Rows, rows_of
from forecasts.quantiles.forecaster import Question
from forecasts.quantiles.levels import LEVELS, Forecasts, proper
from forecasts.quantiles.same_slot import LEAST_SCALE
from numerics.arrays import FloatArray, FloatTable, IntArray

_SEED: Final = 1
_LEAST_ROWS: Final = 200
_PARAMETERS: Final = {
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": _SEED,
    "max_bin": 63,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}
_ROWS_OF_TWO_THREADS: Final = 200_000
_MOST_WEIGHT: Final = 50.0
"""A series counts at most so many times as much as the middle one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedOptions:
    """Choices for one target.

    Attributes:
        history_days: Days of history behind the features.
        lower: Least possible value, -inf where there is none.
        per_capacity: Largest possible value per unit of capacity.
        anchor: Simple forecast whose error the trees of quantiles learn: ``zero``, ``profile``, ``shifted`` or
            ``levelled``. Where the value is often exactly zero, only ``zero`` keeps it so.
        mean_anchor: The same for the mean.
        rounds: Trees of each model.
        leaves: Leaves of each tree.
        rate: Learning rate.
        most_rows: Rows learnt from, drawn from all.
    """

    history_days: int = 56
    lower: float = 0.0
    per_capacity: float = 1.0
    anchor: str = "zero"
    mean_anchor: str = "zero"
    rounds: int = 100
    leaves: int = 31
    rate: float = 0.08
    most_rows: int = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """Rows to learn from, in units of the scale, shape ``(n, F)`` and ``(n,)``."""

    features: FloatTable
    error: FloatArray
    mean_error: FloatArray
    scale: FloatArray


class BoostedTrees:
    """Challenger; until it has seen enough it answers with the seasonal quantiles.

    Args:
        options: Choices for the target.
    """

    def __init__(self, options: BoostedOptions) -> None:
        self._options = options
        self._models: list[Any] = []

    @property
    def history_days(self) -> int:
        """Days of history that the views of its questions shall have."""
        return self._options.history_days

    def fit(self, panel: Panel, asked: Sequence[tuple[int, IntArray]]) -> None:
        """Learn from a panel that ends now; the same panel always gives the same model."""
        lesson = self._lesson(panel, asked)
        if len(lesson.error) < _LEAST_ROWS:
            return
        typical = float(np.median(lesson.scale))
        weight = np.clip(lesson.scale / typical, 1.0 / _MOST_WEIGHT, _MOST_WEIGHT)
        learner = _lightgbm()
        common = _PARAMETERS | {
            "num_threads": _threads(len(lesson.error)),
            "num_leaves": self._options.leaves,
            "learning_rate": self._options.rate,
            "min_data_in_leaf": int(np.clip(len(lesson.error) // 500, 20, 200)),
        }
        # All eight models share one binned table.
        table = learner.Dataset(
            lesson.features, label=lesson.error, weight=weight, params=common, free_raw_data=False
        ).construct()
        rounds = self._options.rounds
        self._models = [
            learner.train(common | {"objective": "quantile", "alpha": level}, table, rounds) for level in LEVELS
        ]
        table.set_label(lesson.mean_error)
        self._models.append(learner.train(common | {"objective": "regression"}, table, rounds))

    def forecast(self, questions: Sequence[Question]) -> Forecasts:
        """Answer questions, each from its own view alone."""
        found = [rows_of(question.view, question.offsets) for question in questions]
        issues = [
            np.full(len(rows.series), question.view.issue) for question, rows in zip(questions, found, strict=True)
        ]
        if not found:
            return Forecasts.joined([])
        mean, quantiles = self._predicted(found)
        upper = self._options.per_capacity * np.concatenate([rows.capacity for rows in found])
        mean, quantiles = proper(mean, quantiles, self._options.lower, upper)
        return Forecasts(
            series=np.concatenate([rows.series for rows in found]),
            issue=np.concatenate(issues),
            target=np.concatenate([rows.target for rows in found]),
            mean=mean,
            quantiles=quantiles,
            upper=upper,
        )

    def _predicted(self, found: list[Rows]) -> tuple[FloatArray, FloatArray]:
        """Return mean and quantiles of rows before they are bounded, shape ``(n,)`` and ``(n, 7)``."""
        if not self._models:
            profile = np.concatenate([rows.anchor["profile"] for rows in found])
            return profile, np.concatenate([rows.quantiles for rows in found])
        features = np.concatenate([rows.features for rows in found])
        scale = np.concatenate([rows.scale for rows in found])
        threads = _threads(len(scale))
        off = [scale * model.predict(features, num_threads=threads) for model in self._models]
        anchor, mean_anchor = (
            np.concatenate([_simple(rows, name) for rows in found])
            for name in (self._options.anchor, self._options.mean_anchor)
        )
        return mean_anchor + off[-1], anchor[:, None] + np.stack(off[:-1], axis=1)

    def _lesson(self, panel: Panel, asked: Sequence[tuple[int, IntArray]]) -> _Lesson:
        """Return rows of past issues whose truth is known, drawn evenly where there are too many."""
        end = len(panel.value)
        features, error, mean_error, scale = [], [], [], []
        # Series that have not begun do not count: they are in the file, but nobody could know of them.
        most = sum(len(offsets) for _, offsets in asked) * int(panel.listed.any(axis=0).sum())
        share = min(1.0, 1.5 * self._options.most_rows / max(most, 1))
        for issue, offsets in asked:
            view = panel.at(issue, self.history_days)
            if not view.present.any():
                continue
            rows = rows_of(view, offsets)
            draw = np.random.default_rng([_SEED, issue]).random(len(rows.series)) < share
            # Of a file's first days nobody may know any size yet; an error in units of nothing would drown all others.
            kept = np.flatnonzero(draw & (rows.target < end) & (rows.scale > LEAST_SCALE))
            truth = panel.value[rows.target[kept], rows.series[kept]].astype(np.float64)
            kept, truth = kept[~np.isnan(truth)], truth[~np.isnan(truth)]
            features.append(rows.features[kept])
            error.append((truth - _simple(rows, self._options.anchor)[kept]) / rows.scale[kept])
            mean_error.append((truth - _simple(rows, self._options.mean_anchor)[kept]) / rows.scale[kept])
            scale.append(rows.scale[kept])
        if not features:
            none = np.empty(0)
            return _Lesson(features=np.empty((0, 1), np.float32), error=none, mean_error=none, scale=none)
        return _Lesson(
            features=np.concatenate(features),
            error=np.concatenate(error),
            mean_error=np.concatenate(mean_error),
            scale=np.concatenate(scale),
        )


def _simple(rows: Rows, name: str) -> FloatArray:
    """Return a simple forecast by its name, shape ``(n,)``."""
    return np.zeros(len(rows.series)) if name == "zero" else rows.anchor[name]


def _threads(rows: int) -> int:
    """Return how many threads are worth while: a second one only waits for the first where there is little to do."""
    return 2 if rows > _ROWS_OF_TWO_THREADS else 1


def _lightgbm() -> ModuleType:
    """Return LightGBM, imported at the first use."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import lightgbm  # noqa: PLC0415 - a second, which only a forecaster that learns shall pay
    except (ImportError, OSError) as error:
        raise PanelError(
            "boosted trees need the package lightgbm and the system's OpenMP library (libgomp); make setup or "
            "pip install 'vpp[forecasts]' installs the package"
        ) from error
    learner: ModuleType = lightgbm
    return learner
