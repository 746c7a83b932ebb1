"""Delivered power, accuracy, ramp and rebound, by hand."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.performance_parts import BASELINE, DRAFT, EVERYBODY, GRID, INDEX, REQUEST, START_S
from vpp.domain.errors import InputError
from vpp.domain.performance import Baseline, Performance
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    RequestDraft,
)
from vpp.settlement.delivery import delivery
from vpp.settlement.money.settlement_terms import SettlementTerms
from vpp.settlement.performance import baseline_spread, evaluate, phases_of, target_profile
from vpp.settlement.tracking import MinuteSeries

STEP = timedelta(minutes=15)
PHASES = phases_of(GRID, start_s=START_S, end_s=START_S + 1800.0, release_end_s=START_S + 2700.0)
TARGET = target_profile(
    GRID,
    100.0,
    ramp_s=START_S - 600.0,
    start_s=START_S,
    end_s=START_S + 1800.0,
    release_end_s=START_S + 2700.0,
)
CUT = np.array([20.0, 98.0, 105.0, 50.0, -30.0, -10.0])
"""Total cut of each step, taken by the first EV."""


def measured() -> np.ndarray:
    meters = BASELINE.power_kw.copy()
    meters[0] -= CUT
    return meters


def evaluated(meters: np.ndarray | None = None, request: DispatchRequest = REQUEST, **changes: object) -> Performance:
    given: dict[str, object] = {
        "index": INDEX,
        "portfolio": EVERYBODY,
        "baseline": BASELINE,
        "measured_kw": measured() if meters is None else meters,
        "metered_ratio": np.ones(BASELINE.power_kw.shape),
        "hold_s": (START_S, START_S + 1800.0),
        "target_kw": TARGET,
        "phases": PHASES,
        "ramp_s": START_S - 600.0,
        "issued_at": GRID.end_at,
    }
    return evaluate(request, **{**given, **changes})


def test_phases_follow_the_timetable() -> None:
    assert PHASES == ("ramping", "holding", "holding", "releasing", "rebound_watch", "rebound_watch")


def test_a_step_is_held_only_if_the_hold_fills_it() -> None:
    phases = phases_of(GRID, start_s=START_S + 60.0, end_s=START_S + 1800.0, release_end_s=START_S + 1800.0)
    assert phases == ("ramping", "ramping", "holding", "rebound_watch", "rebound_watch", "rebound_watch")


def test_a_hold_shorter_than_a_step_takes_the_step_it_fills_most() -> None:
    phases = phases_of(GRID, start_s=START_S + 300.0, end_s=START_S + 600.0, release_end_s=START_S + 600.0)
    assert phases.count("holding") == 1
    assert phases[1] == "holding"


def test_the_target_is_the_mean_of_the_ramp_the_hold_and_the_release() -> None:
    # Ten minutes of ramp in fifteen: (10/2)/15; the release fills its step: one half.
    assert pytest.approx([100.0 / 3.0, 100.0, 100.0, 50.0, 0.0, 0.0]) == TARGET


def test_a_target_may_step_without_a_ramp() -> None:
    square = target_profile(
        GRID, 60.0, ramp_s=START_S, start_s=START_S, end_s=START_S + 900.0, release_end_s=START_S + 900.0
    )
    assert square == pytest.approx([0.0, 60.0, 0.0, 0.0, 0.0, 0.0], abs=1e-3)


def test_accuracy_is_one_less_the_relative_miss_of_each_held_interval() -> None:
    result = evaluated()
    assert [i.accuracy_ratio for i in result.intervals[1:3]] == pytest.approx([0.98, 0.95])
    assert np.isnan([result.intervals[k].accuracy_ratio for k in (0, 3, 4, 5)]).all()
    assert result.accuracy_ratio == pytest.approx(0.965)
    assert result.worst_interval_accuracy_ratio == pytest.approx(0.95)
    assert result.delivered_mean_kw == pytest.approx(101.5)
    assert result.energy_kwh == pytest.approx(203.0 * 0.25)
    assert result.overshoot_kw == pytest.approx(5.0)
    assert result.hit_ratio == 1.0


def test_the_rebound_is_what_rises_above_baseline_after_the_hold() -> None:
    result = evaluated()
    assert result.rebound_peak_kw == pytest.approx(30.0)
    assert result.rebound_energy_kwh == pytest.approx(10.0)


def test_in_a_valley_filling_request_more_load_is_delivery() -> None:
    request = replace(REQUEST, draft=replace(DRAFT, direction=Direction.DOWN))
    meters = BASELINE.power_kw.copy()
    meters[2] += CUT
    result = evaluated(meters, request)
    assert result.delivered_mean_kw == pytest.approx(101.5)
    assert result.intervals[1].measured_kw == pytest.approx(498.0)
    assert result.rebound_peak_kw == pytest.approx(30.0)


def test_classes_add_up_to_the_whole() -> None:
    meters = measured()
    meters[2] -= 40.0
    result = evaluated(meters)
    assert result.class_delivered_kw == pytest.approx({"ev": 101.5, "storage": 40.0, "hvac": 0.0})
    assert sum(result.class_delivered_kw.values()) == pytest.approx(result.delivered_mean_kw)


def test_a_row_nobody_metered_claims_nothing() -> None:
    meters = measured()
    meters[2] = np.nan
    result = evaluated(meters)
    assert result.delivered_mean_kw == pytest.approx(101.5)
    assert result.intervals[1].good_ratio == pytest.approx(0.75)
    silent = measured()
    silent[0] = np.nan
    assert evaluated(silent).delivered_mean_kw == pytest.approx(0.0)


def test_an_interval_nobody_metered_delivers_nothing_and_is_named() -> None:
    meters = measured()
    meters[:, 2] = np.nan
    result = evaluated(meters, terms=SettlementTerms(price_cny_per_kwh=2.0))
    assert result.intervals[1].accuracy_ratio == pytest.approx(0.98)
    assert result.intervals[2].delivered_kw == 0.0
    assert np.isnan(result.intervals[2].measured_kw)
    assert result.intervals[2].metered_ratio == 0.0
    assert result.worst_interval_accuracy_ratio == 0.0
    assert result.energy_kwh == pytest.approx(98.0 * 0.25)
    assert result.settlement_cny["gross"] == pytest.approx(98.0 * 0.25 * 2.0)
    assert result.unmetered_count == 4
    assert {gone.resource_id: gone.starts_at for gone in result.unmetered}["r0"] == (GRID.start_at + STEP * 2,)


def test_what_was_metered_for_a_part_of_an_interval_is_credited_for_that_part() -> None:
    share = np.ones(BASELINE.power_kw.shape)
    share[0, 1] = 0.6
    result = evaluated(metered_ratio=share)
    assert result.intervals[1].delivered_kw == pytest.approx(0.6 * 98.0)
    assert result.intervals[1].metered_ratio == pytest.approx(0.9)
    assert result.unmetered == ()


def test_resources_without_a_baseline_are_not_measured() -> None:
    baseline = replace(BASELINE, excluded_ids=("r3",))
    meters = measured()
    meters[3] = 0.0
    result = evaluated(meters, baseline=baseline)
    assert result.delivered_mean_kw == pytest.approx(101.5)
    assert result.intervals[0].baseline_kw == pytest.approx(200.0)


def test_rows_outside_the_portfolio_are_not_measured() -> None:
    meters = measured()
    meters[3] = -999.0
    result = evaluated(meters, portfolio=np.array([True, True, True, False]))
    assert result.delivered_mean_kw == pytest.approx(101.5)


def test_while_it_runs_only_finished_intervals_are_reported() -> None:
    early = evaluated(until_s=START_S)
    assert len(early.intervals) == 1
    assert np.isnan([early.accuracy_ratio, early.delivered_mean_kw, early.energy_kwh, early.hit_ratio]).all()
    assert len(evaluated(until_s=START_S + 1000.0).intervals) == 2
    assert evaluated(until_s=0.0).intervals == ()


def test_the_ramp_ends_with_the_first_interval_at_nine_tenths() -> None:
    assert evaluated().ramp_minutes == pytest.approx(25.0)
    assert np.isnan(evaluated(BASELINE.power_kw).ramp_minutes)


def test_minutes_make_the_ramp_and_the_hits_finer() -> None:
    at_s = GRID.start_s + 60.0 * np.arange(90)
    delivered = np.where(at_s >= START_S - 120.0, 95.0, 0.0)
    delivered[at_s >= START_S + 900.0] = 80.0
    series = MinuteSeries(
        at_s=at_s,
        baseline_kw=np.full(90, 400.0),
        measured_kw=400.0 - delivered,
        target_kw=np.full(90, 100.0),
        delivered_kw=delivered,
        covered_s=np.full(90, 60.0),
    )
    result = evaluated(minutes=series)
    assert result.ramp_minutes == pytest.approx(9.0)
    assert result.hit_ratio == pytest.approx(0.5)


def test_the_spread_holds_every_method_that_some_class_could_get() -> None:
    def compute(draft: RequestDraft) -> Baseline:
        possible = draft.baseline_method is not BaselineMethod.SCHEDULE
        method = draft.baseline_method if possible else BaselineMethod.METER_BEFORE
        lift = 10.0 if draft.baseline_method is BaselineMethod.METER_BEFORE else 0.0
        return replace(BASELINE, methods={"ev": method}, power_kw=BASELINE.power_kw + lift / 4.0)

    spread = baseline_spread(
        DRAFT,
        compute,
        index=INDEX,
        portfolio=EVERYBODY,
        measured_kw=measured(),
        metered_ratio=np.ones(BASELINE.power_kw.shape),
        phases=PHASES,
    )
    assert spread == pytest.approx({"same_type_days": 101.5, "meter_before": 111.5})


def test_meters_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="as the baseline"):
        delivery(
            BASELINE,
            np.zeros((4, 5)),
            metered_ratio=np.ones((4, 5)),
            index=INDEX,
            portfolio=EVERYBODY,
            direction=Direction.UP,
        )


def test_a_settled_performance_names_its_rule() -> None:
    result = evaluated(terms=SettlementTerms(price_cny_per_kwh=1.0, retained_ratio=0.0))
    assert result.settlement_rule == "shanghai_80_120_placeholder/1"
    assert result.settlement_cny["gross"] == pytest.approx(203.0 * 0.25)
