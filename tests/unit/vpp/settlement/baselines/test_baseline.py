"""Baselines against tables worked by hand."""

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.baseline_parts import EVENT_DAY, Ledger, at, baseline_of, draft, fleet, plan
from vpp.domain.errors import InputError
from vpp.domain.request import BaselineMethod, NoticeClass, Purpose
from vpp.domain.resource import ResourceClass
from vpp.fleet.calendar import DayCalendar, DayType
from vpp.fleet.holidays import CHINA
from vpp.settlement.baselines.called_hours import CalledHours
from vpp.settlement.baselines.reference_days import Adjustment, BaselineRules

HVAC, EV, PV, STORAGE, V2G = (
    ResourceClass.HVAC,
    ResourceClass.EV,
    ResourceClass.PV,
    ResourceClass.STORAGE,
    ResourceClass.V2G,
)
AVERAGED = draft(baseline_method=BaselineMethod.SAME_TYPE_DAYS)
REFERENCE_DAYS = ("2026-07-14", "2026-07-13", "2026-07-10", "2026-07-09", "2026-07-08")


def five_days(row_count: int, kw: float = 100.0) -> Ledger:
    meter = Ledger(row_count)
    for day in REFERENCE_DAYS:
        meter.fill(date.fromisoformat(day), *[kw] * row_count)
    meter.fill(EVENT_DAY, *[kw] * row_count)
    return meter


def test_five_equal_workdays_give_their_mean_on_every_step() -> None:
    result = baseline_of(five_days(1), fleet(HVAC), AVERAGED)
    assert result.reference_days == REFERENCE_DAYS
    assert result.grid.count == 7
    assert result.grid.start_s == at(17, 45)
    assert result.power_kw == pytest.approx(np.full((1, 7), 100.0))
    assert result.adjustment_ratio == {"hvac": 1.0}
    assert result.methods == {"hvac": BaselineMethod.SAME_TYPE_DAYS}


def test_the_mean_is_taken_step_by_step_and_row_by_row() -> None:
    meter = Ledger(2)
    for n, day in enumerate(REFERENCE_DAYS):
        profile = 100.0 + np.arange(96.0) + n
        meter.days[date.fromisoformat(day)] = np.array([profile, 2.0 * profile])
    meter.days[EVENT_DAY] = np.array([102.0 + np.arange(96.0), 2.0 * (102.0 + np.arange(96.0))])
    result = baseline_of(meter, fleet(HVAC, HVAC))
    expected = 102.0 + np.arange(71.0, 78.0)
    assert result.power_kw == pytest.approx(np.array([expected, 2.0 * expected]))


def test_hours_of_a_drill_on_a_reference_day_do_not_enter_the_mean_and_the_day_stays() -> None:
    meter = five_days(1)
    meter.days[date(2026, 7, 14)][0, 71:74] = 10.0
    drilled = CalledHours(spans=((at(17, 50, date(2026, 7, 14)), at(18, 20, date(2026, 7, 14))),))
    result = baseline_of(meter, fleet(HVAC), called=drilled)
    assert result.reference_days == REFERENCE_DAYS
    assert result.power_kw == pytest.approx(np.full((1, 7), 100.0))
    assert baseline_of(meter, fleet(HVAC)).power_kw[0, 0] == pytest.approx(82.0), "as it would be without"


@pytest.mark.parametrize("method", [BaselineMethod.MEAN_10_OF_10, BaselineMethod.HIGH_4_OF_5])
def test_hours_of_a_drill_do_not_enter_the_baselines_of_rule_books(method: BaselineMethod) -> None:
    meter = five_days(1)
    for back in range(1, 25):
        meter.fill(EVENT_DAY - timedelta(days=back), 100.0)
    meter.days[date(2026, 7, 14)][0, 71:74] = 10.0
    drilled = CalledHours(spans=((at(17, 45, date(2026, 7, 14)), at(18, 30, date(2026, 7, 14))),))
    result = baseline_of(meter, fleet(HVAC), draft(baseline_method=method), called=drilled)
    assert result.power_kw == pytest.approx(np.full((1, 7), 100.0))


