"""Rules of system operators on the meters of a fleet, chosen by a programme."""

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.baseline_parts import EVENT_DAY, Ledger, at, baseline_of, draft, fleet, plan
from vpp.domain.request import BaselineMethod, NoticeClass
from vpp.domain.resource import ResourceClass
from vpp.fleet.calendar import DayType
from vpp.fleet.holidays import CHINA
from vpp.settlement.baselines.called_hours import CalledHours
from vpp.settlement.baselines.method_choice import MethodChoice

EV, HVAC, INDUSTRY, STORAGE, PV, V2G = (
    ResourceClass.EV,
    ResourceClass.HVAC,
    ResourceClass.INDUSTRY,
    ResourceClass.STORAGE,
    ResourceClass.PV,
    ResourceClass.V2G,
)


def two_weeks(rows: int = 1) -> Ledger:
    """Return workdays of 100, 101, … kW, newest first, and a day of 110 kW."""
    meter, level = Ledger(rows), 100.0
    for back in range(1, 30):
        day = EVENT_DAY - timedelta(days=back)
        if CHINA.day_type(day) is DayType.WORKDAY:
            meter.fill(day, *[level] * rows)
            level += 1.0
    meter.fill(EVENT_DAY, *[110.0] * rows)
    return meter


def choice(method: BaselineMethod) -> MethodChoice:
    shipped = MethodChoice()
    return MethodChoice(usual={**shipped.usual, HVAC: method}, quick=shipped.quick)


def test_a_programme_gives_a_class_another_rule() -> None:
    found = baseline_of(two_weeks(), fleet(HVAC), choice=choice(BaselineMethod.MID_8_OF_10))
    assert found.methods == {"hvac": BaselineMethod.MID_8_OF_10}
    assert found.power_kw == pytest.approx(np.full((1, 7), 104.5))
    assert len(found.reference_days) == 8
    assert found.input_sha256 != baseline_of(two_weeks(), fleet(HVAC)).input_sha256


def test_a_request_may_name_the_rule_and_stores_keep_the_plan() -> None:
    asked = draft(baseline_method=BaselineMethod.HIGH_4_OF_5)
    found = baseline_of(two_weeks(2), fleet(HVAC, STORAGE), asked, schedule=plan(0.0, -5.0))
    assert found.methods == {"hvac": BaselineMethod.HIGH_4_OF_5, "storage": BaselineMethod.SCHEDULE}
    assert found.power_kw[1] == pytest.approx(np.full(7, -5.0))
    # Highest four of 100 to 104: 102.5 kW. The three hours that adjust end at 16:50; only those before notice count.
    assert found.adjustment_ratio["hvac"] == pytest.approx(110.0 / 102.5)


def test_hours_of_another_call_are_unknown_to_a_rule_as_well() -> None:
    meter = two_weeks()
    meter.days[EVENT_DAY][:, 40:60] = 1.0
    asked = draft(baseline_method=BaselineMethod.HIGH_4_OF_5)
    called = CalledHours(spans=((at(10), at(15)),))
    told = baseline_of(meter, fleet(HVAC), asked, called=called, notice_s=at(15), start_s=at(16), end_s=at(17))
    assert told.adjustment_ratio["hvac"] == 1.0, "12:00 to 15:00 was called"
    assert baseline_of(meter, fleet(HVAC), asked, notice_s=at(15), start_s=at(16), end_s=at(17)).adjustment_ratio[
        "hvac"
    ] == pytest.approx(1.0 / 102.5)


def test_without_enough_days_the_meter_before_stands_in_and_the_reason_is_said() -> None:
    meter = Ledger(1)
    meter.fill(date(2026, 7, 14), 90.0)
    meter.fill(EVENT_DAY, 70.0)
    found = baseline_of(meter, fleet(HVAC), draft(baseline_method=BaselineMethod.MEAN_10_OF_10))
    assert found.methods == {"hvac": BaselineMethod.METER_BEFORE}
    assert ("hvac", "1 like days of at least 5") in found.notes


def test_sessions_are_a_choice_like_any_other() -> None:
    index = fleet(EV, HVAC)
    plain = MethodChoice()
    averaged = MethodChoice(usual={**plain.usual, EV: BaselineMethod.MATCH_DAY}, quick=plain.quick)
    assert plain.measured_by_session(draft(), index).tolist() == [True, False]
    assert EV not in averaged.own_meters(draft())
    assert averaged.own_meters(draft(baseline_method=BaselineMethod.SESSION))[EV] is BaselineMethod.SESSION
    assert EV in averaged.own_meters(draft(notice_class=NoticeClass.FAST)), "the quick methods are chosen apart"


def test_loads_follow_their_own_meters_by_programme_or_by_request() -> None:
    plain, own, stored = MethodChoice(), BaselineMethod.OWN_METER, BaselineMethod.STORED_SCHEDULE
    assert plain.own_meters(draft())[HVAC] is own
    assert choice(BaselineMethod.MATCH_DAY).own_meters(draft()) == {
        EV: BaselineMethod.SESSION_COURSE,
        INDUSTRY: own,
        PV: BaselineMethod.ROOF_YIELD,
        STORAGE: stored,
        V2G: stored,
    }
    assert choice(BaselineMethod.MATCH_DAY).own_meters(draft(baseline_method=own))[HVAC] is own
    assert plain.own_meters(draft(baseline_method=BaselineMethod.SAME_TYPE_DAYS)) == {}


def test_what_is_frozen_for_a_load_that_follows_its_meter_is_the_shape_of_like_days_even_of_one() -> None:
    meter = Ledger(1)
    meter.fill(date(2026, 7, 14), 90.0)
    meter.fill(EVENT_DAY, 70.0)
    meter.days[date(2026, 7, 14)][:, 70:72] = 99.0
    found = baseline_of(meter, fleet(HVAC))
    assert found.methods == {"hvac": BaselineMethod.OWN_METER}
    assert found.power_kw.max() / found.power_kw.min() == pytest.approx(1.1)
    averaged = baseline_of(meter, fleet(HVAC), draft(baseline_method=BaselineMethod.SAME_TYPE_DAYS))
    assert averaged.methods == {"hvac": BaselineMethod.METER_BEFORE}, "one day is no average"
