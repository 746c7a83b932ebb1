"""What is judged of a backtest, and by which figures."""

import numpy as np
import pandas as pd

from tests.unit.forecasts.quantiles.parts import daily_panel
from vpp.lab.backtest.judgement import JUDGES, held_out, judged_rows
from vpp.lab.backtest.tasks import PANEL_TASKS

DAY_S = 86_400


def test_the_last_part_of_every_zone_is_judged() -> None:
    period, first = held_out(daily_panel(days=100), 0)
    assert first.tolist() == [55 * 24] * 3
    assert (period.start_s, period.end_s) == (55 * DAY_S, 100 * DAY_S)
    _, first = held_out(daily_panel(days=100), 30)
    assert first.tolist() == [70 * 24] * 3


def test_rows_before_the_split_or_without_a_truth_are_left_out() -> None:
    panel = daily_panel(days=100)
    _, first = held_out(panel, 0)
    at = pd.to_datetime([54 * DAY_S, 55 * DAY_S, 56 * DAY_S], unit="s")
    table = pd.DataFrame({"series": "s1", "target_at": at, "truth": [1.0, 2.0, np.nan]})
    assert judged_rows(table, panel, first)["truth"].tolist() == [2.0]


def test_every_task_has_its_judge() -> None:
    assert set(JUDGES) == set(PANEL_TASKS)
