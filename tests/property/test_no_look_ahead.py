"""A forecast depends on nothing that came after it was issued, whatever comes."""

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forecasts.panel.grid import panel_of
from forecasts.quantiles.boosted import BoostedOptions
from vpp.lab.backtest.rolling import IssuePlan, RollingPlan, rolled
from vpp.lab.backtest.tasks import PANEL_TASKS

SLOW = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAYS, FIRST = 45, 30 * 24
ENERGY = PANEL_TASKS["ev_energy_day_ahead"]
PLAN = RollingPlan(
    issues=(IssuePlan(every_s=86_400, offsets=tuple(range(24))), IssuePlan(every_s=6 * 3600, offsets=(0, 3))),
    refit_days=7,
    learn_days=60,
    most_issues=40,
)
# Fewer rows than there are, so that lessons are drawn from them.
OPTIONS = BoostedOptions(history_days=14, rounds=4, leaves=7, per_capacity=400.0, most_rows=600)
OPENS = 33 * 24


def sessions(seed: int) -> pd.DataFrame:
    """Return hourly energy and occupancy of five sites of two cities, the last open only from day 33."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-03-02", periods=DAYS * 24, freq="h")
    parts = []
    for number in range(5):
        open_at = OPENS if number == 4 else 0
        occupied = np.clip(rng.normal(np.sin(times.hour / 24.0 * np.pi) * 2.0, 1.0), 0.0, 4.0)
        rows = pd.DataFrame(
            {
                "city": f"c{number % 2}",
                "site": f"s{number}",
                "time": times,
                "occ": occupied,
                "arrivals": rng.poisson(occupied / 2.0),
                "kwh": occupied * rng.uniform(3.0, 9.0, len(times)),
                "ports": 4,
            }
        )
        parts.append(rows.iloc[open_at:])
    return pd.concat(parts, ignore_index=True)


def forecasts(table: pd.DataFrame, until: int) -> pd.DataFrame:
    """Return the forecasts issued before a step, with the bytes of their figures."""
    panel = panel_of(table, ENERGY.columns, step_s=3600, bounds=ENERGY.bounds)
    found = rolled(panel, PLAN, OPTIONS, (FIRST, DAYS * 24), lambda _count: None)
    kept = found.issue <= until
    names = np.asarray(panel.series, dtype=object)[found.series[kept]]
    said = np.column_stack([found.mean, found.quantiles])[kept]
    return pd.DataFrame(
        {
            "series": names,
            "issued": found.issue[kept],
            "target": found.target[kept],
            "said": [s.tobytes() for s in said],
        }
    )


@given(seed=st.integers(0, 99), cut=st.integers(FIRST + 1, DAYS * 24 - 1))
@example(seed=1, cut=OPENS - 24).via("the site that opens later is not in the file")
@SLOW
def test_a_file_cut_at_any_instant_gives_the_same_earlier_forecasts(seed: int, cut: int) -> None:
    table = sessions(seed)
    at = table["time"].min() + pd.Timedelta(hours=cut)
    whole, part = forecasts(table, cut), forecasts(table[table["time"] < at], cut)
    assert len(whole) > 0
    pd.testing.assert_frame_equal(whole, part)


@given(
    seed=st.integers(0, 99),
    cut=st.integers(FIRST + 1, DAYS * 24 - 1),
    poison=st.sampled_from([np.nan, 0.0, 300.0, -99.0]),
)
@SLOW
def test_a_poisoned_future_changes_nothing(seed: int, cut: int, poison: float) -> None:
    table = sessions(seed)
    at = table["time"].min() + pd.Timedelta(hours=cut)
    poisoned = table.copy()
    poisoned[["kwh", "occ"]] = poisoned[["kwh", "occ"]].where(poisoned["time"] < at, poison)
    poisoned["ports"] = poisoned["ports"].where(poisoned["time"] < at, 77)
    pd.testing.assert_frame_equal(forecasts(table, cut), forecasts(poisoned, cut))