def test_what_a_draft_does_not_say_changes_no_hash() -> None:
    plain = baseline_of(five_days(1), fleet(HVAC)).input_sha256
    assert plain == "f72cc2bda6559c1906c8b2a44223aa05cb9c29f89a189c553226f9b58262a546", "as before there were drills"
    assert baseline_of(five_days(1), fleet(HVAC), draft(purpose=Purpose.DRILL)).input_sha256 != plain


def test_a_day_hotter_by_a_tenth_lifts_the_baseline_by_a_tenth() -> None:
    meter = five_days(1)
    meter.fill(EVENT_DAY, 110.0)
    result = baseline_of(meter, fleet(HVAC))
    assert result.adjustment_ratio == {"hvac": pytest.approx(1.1)}
    assert result.power_kw == pytest.approx(np.full((1, 7), 110.0))


@pytest.mark.parametrize(("today_kw", "ratio"), [(300.0, 1.2), (10.0, 0.8)])
def test_the_adjustment_is_clipped_and_says_so(today_kw: float, ratio: float) -> None:
    meter = five_days(1)
    meter.fill(EVENT_DAY, today_kw)
    result = baseline_of(meter, fleet(HVAC), AVERAGED)
    assert result.adjustment_ratio == {"hvac": ratio}
    assert result.notes == (("hvac", f"adjustment clipped to {ratio:g}"),)


def test_each_class_is_adjusted_by_its_own_aggregate() -> None:
    meter = five_days(3)
    meter.fill(EVENT_DAY, 120.0, 100.0, 95.0)
    result = baseline_of(meter, fleet(HVAC, HVAC, EV))
    assert result.adjustment_ratio == {"hvac": pytest.approx(1.1), "ev": pytest.approx(0.95)}
    assert result.power_kw[:, 0] == pytest.approx([110.0, 110.0, 95.0])


def test_the_additive_adjustment_shifts_by_the_level_of_the_window() -> None:
    meter = five_days(1)
    for day in REFERENCE_DAYS:
        meter.days[date.fromisoformat(day)][:, 70:] = 40.0
    meter.fill(EVENT_DAY, 110.0)
    result = baseline_of(meter, fleet(HVAC), rules=BaselineRules(adjustment=Adjustment.ADDITIVE))
    assert result.power_kw == pytest.approx(np.full((1, 7), 50.0))


def test_only_the_two_hours_before_notice_adjust() -> None:
    meter = five_days(1)
    meter.days[EVENT_DAY][:, 48:56] = 110.0  # 12:00-14:00
    meter.days[EVENT_DAY][:, :48] = 5.0
    meter.days[EVENT_DAY][:, 56:] = 900.0
    assert baseline_of(meter, fleet(HVAC)).adjustment_ratio == {"hvac": pytest.approx(1.1)}


def test_event_days_incomplete_days_and_odd_days_are_left_out_with_a_reason() -> None:
    meter = five_days(1)
    meter.fill(date(2026, 7, 7), 101.0)
    meter.fill(date(2026, 7, 6), 99.0)
    meter.fill(date(2026, 7, 3), 100.0)
    meter.days[date(2026, 7, 13)][:, :20] = np.nan
    meter.fill(date(2026, 7, 10), 160.0)
    result = baseline_of(meter, fleet(HVAC), event_days=[date(2026, 7, 14)])
    assert result.reference_days == ("2026-07-09", "2026-07-08", "2026-07-07", "2026-07-06", "2026-07-03")
    assert dict(result.excluded_days) == {
        "2026-07-14": "event day",
        "2026-07-13": "only 79.2% metered",
        "2026-07-10": "energy +43% off the mean",
    }


def test_a_day_exactly_a_quarter_off_stays() -> None:
    meter = five_days(1)
    meter.fill(date(2026, 7, 10), 400.0 / 3.0)  # mean of five 106.67, so +25 %
    assert "2026-07-10" in baseline_of(meter, fleet(HVAC)).reference_days


def test_a_baseline_in_a_year_nobody_has_announced_says_so() -> None:
    known, unknown = (baseline_of(five_days(1), fleet(HVAC), calendar=calendar) for calendar in (CHINA, DayCalendar()))
    assert "calendar" not in dict(known.notes)
    assert "2026" in dict(unknown.notes)["calendar"]


