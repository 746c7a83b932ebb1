"""Hours of another call neither adjust a baseline nor stand in for it."""

from datetime import date

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.baseline_parts import EVENT_DAY, Ledger, at, baseline_of, draft, fleet
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass
from vpp.settlement.baselines.called_hours import CalledHours, meter_before_kw, window_before

HVAC = ResourceClass.HVAC
DAYS = ("2026-07-14", "2026-07-13", "2026-07-10", "2026-07-09", "2026-07-08")
ONE_CALL = CalledHours(spans=((at(12, 30), at(13, 30)),))


def a_week(today_kw: float = 110.0) -> Ledger:
    """Return five workdays of 100 kW, and a day on which 12:30-13:30 was cut to 20 kW by another call."""
    meter = Ledger(1)
    for day in DAYS:
        meter.fill(date.fromisoformat(day), 100.0)
    meter.fill(EVENT_DAY, today_kw)
    meter.days[EVENT_DAY][:, 50:54] = 20.0
    return meter


def test_a_call_in_the_window_before_notice_does_not_lower_the_baseline() -> None:
    believed = baseline_of(a_week(), fleet(HVAC))
    assert believed.adjustment_ratio == {"hvac": 0.8}, "the cut of the first call is taken for a quiet day"
    told = baseline_of(a_week(), fleet(HVAC), called=ONE_CALL)
    assert told.adjustment_ratio == {"hvac": pytest.approx(1.1)}
    assert dict(told.notes)["window"].endswith("uncalled hours before them adjust instead")
    assert told.input_sha256 != believed.input_sha256


def test_the_window_has_two_uncalled_hours_and_is_the_old_one_without_a_call() -> None:
    plain = window_before(at(14), 7200.0)
    assert (plain.start_s, plain.end_s) == (at(12), at(14))
    moved = window_before(at(14), 7200.0, ONE_CALL)
    assert (moved.start_s, moved.end_s) == (at(11), at(14))
    assert ONE_CALL.free(moved).sum() == 8


def test_a_step_touched_by_a_call_is_called() -> None:
    grid = window_before(at(14), 7200.0)
    free = CalledHours(spans=((at(12, 50), at(13, 1)),)).free(grid)
    assert free.tolist() == [True, True, True, False, False, True, True, True]


def test_a_day_of_calls_leaves_nothing_that_adjusts() -> None:
    told = baseline_of(a_week(), fleet(HVAC), called=CalledHours(spans=((at(7), at(13, 30)),)))
    assert told.adjustment_ratio == {"hvac": 1.0}
    assert dict(told.notes)["window"].endswith("nothing adjusts")


def test_the_last_meter_before_control_is_not_that_of_another_call() -> None:
    asked = draft(baseline_method=BaselineMethod.METER_BEFORE)
    times = {"notice_s": at(13, 20), "start_s": at(13, 30), "end_s": at(14, 30)}
    assert baseline_of(a_week(), fleet(HVAC), asked, **times).power_kw[0, 0] == 20.0
    told = baseline_of(a_week(), fleet(HVAC), asked, **times, called=ONE_CALL)
    assert told.power_kw[0, 0] == 110.0


def test_a_row_first_metered_in_a_call_keeps_its_place_in_the_portfolio() -> None:
    meter = a_week()
    meter.days[EVENT_DAY][:, :50] = np.nan
    assert meter_before_kw(meter, at(13, 30), 4, ONE_CALL).tolist() == [20.0]
