"""Issues and lessons of a rolling origin."""

import numpy as np

from forecasts.quantiles.boosted import BoostedOptions
from tests.unit.forecasts.quantiles.parts import daily_panel
from vpp.lab.backtest.rolling import IssuePlan, RollingPlan, rolled

DAILY = IssuePlan(every_s=86_400, offsets=(0, 23))
PLAN = RollingPlan(
    issues=(DAILY, IssuePlan(every_s=6 * 3600, offsets=(0, 3))), refit_days=7, learn_days=30, most_issues=40
)


def test_issues_lie_on_clock_times_and_join_their_targets() -> None:
    asked = PLAN.asked(daily_panel(), 25, 49)
    assert [issue for issue, _ in asked] == [30, 36, 42, 48]
    assert asked[-1][1].tolist() == [0, 3, 23]
    assert asked[0][1].tolist() == [0, 3]


def test_a_lesson_is_drawn_from_all_clock_times_and_the_same_each_time() -> None:
    panel = daily_panel()
    issues = [issue for issue, _ in PLAN.lesson(panel, 40 * 24)]
    assert len(issues) == 40
    assert issues == sorted(set(issues))
    assert {issue % 24 for issue in issues} == {0, 6, 12, 18}
    assert 10 * 24 <= issues[0] < issues[-1] < 40 * 24
    assert issues == [issue for issue, _ in PLAN.lesson(panel.until(40 * 24), 40 * 24)]


def test_every_issue_of_the_span_is_answered_once() -> None:
    told: list[int] = []
    options = BoostedOptions(history_days=14, rounds=3, leaves=5)
    found = rolled(daily_panel(), PLAN, options, (30 * 24, 41 * 24), told.append)
    assert sum(told) == 44
    assert len(found) == 3 * (11 * 3 + 33 * 2)
    assert sorted(set(found.issue.tolist())) == list(range(30 * 24, 41 * 24, 6))
    assert not np.isnan(found.quantiles).any()


def test_a_panel_that_has_not_begun_has_no_forecasts() -> None:
    options = BoostedOptions(history_days=14, rounds=3, leaves=5)
    assert len(rolled(daily_panel(), PLAN, options, (0, 1), lambda _count: None)) == 0
