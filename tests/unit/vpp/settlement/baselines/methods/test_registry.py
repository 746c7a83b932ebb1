"""Golden examples: every method worked by hand on numbers that are stated, by the rule book it names.

The hours of the 3 + 2 example are those PJM published with the rule; the other rule books state rules, and the figures
are ours.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.methods.evidence_parts import (
    TODAY,
    evidence,
    flat,
    with_hours,
    workdays,
)
from vpp.settlement.baselines.methods.evidence import Need
from vpp.settlement.baselines.methods.held_out_group import drawn
from vpp.settlement.baselines.methods.registry import METHODS

EVENT = (14, 15)


def days_of(*kw: float) -> dict[date, "np.typing.NDArray[np.float64]"]:
    """Return workdays of flat load, newest first."""
    return {day: flat(level) for day, level in zip(workdays(len(kw)), kw, strict=True)}


def test_there_are_methods_of_at_least_ten_rules_and_each_names_its_source() -> None:
    assert len(METHODS) >= 14
    assert all(method.source and name == method.name for name, method in METHODS.items())


def test_caiso_takes_all_of_ten_days_times_the_second_to_fourth_hour_before_the_event() -> None:
    history = days_of(100, 102, 104, 106, 108, 110, 112, 114, 116, 118)
    # Mean of ten: 109 kW. Hours 10-13 before 14:00 today: 117.72 kW, 1.08 times it; the hour just before counts not.
    today = with_hours(flat(117.72), [13], 500.0)
    found = METHODS["mean_10_of_10"].of(evidence(history, today, EVENT))
    assert found.adjustment == pytest.approx(0.08)
    assert found.power_kw == pytest.approx(np.full((1, 2), 117.72))
    assert found.days == workdays(10)


def test_caiso_caps_its_adjustment_at_a_fifth() -> None:
    history = days_of(*[100.0] * 10)
    assert METHODS["mean_10_of_10"].of(evidence(history, flat(150), EVENT)).power_kw == pytest.approx(
        np.full((1, 2), 120.0)
    )
    assert METHODS["mean_10_of_10"].of(evidence(history, flat(10), EVENT)).power_kw == pytest.approx(
        np.full((1, 2), 80.0)
    )


def test_caiso_takes_four_of_four_on_a_day_off() -> None:
    saturday = date(2026, 7, 18)
    off = [date(2026, 7, day) for day in (12, 11, 5, 4)]
    history = {day: flat(level) for day, level in zip(off, (40, 44, 48, 52), strict=True)}
    history |= {date(2026, 7, 17): flat(900)}
    found = METHODS["mean_10_of_10"].of(evidence(history, flat(46), EVENT, today=saturday))
    assert found.power_kw == pytest.approx(np.full((1, 2), 46.0))
    assert found.days == tuple(off)


def test_pjm_takes_the_highest_four_of_five_and_adds_the_difference_of_the_morning() -> None:
    history = days_of(100, 90, 110, 120, 130)
    # Lowest of five, 90, leaves; mean of the rest 115 kW. 10-13 o'clock today 125 kW: 10 kW more, on every hour.
    found = METHODS["high_4_of_5"].of(evidence(history, with_hours(flat(125), [13], 0.0), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 125.0))
    assert found.adjustment == pytest.approx(10.0 / 115.0)
    assert (workdays(2)[1].isoformat(), "not among the highest days") in found.excluded


def test_pjm_replaces_a_day_of_a_shutdown_by_an_earlier_one() -> None:
    history = days_of(100, 10, 110, 120, 130, 140)
    # Mean of five in the event's hours 94 kW; 10 is below a quarter of it and 140 takes its place, 100 leaves.
    found = METHODS["high_4_of_5"].of(evidence(history, flat(125), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 125.0))
    assert dict(found.excluded)[workdays(2)[1].isoformat()] == "little use in the event's hours"
    assert workdays(6)[5] in found.days


def test_pjm_adds_where_load_crosses_zero_and_a_ratio_would_have_no_meaning() -> None:
    history = days_of(*[-2.0] * 5)
    found = METHODS["high_4_of_5"].of(evidence(history, flat(3), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 3.0))


def test_nyiso_takes_the_highest_five_of_ten_times_two_hours_that_begin_four_before() -> None:
    history = days_of(100, 200, 110, 190, 120, 180, 130, 170, 140, 160)
    # Highest five: 200, 190, 180, 170, 160, mean 180 kW. 10-12 o'clock today 198 kW: 1.1. 12-14 o'clock counts not.
    found = METHODS["high_5_of_10"].of(evidence(history, with_hours(flat(198), [12, 13], 0.0), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 198.0))
    assert found.adjustment == pytest.approx(0.1)


def test_ercot_takes_the_middle_eight_of_ten() -> None:
    history = days_of(100, 10, 102, 104, 106, 108, 110, 112, 114, 900)
    found = METHODS["mid_8_of_10"].of(evidence(history, flat(500), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 107.0))
    assert len(found.days) == 8


def test_iso_new_england_carries_nine_tenths_on_from_day_to_day() -> None:
    # Five oldest days of 100 kW begin it; then 120 and 140 kW: 102, then 0.9 * 102 + 0.1 * 140 = 105.8 kW.
    found = METHODS["smoothed_90_10"].of(evidence(days_of(140, 120, *[100.0] * 5), flat(500), EVENT))
    assert found.power_kw == pytest.approx(np.full((1, 2), 105.8))


def test_pjm_3_plus_2_averages_the_hours_it_published_for_an_event_in_hours_ending_13_to_17() -> None:
    event = (12, 13, 14, 15, 16)
    today = with_hours(flat(999), [8, 9, 10], 60.0)  # hours ending 9, 10 and 11
    today = with_hours(today, [18, 19], 100.0)  # hours ending 19 and 20
    method = METHODS["same_day_3_plus_2"]
    found = method.of(evidence({}, today, event))
    assert found.power_kw == pytest.approx(np.full((1, 5), (3 * 60.0 + 2 * 100.0) / 5))
    assert Need.AFTER in method.needs


def test_match_day_averages_the_three_days_most_alike_outside_the_event() -> None:
    levels = (150.0, 101.0, 99.0, 150.0, 100.0, 60.0)
    history = {day: with_hours(flat(level), EVENT, 10 * level) for day, level in zip(workdays(6), levels, strict=True)}
    # Hours 13 and 16 stand next to the event: however odd, they are not compared.
    today = with_hours(flat(100), [13, 16], 5000.0)
    found = METHODS["match_day"].of(evidence(history, today, EVENT))
    assert found.days == (workdays(2)[1], workdays(3)[2], workdays(5)[4])
    assert found.power_kw == pytest.approx(np.full((1, 2), 1000.0))


def test_the_weather_regression_finds_the_slope_of_each_degree() -> None:
    days = workdays(12)
    warmth = {day: np.full(24, 20.0 + n) for n, day in enumerate(days)} | {TODAY: np.full(24, 28.0)}
    # 50 kW by night and 100 kW by day at 0 degrees, 1 kW more a degree by night, 3 kW a degree by day.
    shape = np.where((np.arange(24) >= 8) & (np.arange(24) < 20), 1.0, 0.0)
    history = {day: (50 + 50 * shape + (1 + 2 * shape) * warmth[day])[None, :] for day in days}
    found = METHODS["weather_regression"].of(evidence(history, flat(999), EVENT, temperature_c=warmth))
    assert found.power_kw == pytest.approx(np.full((1, 2), 100 + 3 * 28.0))
    without = METHODS["weather_regression"].of(evidence(history, flat(999), EVENT))
    assert np.isnan(without.power_kw).all()
    assert without.note == "no temperature today"


def test_meter_before_holds_the_last_hour_and_meter_before_after_joins_both_sides() -> None:
    today = with_hours(with_hours(flat(7), [13], 100.0), [17], 60.0)
    held = METHODS["meter_before"].of(evidence({}, today, EVENT))
    assert held.power_kw == pytest.approx(np.full((1, 2), 100.0))
    # 100 kW at 13, 60 kW at 17, the hour of the rebound at 16 left out: a quarter of the way each hour.
    joined = METHODS["meter_before_after"].of(evidence({}, today, EVENT))
    assert joined.power_kw == pytest.approx(np.array([[90.0, 80.0]]))


def test_same_type_days_average_five_days_within_a_quarter_times_two_hours_before_notice() -> None:
    levels = (100.0, 104.0, 160.0, 96.0, 100.0, 100.0)
    history = {day: flat(level, steps=96) for day, level in zip(workdays(6), levels, strict=True)}
    today = flat(110, steps=96)
    today[:, 40:] = 900.0  # after notice, at 10:00
    found = METHODS["same_type_days"].of(evidence(history, today, (56, 57), notice=40))
    # 160 is 43 % above the mean of the first five and leaves; 400 / 4 = 100 kW, times 1.1.
    assert found.power_kw == pytest.approx(np.full((1, 2), 110.0))
    assert found.adjustment == pytest.approx(0.1)
    shifted = METHODS["same_type_days_shift"].of(evidence(history, today, (56, 57), notice=40))
    assert shifted.power_kw == pytest.approx(np.full((1, 2), 110.0))


def test_a_load_goes_on_from_its_own_level_with_the_shape_of_the_days_there_are() -> None:
    history = {day: with_hours(flat(100, steps=96), [57], 90.0) for day in workdays(1)}
    today = flat(110, steps=96)
    today[:, 55] = 130.0  # at 13:45, long after notice
    found = METHODS["own_meter"].of(evidence(history, today, (56, 57), notice=40))
    assert found.power_kw == pytest.approx(np.array([[130.0, 117.0]]))
    without = METHODS["own_meter"].of(evidence({}, today, (56, 57), notice=40))
    assert without.power_kw == pytest.approx(np.array([[130.0, 130.0]]))


def test_a_held_out_group_shows_what_the_others_would_have_done() -> None:
    history = {day: flat(*[10.0] * 6, 40.0) for day in workdays(5)}
    today = flat(*[12.0] * 6, 5.0)
    group = np.array([True] * 6 + [False])
    asked = replace(evidence(history, today, EVENT, held_out=group), today_kw=today)
    found = METHODS["held_out_group"].of(asked)
    # The group takes 72 kW where it usually takes 60: 1.2 times, so would the called row have: 48 kW.
    assert found.power_kw[6] == pytest.approx([48.0, 48.0])
    assert found.power_kw[0] == pytest.approx([12.0, 12.0]), "who is not called delivers nothing"


def test_who_is_held_out_is_drawn_by_a_hash_that_anybody_can_check() -> None:
    ids = [f"r{n}" for n in range(4000)]
    group = drawn(ids, 0.1, "summer-2026")
    assert 0.08 < group.mean() < 0.12
    assert (group == drawn(ids, 0.1, "summer-2026")).all()
    assert (group != drawn(ids, 0.1, "winter-2026")).any()


def test_plans_and_sessions_are_taken_as_they_are() -> None:
    given = np.array([[3.0, 4.0]])
    assert METHODS["schedule"].of(evidence({}, flat(9), EVENT, plan_kw=given)).power_kw.tolist() == [[3.0, 4.0]]
    assert METHODS["session"].of(evidence({}, flat(9), EVENT, session_kw=given)).power_kw.tolist() == [[3.0, 4.0]]
    assert np.isnan(METHODS["session"].of(evidence({}, flat(9), EVENT)).power_kw).all()


@pytest.mark.parametrize("name", ["mean_10_of_10", "high_4_of_5", "high_5_of_10", "mid_8_of_10", "match_day"])
def test_event_days_and_days_of_another_kind_are_no_reference(name: str) -> None:
    days = workdays(14)
    history = {day: flat(100) for day in days}
    history |= {day: flat(5) for day in days[:2]}
    history |= {TODAY - timedelta(days=back): flat(1) for back in (3, 4)}  # a weekend
    found = METHODS[name].of(evidence(history, flat(100), EVENT, event_days=days[:2]))
    assert found.power_kw == pytest.approx(np.full((1, 2), 100.0))
    assert not set(found.days) & set(days[:2])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_without_history_a_method_says_so_or_gives_nothing(name: str) -> None:
    steps = 96
    found = METHODS[name].of(evidence({}, np.full((2, steps), np.nan), (56, 57), notice=40))
    assert found.power_kw.shape == (2, 2)
    assert np.isnan(found.power_kw).all()
