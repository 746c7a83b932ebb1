"""Loads that also feed in cross zero: no level, adjustment or free power may leap where a difference vanishes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecasts.level import level_of
from forecasts.series import History
from vpp.settlement.baselines.reference_days import adjustment_ratio
from vpp.state.load_counterfactual import moved_kw

KW = st.floats(-100.0, 100.0)
LOADS = st.lists(KW, min_size=2, max_size=6)


@given(LOADS, LOADS, st.floats(0.0, 1.0))
def test_an_adjustment_never_leaps_as_a_reference_crosses_zero(
    reference: list[float], actual: list[float], step_kw: float
) -> None:
    count = min(len(reference), len(actual))
    then, now = np.array(reference[:count])[:, None], np.array(actual[:count])[:, None]
    size = float(np.abs(then).sum())
    here = adjustment_ratio(now, then, (0.0, 100.0))
    moved = then.copy()
    moved[0] += step_kw * 1e-6 * max(size, 1.0)
    there = adjustment_ratio(now, moved, (0.0, 100.0))
    if size > 1.0:
        assert abs(here - there) < 1e-3 * (1.0 + float(np.abs(now).sum()) / size)
    assert np.isnan(here) or here <= 1.0 + 4.0 * (float(np.abs(now).sum()) + size) / max(size, 1e-12)


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=6), st.floats(0.2, 3.0))
def test_of_loads_of_one_sign_the_adjustment_is_the_ratio(reference: list[float], ratio: float) -> None:
    for sign in (1.0, -1.0):
        then = sign * np.array(reference)[:, None]
        np.testing.assert_allclose(adjustment_ratio(ratio * then, then, (0.0, 100.0)), ratio)


def test_where_load_and_sun_cancel_nothing_is_adjusted() -> None:
    then = np.array([[100.0], [-99.0]])
    assert adjustment_ratio(np.array([[100.0], [-40.0]]), then, (0.8, 1.2)) == 1.0


@given(st.lists(st.tuples(KW, KW), min_size=1, max_size=5))
def test_levels_stay_within_their_limits_and_are_1_where_a_group_cancels(rows: list[tuple[float, float]]) -> None:
    power = np.array([[usual] * 192 + [today] * 96 for usual, today in rows], dtype=np.float32)
    past = History(power_kw=power, steps_per_day=96, step_s=900, end_s=3 * 86_400.0, available_at_s=3 * 86_400.0)
    same = np.ones((3, 96), dtype=np.bool_)
    level = level_of(past, same, group=np.zeros(len(rows), dtype=np.int64), recent_steps=8)
    assert ((level >= 0.6) & (level <= 1.6)).all()
    usual = power[:, 0].astype(np.float64)
    if abs(usual.sum()) < 0.25 * np.abs(usual).sum():
        assert (level == 1.0).all()


def test_a_fleet_without_any_series_has_no_level() -> None:
    past = History(
        power_kw=np.zeros((0, 288), dtype=np.float32), steps_per_day=96, step_s=900, end_s=0.0, available_at_s=0.0
    )
    assert len(level_of(past, np.ones((3, 96), dtype=np.bool_), group=np.zeros(0, dtype=np.int64), recent_steps=8)) == 0


@given(KW, KW, KW)
def test_a_building_that_crosses_zero_is_moved_by_the_difference_not_by_a_ratio(
    free_kw: float, baseline_kw: float, anchor_kw: float
) -> None:
    moved = moved_kw(free_kw, baseline_kw, anchor_kw)
    assert abs(moved - free_kw) <= max(abs(free_kw), abs(baseline_kw - anchor_kw)) + 1e-9
    if anchor_kw * baseline_kw < 0.0:
        assert moved == free_kw + baseline_kw - anchor_kw
