"""Judgement of a method over many calls: bias, error and what gaming gains, each relative to the true load."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.lab.bench.baseline.calls import Call, Game, evidence_of
from vpp.lab.bench.baseline.played_days import PlayedDays
from vpp.settlement.baselines.methods.evidence import Method

_GAMES = (Game.WINDOW, Game.NOTICE, Game.REFERENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A method on a class.

    Attributes:
        bias_ratio: Mean error of the called rows' sum, relative to their mean absolute load.
        rrmse_ratio: Root mean square error of that sum by quarter of an hour, likewise.
        gain_ratio: What each game adds to the baseline, likewise.
        calls: Calls with an estimate.
    """

    resource_class: str
    method: str
    bias_ratio: float
    rrmse_ratio: float
    gain_ratio: dict[Game, float]
    calls: int

    @property
    def gaming_gain_ratio(self) -> float:
        """The most that any game gains, at least 0."""
        return max(0.0, *self.gain_ratio.values()) if self.calls else float("nan")

    @property
    def score(self) -> float:
        """Distance from a perfect method: root of the sum of squares of error and gain; infinite without estimates."""
        return float(np.hypot(self.rrmse_ratio, self.gaming_gain_ratio)) if self.calls else float("inf")


def judge(name: str, method: Method, played: PlayedDays, calls: Sequence[Call], *, seed: int) -> Judged:
    """Return how a method does on one class; rows that were held out are not called and do not count."""
    errors: list[FloatArray] = []
    levels: list[FloatArray] = []
    gains: dict[Game, list[FloatArray]] = {game: [] for game in _GAMES}
    for call in calls:
        honest = evidence_of(played, call, Game.NONE, seed=seed)
        found = method.of(honest)
        called = ~np.asarray(honest.held_out) & np.isfinite(found.power_kw).all(axis=1)
        if not called.any():
            continue
        true_kw = played.true_kw[call.place][np.ix_(called, honest.event)].sum(axis=0)
        estimate_kw = found.power_kw[called].sum(axis=0)
        errors.append(estimate_kw - true_kw)
        levels.append(np.abs(true_kw))
        for game in _GAMES:
            gamed = method.of(evidence_of(played, call, game, seed=seed)).power_kw[called]
            gains[game].append(np.nansum(gamed, axis=0) - estimate_kw)
    return _summed(name, method.name, errors, levels, gains)


def _summed(
    name: str,
    method: str,
    errors: Sequence[FloatArray],
    levels: Sequence[FloatArray],
    gains: dict[Game, list[FloatArray]],
) -> Judged:
    if not errors or float(np.concatenate(levels).sum()) <= 0.0:
        nan = float("nan")
        return Judged(
            resource_class=name,
            method=method,
            bias_ratio=nan,
            rrmse_ratio=nan,
            gain_ratio=dict.fromkeys(_GAMES, nan),
            calls=0,
        )
    off, level = np.concatenate(errors), float(np.concatenate(levels).mean())
    return Judged(
        resource_class=name,
        method=method,
        bias_ratio=float(off.mean()) / level,
        rrmse_ratio=float(np.sqrt(np.mean(off**2))) / level,
        gain_ratio={game: abs(float(np.concatenate(parts).mean())) / level for game, parts in gains.items()},
        calls=len(errors),
    )