def test_a_saturday_is_compared_with_weekends_only() -> None:
    meter = Ledger(1)
    saturday = date(2026, 7, 18)
    for back in range(30):
        day = saturday - timedelta(days=back)
        meter.fill(day, 60.0 if CHINA.day_type(day) is DayType.WEEKEND else 100.0)
    result = baseline_of(
        meter, fleet(HVAC), notice_s=at(14, day=saturday), start_s=at(18, day=saturday), end_s=at(19, day=saturday)
    )
    assert result.reference_days == ("2026-07-12", "2026-07-11", "2026-07-05", "2026-07-04", "2026-06-28")
    assert result.power_kw == pytest.approx(np.full((1, 4), 60.0))


def test_a_holiday_borrows_weekends_when_holidays_are_too_few() -> None:
    meter = Ledger(1)
    first = date(2026, 6, 19)
    for back in range(40):
        meter.fill(first - timedelta(days=back), 70.0)
    result = baseline_of(
        meter, fleet(HVAC), AVERAGED, notice_s=at(9, day=first), start_s=at(18, day=first), end_s=at(19, day=first)
    )
    assert result.methods == {"hvac": BaselineMethod.SAME_TYPE_DAYS}
    assert result.reference_days == ("2026-06-14", "2026-06-13", "2026-06-07", "2026-06-06", "2026-05-31")


def test_days_older_than_the_lookback_do_not_count() -> None:
    meter = Ledger(1)
    for back in range(46, 90):
        meter.fill(EVENT_DAY - timedelta(days=back), 100.0)
    meter.fill(EVENT_DAY, 80.0)
    result = baseline_of(meter, fleet(HVAC), AVERAGED)
    assert result.methods == {"hvac": BaselineMethod.METER_BEFORE}


def test_without_history_the_meter_before_control_is_held_and_the_reason_recorded() -> None:
    meter = Ledger(1)
    meter.fill(EVENT_DAY, 80.0)
    meter.days[EVENT_DAY][0, 70] = 83.0  # 17:30-17:45, the last whole step before 17:50
    meter.days[EVENT_DAY][0, 71] = 999.0
    result = baseline_of(meter, fleet(HVAC), AVERAGED)
    assert result.power_kw == pytest.approx(np.full((1, 7), 83.0))
    assert result.methods == {"hvac": BaselineMethod.METER_BEFORE}
    assert result.notes == (("hvac", "1 of 1 rows: 0 reference days of at least 3; meter before control instead"),)


def test_a_new_row_gets_meter_before_and_does_not_spoil_the_days_of_the_others() -> None:
    meter = five_days(3)
    for day in REFERENCE_DAYS:
        meter.days[date.fromisoformat(day)][2] = np.nan
    meter.fill(EVENT_DAY, 100.0, 100.0, 40.0)
    result = baseline_of(meter, fleet(HVAC, HVAC, HVAC), AVERAGED)
    assert result.reference_days == REFERENCE_DAYS
    assert result.power_kw[:, 0] == pytest.approx([100.0, 100.0, 40.0])
    assert result.notes == (("hvac", "1 of 3 rows: not metered on the reference days; meter before control instead"),)


def test_a_row_nobody_ever_metered_leaves_the_portfolio_by_name() -> None:
    meter = five_days(2)
    for power_kw in meter.days.values():
        power_kw[1] = np.nan
    result = baseline_of(meter, fleet(HVAC, HVAC))
    assert result.excluded_ids == ("r1",)
    assert result.power_kw[1] == pytest.approx(np.zeros(7))
    assert result.notes[0][1].endswith("taken out of the portfolio")


def test_a_zero_is_a_reading_and_not_a_gap() -> None:
    result = baseline_of(five_days(1, kw=0.0), fleet(EV))
    assert result.methods == {"ev": BaselineMethod.SESSION_COURSE}
    assert result.excluded_ids == ()
    assert result.adjustment_ratio == {"ev": 1.0}


@pytest.mark.parametrize("notice", [NoticeClass.FAST, NoticeClass.REALTIME, NoticeClass.SECOND])
def test_quick_products_hold_the_meter_before_control_for_roofs_that_are_free(notice: NoticeClass) -> None:
    meter = five_days(1)
    meter.days[EVENT_DAY][0, 70] = 42.0
    result = baseline_of(meter, fleet(PV), draft(notice_class=notice))
    assert result.methods == {"pv": BaselineMethod.ROOF_YIELD}
    assert result.power_kw == pytest.approx(np.full((1, 7), 42.0))
    assert result.reference_days == ()


