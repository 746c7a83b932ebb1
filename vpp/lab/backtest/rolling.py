"""Rolling origin: a panel's forecasts made again, each from what was known when it is issued (Tashman 2000)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasts.panel.panel import SECONDS_PER_DAY, Panel
from forecasts.quantiles.boosted import BoostedOptions, BoostedTrees
from forecasts.quantiles.forecaster import Forecaster, Question
from forecasts.quantiles.levels import Forecasts
from forecasts.quantiles.seasonal_rule import SeasonalRule
from forecasts.quantiles.selection import Selection
from forecasts.quantiles.spread import Spread
from numerics.arrays import IntArray

_BLOCK_DAYS: Final = 7
"""Days for which the shares of champion and challenger stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuePlan:
    """Instants at which forecasts are issued, and how far ahead.

    Attributes:
        every_s: Seconds between issues, counted from midnight; divides a day.
        offsets: Steps from the issue to the start of each target.
    """

    every_s: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingPlan:
    """How an origin rolls.

    Attributes:
        issues: Issues and their targets; where several fall on one instant their targets are joined.
        refit_days: Days between lessons.
        learn_days: Days of issues before a lesson that are learnt from.
        most_issues: Issues learnt from at most, drawn from all.
    """

    issues: tuple[IssuePlan, ...]
    refit_days: int
    learn_days: int
    most_issues: int

    def asked(self, panel: Panel, first: int, last: int) -> list[tuple[int, IntArray]]:
        """Return the issues from step ``first`` to before ``last`` with their offsets, in order."""
        found: dict[int, set[int]] = {}
        for plan in self.issues:
            every = max(plan.every_s // panel.step_s, 1)
            # The grid begins at midnight, so multiples of the interval are clock times.
            for issue in range(-(-first // every) * every, last, every):
                found.setdefault(issue, set()).update(plan.offsets)
        return [(issue, np.array(sorted(found[issue]), dtype=np.int64)) for issue in sorted(found)]

    def lesson(self, panel: Panel, now: int) -> list[tuple[int, IntArray]]:
        """Return past issues to learn from at step ``now``; which they are depends on nothing later."""
        first = max(now - self.learn_days * SECONDS_PER_DAY // panel.step_s, 0)
        asked = self.asked(panel, first, now)
        rows = np.flatnonzero(panel.listed.any(axis=1))
        asked = [(issue, offsets) for issue, offsets in asked if len(rows) and issue > rows[0]]
        if len(asked) <= self.most_issues:
            return asked
        # Drawn at random, for every so-manyth would favour some hours of the day.
        drawn = np.random.default_rng(now).choice(len(asked), self.most_issues, replace=False)
        return [asked[place] for place in sorted(drawn)]


def rolled(
    panel: Panel, plan: RollingPlan, options: BoostedOptions, span: tuple[int, int], told: Callable[[int], None]
) -> Forecasts:
    """Return the forecasts of every issue in a span of steps.

    Args:
        panel: The whole panel; each forecast is given only what was known when it is issued.
        plan: When is issued and learnt.
        options: Choices of the challenger.
        span: First step, and the one after the last.
        told: Called with the number of issues answered since the last call.
    """
    champion: Forecaster = SeasonalRule(
        history_days=options.history_days, lower=options.lower, per_capacity=options.per_capacity
    )
    challenger: Forecaster = BoostedTrees(options)
    selection, spread = Selection(step_s=panel.step_s), Spread(step_s=panel.step_s)
    parts = []
    for now, asked, learn in _blocks(panel, plan, span):
        known = panel.until(now)
        if learn:
            challenger.fit(known, plan.lesson(known, now))
        views = ((panel.at(issue, champion.history_days), offsets) for issue, offsets in asked)
        questions = [Question(view=view, offsets=offsets) for view, offsets in views if view.present.any()]
        said, replied = champion.forecast(questions), challenger.forecast(questions)
        blended = selection.blended(said, replied, selection.shares(known))
        parts.append(spread.applied(blended, spread.factors(known), options.lower))
        selection.remember(said, replied)
        spread.remember(blended)
        told(len(asked))
    return Forecasts.joined(parts)


def _blocks(
    panel: Panel, plan: RollingPlan, span: tuple[int, int]
) -> Iterator[tuple[int, Sequence[tuple[int, IntArray]], bool]]:
    """Yield the first step of every block of days with its issues and whether to learn before it."""
    block = min(_BLOCK_DAYS, plan.refit_days) * SECONDS_PER_DAY // panel.step_s
    since = plan.refit_days
    for now in range(span[0], span[1], block):
        asked = plan.asked(panel, now, min(now + block, span[1]))
        learn = since >= plan.refit_days
        since = (0 if learn else since) + block * panel.step_s // SECONDS_PER_DAY
        if asked:
            yield now, asked, learn
