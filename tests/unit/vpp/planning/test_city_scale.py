"""Planning at city scale, tried on a small synthetic city: cells, past, forecast, declarations, re-dispatch."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from forecasts.seasonal import seasonal
from forecasts.seasonal_profile import seasonal_profile
from forecasts.series import History
from optimizer.problem.problem import Problem
from optimizer.solve import solve
from vpp.domain.fleet_state import FleetState
from vpp.domain.request import CITY, Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.lab.bench.quote import drafts_of
from vpp.lab.bench.synthetic_city import KINDS, NOW_S, City, CityMeter, city, picture, plan_of, share_at
from vpp.planning.aggregation import Aggregation
from vpp.planning.forecast import load_series
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.quote.capability import SUSTAINS_H, Declaration, declare
from vpp.planning.quote.flexibility_envelope import room
from vpp.planning.quote.outlook import Outlook
from vpp.planning.quote.quote import quote_on
from vpp.planning.quote.quote_basis import QuoteBasis
from vpp.planning.quote.quote_cache import QuoteCache
from vpp.planning.quote.response_rate import PRIOR_RATIO, ResponseRates
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.redispatch import band_of, to_event_problem, to_intended
from vpp.planning.schedule.reserve_energy import Rebuilding, ReserveWindow, held_windows
from vpp.planning.schedule.translate import PlanningPolicy, to_problem, to_schedule, with_reserve
from vpp.planning.tariff import Tariff

ROWS = 3_000
DAY = 86_400.0


@cache
def made() -> City:
    return city(ROWS)


@cache
def now() -> FleetState:
    return picture(made(), seed=1)


@cache
def outlook() -> Forecast:
    return forecast(now(), CityMeter(made=made()), load_history=LoadHistory(days=3))


@cache
def ground() -> QuoteBasis:
    seen = Outlook.of(now(), forecast=outlook(), schedule=plan_of(now(), outlook()))
    return QuoteBasis.of(seen, np.full(len(now()), 0.95))


def draft(**changes: object) -> RequestDraft:
    values: dict[str, object] = {
        "product": Product.PEAK_SHAVING,
        "direction": Direction.UP,
        "target_kw": 2_000.0,
        "area": CITY,
        "start_at": instant(NOW_S + 5_400.0),
        "end_at": instant(NOW_S + 12_600.0),
        "notice_class": NoticeClass.INTRADAY,
    }
    return RequestDraft(**(values | changes))  # type: ignore[arg-type]  # a test table


# Forecast


def test_the_usual_day_in_blocks_is_the_seasonal_mean_and_spread() -> None:
    random = np.random.default_rng(3)
    power = random.uniform(0.0, 9.0, (700, 7 * 96))
    power[random.random(power.shape) < 0.1] = np.nan
    history = History(power_kw=power, steps_per_day=96, step_s=900, end_s=DAY, available_at_s=DAY)
    same = random.random((7, 120)) < 0.6
    usable = random.random((700, 7)) < 0.7
    group = random.integers(0, 4, 700)
    whole = seasonal(history, same, group=group, usable=usable)
    mean, spread = seasonal_profile(history, same, group=group, usable=usable)
    np.testing.assert_allclose(mean, whole.mean_kw, rtol=1e-5)
    np.testing.assert_allclose(spread, whole.spread_kw, rtol=1e-4, atol=1e-4)


def test_chargers_of_a_large_fleet_are_forecast_as_cohorts_that_add_up_to_their_usual_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_series, "ONE_BY_ONE_ROWS", 100)
    found = forecast(now(), CityMeter(made=made()), load_history=LoadHistory(days=3))
    chargers = made().index.is_class(ResourceClass.EV)
    hours = (found.grid.starts_s() + 8 * 3600.0) % DAY / 3600.0
    size = made().index.nameplate.p_max_kw
    usual_kw = sum(
        share_at(kind, hours) * size[made().kind == code].sum()
        for code, kind in enumerate(KINDS)
        if kind.resource_class is ResourceClass.EV
    )
    total = found.expected_kw[chargers].sum(axis=0, dtype=np.float64)
    # The evening is foreseen though nobody who will charge then is plugged in now.
    evening = slice(40, 60)
    assert total[evening].mean() == pytest.approx(float(np.asarray(usual_kw)[evening].mean()), rel=0.15)
    assert np.isfinite(found.expected_kw).all()
    assert found.expected_kw.dtype == np.float32


def test_the_past_reads_only_what_is_new() -> None:
    asked: list[int] = []

    class Noted:
        def read(self, grid: TimeGrid) -> FloatArray:
            asked.append(grid.count)
            return CityMeter(made=made()).read(grid)

    past, index = LoadHistory(days=2), made().index
    first = past.read(index, Noted(), NOW_S).copy()
    assert sum(asked) == 2 * 96
    asked.clear()
    later = past.read(index, Noted(), NOW_S + 900.0)
    assert sum(asked) <= 16
    np.testing.assert_array_equal(later[:, :-16], first[:, 1:-15])
    past.forget()
    asked.clear()
    past.read(index, Noted(), NOW_S + 900.0)
    assert sum(asked) == 2 * 96


# Cells


@pytest.mark.parametrize("direction", list(Direction))
def test_sums_over_cells_are_sums_over_rows(direction: Direction) -> None:
    one = QuoteBasis.of(ground().outlook, ground().delivery_ratio, Aggregation.single(made().index))
    first, length = np.array([2, 7, 40]), np.array([1, 8, 4])
    together = room(ground(), direction, first, length).sums
    apart = room(one, direction, first, length).sums
    for name in ("room_kw", "mean_kw", "variance"):
        np.testing.assert_allclose(
            getattr(together, name).sum(axis=0), getattr(apart, name).sum(axis=0), rtol=1e-6, atol=1e-6
        )


def test_a_store_is_never_asked_for_more_energy_than_it_holds() -> None:
    found = room(ground(), Direction.UP, np.array([0]), np.array([16]))
    stores = ground().stores
    drawn_kwh = found.stores_kw[:, 0] / stores.ratio * 4.0 / stores.efficiency
    assert (drawn_kwh <= np.maximum(stores.stored_kwh[:, 15] - stores.floor_kwh, 0.0) + 1e-6).all()


# Declaration


@cache
def declaration() -> Declaration:
    return declare(ground(), steps=96)


@pytest.mark.parametrize("direction", list(Direction))
def test_longer_holds_and_better_chances_mean_less_power(direction: Direction) -> None:
    tables = declaration().tables[direction]
    for table in tables:
        assert (table.p10_kw <= table.p50_kw + 1e-9).all()
        assert (table.p50_kw <= table.p90_kw + 1e-9).all()
        assert (table.without_largest_kw <= table.p50_kw + 1e-9).all()
    for shorter, longer in pairwise(tables):
        # Energy lasts less long; only what is still to come can make a later interval richer.
        assert (longer.p50_kw.sum(axis=1) <= shorter.p50_kw.sum(axis=1) + 1e-6).all()
    np.testing.assert_allclose(tables[0].p50_kw[-1], tables[0].p50_kw[:-1].sum(axis=0), rtol=1e-6)


def test_a_declaration_is_what_the_quote_of_the_same_window_finds_or_a_little_less() -> None:
    # A quote lets batteries even out what others leave uneven; a declaration of 96 points does not.
    answer = quote_on(
        ground(), draft(end_at=instant(NOW_S + 9_000.0)), committed_kw=np.zeros(192), now=instant(NOW_S - 36_000.0)
    )
    step = ground().outlook.grid.index_at(NOW_S + 5_400.0)
    table = declaration().tables[Direction.UP][SUSTAINS_H.index(1.0)]
    assert 1.0 - 1e-6 <= answer.p50_kw / table.p50_kw[-1, step] <= 1.05
    assert 1.0 - 1e-6 <= min(answer.deliverable_p10_kw) / table.p10_kw[-1, step] <= 1.05


def test_nothing_is_declared_above_what_was_verified() -> None:
    day = TimeGrid(start_at=instant(NOW_S), count=8)
    untested = declaration().capability(CITY, Direction.UP, day, verified_kw=0.0)
    tested = declaration().capability(CITY, Direction.UP, day, verified_kw=500.0)
    assert untested.contracted_kw is not None
    assert not untested.tested
    np.testing.assert_array_equal(untested.declared_kw, untested.contracted_kw)
    assert tested.tested
    assert (tested.declared_kw == 500.0).all()
    assert [one.minutes for one in tested.sustained] == [15.0, 60.0, 120.0]


def test_a_link_that_carries_much_is_a_haircut_on_what_is_sure() -> None:
    seen = ground().outlook
    careless = replace(seen, policy=replace(seen.policy, operator_outage=0.0, adapter_outage=0.0))
    sure = declare(QuoteBasis.of(careless, ground().delivery_ratio), steps=8).tables[Direction.UP][1]
    table = declaration().tables[Direction.UP][1]
    assert (table.p10_kw[-1, :8] < sure.p10_kw[-1, :8]).all()
    np.testing.assert_allclose(table.p50_kw[-1, :8], sure.p50_kw[-1, :8])


# Quote


def test_any_draft_gets_an_answer_that_makes_sense() -> None:
    assessor = QuoteCache()
    for asked in drafts_of(made(), now(), 4, count=16):
        answer = assessor.quote(
            asked,
            state=now(),
            forecast=outlook(),
            schedule=None,
            delivery_ratio=lambda: np.full(len(now()), 0.95),
            committed_kw=np.zeros(192),
            now=instant(NOW_S),
        )
        lows, middles, highs = (
            np.array(values)
            for values in (answer.deliverable_p10_kw, answer.deliverable_p50_kw, answer.deliverable_p90_kw)
        )
        assert (lows <= middles + 1e-9).all()
        assert (middles <= highs + 1e-9).all()
        assert 0.0 <= answer.confidence_ratio <= 1.0
        assert answer.energy_kwh == pytest.approx(middles.sum() * 0.25)
        assert answer.promises_broken == 0
        if asked.rebound_cap_kw is not None and asked.direction is Direction.UP:
            assert max(answer.rebound_kw) <= asked.rebound_cap_kw * 1.001


def test_a_battery_that_is_emptied_falls_short_of_its_schedule_and_the_quote_says_so() -> None:
    evening = draft(target_kw=30_000.0, start_at=instant(NOW_S + 5.5 * 3600), end_at=instant(NOW_S + 6.5 * 3600))
    answer = quote_on(ground(), evening, committed_kw=np.zeros(192), now=instant(NOW_S))
    resting = QuoteBasis.of(Outlook.of(now(), forecast=outlook()), ground().delivery_ratio)
    rested = quote_on(resting, evening, committed_kw=np.zeros(192), now=instant(NOW_S))
    # From six to eight the plan discharges; with the charge gone that load comes back on top.
    assert max(answer.rebound_kw) > max(rested.rebound_kw)


# Delivery


def test_a_cohort_that_does_as_told_is_trusted_more_than_one_that_does_not() -> None:
    index, record = made().index, ResponseRates()
    rows = np.flatnonzero(index.is_class(*CHARGING) & now().connected & (now().quality == 0))
    told = np.full(len(index), np.nan)
    told[rows] = 3.0
    good = index.operator_code[rows] == index.operator_code[rows[0]]
    power = now().power_kw.copy()
    power[rows] = np.where(good, 3.0, 7.0)
    for cycle in range(4):
        record.observe(replace(now(), at_s=NOW_S + 100.0 * cycle, power_kw=power), told)
    ratio = record.ratio(index, {})
    assert ratio[rows[good]].min() > PRIOR_RATIO > ratio[rows[~good]].max()
    idle = np.flatnonzero(index.is_class(ResourceClass.HVAC))
    np.testing.assert_allclose(ratio[idle], PRIOR_RATIO)


# Reserve and re-dispatch


def _stores_up_kw(held: Sequence[ReserveWindow]) -> float:
    """Return what stores can still give from 20:00 for two hours beyond the plan that is made."""
    policy = PlanningPolicy(reserve=tuple(held))
    windows = held_windows(ground(), policy.reserve, replace(outlook().grid, count=96))
    translated = to_problem(now(), forecast=outlook(), tariff=Tariff(), policy=policy, count=96)
    translated = with_reserve(translated, windows, policy)
    plan = to_schedule(translated, solve(translated.problem, deadline_s=60.0), made().index)
    seen = QuoteBasis.of(Outlook.of(now(), forecast=outlook(), schedule=plan), np.ones(len(now())))
    return float(room(seen, Direction.UP, np.array([34]), np.array([8])).stores_kw.sum())


def test_a_reserve_window_keeps_charge_for_the_evening() -> None:
    evening = ReserveWindow(from_hour=20.0, until_hour=22.0, need_kw=1e5)
    stores = ground().stores
    stationary = stores.car == 0.0
    full_kwh = (0.95 * stores.capacity_kwh - stores.floor_kwh) * stores.efficiency
    kept_kw, free_kw = _stores_up_kw((evening,)), _stores_up_kw(())
    assert kept_kw > 2.0 * free_kw
    assert kept_kw >= 0.95 * full_kwh[stationary].sum() / 2.0, "all that full batteries last for in two hours"


def test_what_a_later_window_needs_and_nobody_could_win_back_is_kept_from_the_earlier_one_on() -> None:
    noon = ReserveWindow(from_hour=13.0, until_hour=15.0, need_kw=1e5)
    evening = ReserveWindow(from_hour=20.0, until_hour=22.0, need_kw=1e5)
    grid = replace(outlook().grid, count=96)
    alone = held_windows(ground(), (noon, evening), grid)
    slow = held_windows(ground(), (noon, evening), grid, Rebuilding(power_kw=1e4, after_h=1.25))
    fast = held_windows(ground(), (noon, evening), grid, Rebuilding(power_kw=1e6, after_h=1.25))
    assert fast == alone, "what comes back in time needs not be kept"
    assert slow[1] == alone[1]
    stores = ground().stores
    fixed = stores.car == 0.0
    size = stores.capacity_kwh[fixed]
    round_trip = float((size * stores.efficiency[fixed] ** 2).sum() / size.sum())
    won_back_kwh = round_trip * 1e4 * (5.0 - 1.25)
    assert 2.0 * (slow[0].need_kw - alone[0].need_kw) == pytest.approx(2.0 * alone[1].need_kw - won_back_kwh)


def _event(target_kw: float, cap_kw: float | None) -> Commitment:
    target, watched = np.zeros(96), np.zeros(96, dtype=np.bool_)
    target[6:14], watched[14:22] = target_kw, True
    return Commitment(
        rows=np.ones(len(now()), dtype=np.bool_),
        direction=Direction.UP,
        grid=TimeGrid(start_at=outlook().grid.start_at, count=96),
        target_kw=target,
        tolerance_ratio=0.05,
        rebound_cap_kw=cap_kw,
        watched=watched,
    )


def test_a_band_holds_the_target_else_the_rebound_cap_and_the_days_peak() -> None:
    total = np.linspace(9_000.0, 10_000.0, 96)
    band = band_of([_event(3_000.0, 200.0)], total)
    np.testing.assert_allclose(band.upper_kw[6:14], total[6:14] - 3_000.0)
    np.testing.assert_allclose(band.lower_kw[6:14], total[6:14] - 3_000.0 * 1.05)
    others = np.r_[0:6, 14:96]
    np.testing.assert_allclose(band.upper_kw[others], np.minimum(total + 200.0, 10_000.0)[others])
    free = band_of([_event(3_000.0, None)], total, bounded=22)
    np.testing.assert_allclose(free.upper_kw[:6], 10_000.0, err_msg="nobody charges up above the day's peak")
    assert np.isinf(free.upper_kw[22:]).all()


def test_batteries_need_not_have_won_back_what_only_they_can_give_and_the_cap_does_not_let_back() -> None:
    def stated(cap_kw: float, target_kw: float) -> Problem:
        return to_event_problem(
            now(),
            forecast=outlook(),
            plan=plan_of(now(), outlook()),
            events=[_event(target_kw, cap_kw)],
            tariff=Tariff(),
            policy=PlanningPolicy(),
            count=96,
        ).problem

    small, large = stated(500.0, 100.0), stated(500.0, 40_000.0)
    assert large.band is not None
    assert large.churn is not None
    total = large.network.base_kw.sum(axis=0) + large.churn.previous_kw.sum(axis=0)
    room_kwh = 0.25 * np.maximum(large.band.upper_kw - total, 0.0)[14:].sum()
    fixed = small.storing.reserving
    due, relieved = small.storing.soc_end, large.storing.soc_end
    capacity_kwh, efficiency = small.storing.capacity_kwh[fixed], small.storing.efficiency[fixed]
    most = (0.25 * 8 * 40_000.0 - room_kwh) / capacity_kwh.sum() / efficiency
    assert due[fixed].any(), "buildings and plants can give a small request alone"
    assert (relieved[fixed] < due[fixed])[due[fixed] > 0.0].all()
    assert (relieved[fixed] >= np.maximum(due[fixed] - most, 0.0)).all()
    np.testing.assert_array_equal(relieved[~fixed], due[~fixed])


def test_a_promised_cut_is_planned_for_and_its_rebound_stays_under_the_cap() -> None:
    plan = plan_of(now(), outlook())
    translated = to_event_problem(
        now(),
        forecast=outlook(),
        plan=plan,
        events=[_event(3_000.0, 200.0)],
        tariff=Tariff(),
        policy=PlanningPolicy(),
        count=96,
    )
    found = solve(translated.problem, deadline_s=60.0)
    assert found.excess_kw.max() == pytest.approx(0.0, abs=1.0)
    churn = translated.problem.churn
    assert churn is not None
    change = churn.previous_kw.sum(axis=0) - found.power_kw.sum(axis=0)
    assert change[6:14].min() >= 3_000.0 - 1.0
    assert change[6:14].max() <= 3_150.0 + 1.0
    assert change[14:22].min() >= -200.0 - 1.0
    intended = to_intended(translated, found, now())
    moved = np.isfinite(intended.power_kw).all(axis=1)
    assert not moved[made().index.is_class(ResourceClass.PV)].any(), "a cut never touches photovoltaics"
    assert moved[made().index.is_class(ResourceClass.STORAGE)].any()
    assert intended.grid.end_at - intended.grid.start_at >= timedelta(hours=5)