def test_meter_before_looks_back_past_a_gap_but_not_for_ever() -> None:
    meter = five_days(1)
    meter.days[EVENT_DAY][0, 68:71] = np.nan
    meter.days[EVENT_DAY][0, 67] = 42.0
    asked = draft(baseline_method=BaselineMethod.METER_BEFORE)
    assert baseline_of(meter, fleet(HVAC), asked).power_kw == pytest.approx(np.full((1, 7), 42.0))
    assert baseline_of(meter, fleet(HVAC), asked, rules=BaselineRules(before_steps=3)).excluded_ids == ("r0",)


def test_storage_and_v2g_follow_the_schedule_and_never_an_average() -> None:
    for method in (BaselineMethod.AUTOMATIC, BaselineMethod.SAME_TYPE_DAYS):
        result = baseline_of(
            five_days(3), fleet(STORAGE, V2G, HVAC), draft(baseline_method=method), schedule=plan(-50.0, 7.0, 1.0)
        )
        assert result.power_kw[:, 3] == pytest.approx([-50.0, 7.0, 100.0])
        shipped = method is BaselineMethod.AUTOMATIC
        stores = BaselineMethod.STORED_SCHEDULE if shipped else BaselineMethod.SCHEDULE
        loads = BaselineMethod.OWN_METER if shipped else method
        assert result.methods == {"storage": stores, "v2g": stores, "hvac": loads}


def test_a_schedule_that_ends_too_early_is_not_stretched() -> None:
    result = baseline_of(five_days(1), fleet(STORAGE), schedule=plan(-50.0, hours=18.5))
    assert result.methods == {"storage": BaselineMethod.METER_BEFORE}
    assert result.notes[0][1] == "1 of 1 rows: no schedule covers every step; meter before control instead"


def test_rows_outside_the_portfolio_are_zero_and_do_not_matter() -> None:
    meter = five_days(2)
    chosen = np.array([True, False])
    before = baseline_of(meter, fleet(HVAC, HVAC), portfolio=chosen)
    for power_kw in meter.days.values():
        power_kw[1] = 7777.0
    after = baseline_of(meter, fleet(HVAC, HVAC), portfolio=chosen)
    assert before.power_kw[1] == pytest.approx(np.zeros(7))
    assert after.input_sha256 == before.input_sha256


def test_the_hash_follows_every_input_and_repeats() -> None:
    meter = five_days(1)
    first = baseline_of(meter, fleet(HVAC))
    assert baseline_of(meter, fleet(HVAC)).input_sha256 == first.input_sha256
    meter.days[date(2026, 7, 8)][0, 72] += 1e-9
    changed = baseline_of(meter, fleet(HVAC))
    ruled = baseline_of(meter, fleet(HVAC), rules=BaselineRules(clip=(0.9, 1.1)))
    assert len({first.input_sha256, changed.input_sha256, ruled.input_sha256}) == 3


def test_an_event_across_midnight_takes_the_steps_of_both_ends_of_the_day() -> None:
    meter = Ledger(1)
    for day in (*map(date.fromisoformat, REFERENCE_DAYS), EVENT_DAY):
        meter.days[day] = np.arange(96.0)[None, :]
    result = baseline_of(meter, fleet(HVAC), start_s=at(23, 30), end_s=at(23, 30) + 3600.0)
    assert result.power_kw == pytest.approx(np.array([[94.0, 95.0, 0.0, 1.0]]))


def test_photovoltaics_that_cancel_the_load_do_not_make_every_day_odd() -> None:
    meter = Ledger(2)
    for n, day in enumerate(REFERENCE_DAYS):
        meter.fill(date.fromisoformat(day), 100.0 + n, -101.0)
    meter.fill(EVENT_DAY, 100.0, -101.0)
    assert baseline_of(meter, fleet(HVAC, ResourceClass.PV)).reference_days == REFERENCE_DAYS


def test_times_out_of_order_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="times in that order"):
        baseline_of(five_days(1), fleet(HVAC), notice_s=at(18))
    with pytest.raises(InputError, match="one flag a row"):
        baseline_of(five_days(1), fleet(HVAC), portfolio=np.ones(3, dtype=np.bool_))
