"""Quotes: what a request can be promised, its limits, rebound and counter-offers."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import EV, INDUSTRY, NOW, NOW_S, RESOURCES, STORAGE, forecast, index, state
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import Direction, NoticeClass, Product, Quote, RequestDraft, Verdict
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import Quality
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.fleet_state import FleetState
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.planning.quote.quote import quote


def draft(**changes: object) -> RequestDraft:
    values: dict[str, object] = {
        "product": Product.PEAK_SHAVING,
        "direction": Direction.UP,
        "target_kw": 200.0,
        "area": "city",
        "start_at": NOW.replace(hour=4, minute=30),
        "end_at": NOW.replace(hour=5, minute=30),
        "notice_class": NoticeClass.FAST,
    }
    return RequestDraft(**(values | changes))  # type: ignore[arg-type]  # a test table


def ask(request: RequestDraft, picture: FleetState | None = None, **changes: object) -> Quote:
    picture = picture or state()
    expected = forecast(picture)
    values: dict[str, object] = {
        "state": picture,
        "forecast": expected,
        "schedule": None,
        "delivery_ratio": np.ones(len(picture)),
        "committed_kw": np.zeros(expected.grid.count),
        "now": NOW,
    }
    return quote(request, **(values | changes))  # type: ignore[arg-type]  # a test table


def limit_names(answer: Quote) -> str:
    return "; ".join(limit.name for limit in answer.limits)


def test_a_request_within_reach_is_feasible_and_says_what_it_costs() -> None:
    answer = ask(draft())
    assert answer.verdict is Verdict.FEASIBLE
    assert len(answer.interval_starts_at) == len(answer.deliverable_p50_kw) == 4
    assert answer.interval_starts_at[0] == NOW + timedelta(minutes=30)
    for p10, p50, p90 in zip(
        answer.deliverable_p10_kw, answer.deliverable_p50_kw, answer.deliverable_p90_kw, strict=True
    ):
        assert p10 < p50 < p90
    # EV to its floor 5.6; V2G 15; storage 90 over an hour; building 90; plant 150.
    assert answer.p50_kw == pytest.approx(5.6 + 15.0 + 90.0 + 90.0 + 150.0, abs=0.1)
    assert answer.cost_cny > 0.0
    assert answer.max_hold_minutes >= 60.0
    assert answer.counter_offers == ()
    assert answer.promises_broken == 0
    assert answer.expires_at == NOW + timedelta(seconds=300)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("target_kw", [400.0, 100_000.0])
@pytest.mark.parametrize("minutes", [60, 150])
def test_a_request_beyond_the_fleet_gets_limits_and_offers_that_are_deliverable(
    direction: Direction, target_kw: float, minutes: int
) -> None:
    asked = draft(
        target_kw=target_kw,
        direction=direction,
        end_at=NOW + timedelta(minutes=30 + minutes),
        min_delivered_ratio=0.8,
    )
    answer = ask(asked)
    assert answer.verdict is not Verdict.FEASIBLE
    assert answer.limits
    assert answer.counter_offers
    for offer in answer.counter_offers:
        again = replace(asked, target_kw=offer.target_kw, start_at=offer.start_at, end_at=offer.end_at)
        assert ask(again).verdict is Verdict.FEASIBLE, offer


def test_a_long_hold_names_the_sustain_time_and_the_energy() -> None:
    answer = ask(draft(target_kw=330.0, end_at=NOW + timedelta(hours=3)))
    assert answer.verdict is Verdict.PARTIAL
    assert "hvac sustain 60 min" in limit_names(answer)
    assert "storage energy" in limit_names(answer)
    kinds = {offer.kind for offer in answer.counter_offers}
    assert {"less_power", "shorter_hold"} <= kinds
    assert answer.max_hold_minutes < 150.0


def test_a_plan_that_discharges_storage_anyway_leaves_less_to_promise() -> None:
    picture = state()
    power = forecast(picture).expected_kw[:, :96].copy()
    power[STORAGE, 2:6] = -90.0
    plan = Schedule(
        grid=TimeGrid(start_at=NOW),
        power_kw=power,
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
    assert ask(draft(), schedule=plan).p50_kw == pytest.approx(ask(draft()).p50_kw - 90.0, abs=0.5)


def test_stale_and_disconnected_rows_count_nothing() -> None:
    quality = np.full(6, Quality.GOOD, dtype=np.uint8)
    quality[INDUSTRY] = Quality.STALE
    answer = ask(draft(), state(quality=quality))
    assert answer.p50_kw == pytest.approx(200.6, abs=0.1)
    assert "telemetry stale for" in limit_names(answer)
    nobody = ask(draft(), state(connected=np.zeros(6, dtype=bool)))
    assert nobody.verdict is Verdict.INFEASIBLE
    assert nobody.p50_kw == 0.0
    assert nobody.counter_offers == ()


def test_a_driver_without_time_or_will_is_never_shed() -> None:
    east = draft(area="east", target_kw=1.0)
    soc = np.full(6, np.nan)  # leaves the V2G car out
    willing = ask(east, state(soc=soc))
    assert willing.p50_kw == pytest.approx(5.6, abs=0.01)
    departure = state().departure_s.copy()
    departure[EV] = NOW_S + 20.0 / 7.0 * 3600.0
    hurried = ask(east, state(soc=soc, departure_s=departure))
    assert hurried.p50_kw == pytest.approx(0.0, abs=0.01)
    assert "driver deadlines" in limit_names(hurried)
    opted_out = ask(east, state(soc=soc, sheddable=np.zeros(6, dtype=bool)))
    assert opted_out.p50_kw == 0.0


def test_what_is_promised_to_others_is_not_promised_again() -> None:
    committed = np.zeros(192)
    committed[2:6] = 300.0
    answer = ask(draft(), committed_kw=committed)
    assert answer.verdict is not Verdict.FEASIBLE
    assert answer.p50_kw == pytest.approx(50.6, abs=0.1)
    assert "already promised to other requests" in limit_names(answer)
    assert "later_start" in {offer.kind for offer in answer.counter_offers}


def test_a_measured_delivery_ratio_scales_the_promise_and_widens_its_chances() -> None:
    sure, unsure = ask(draft()), ask(draft(), delivery_ratio=np.full(6, 0.8))
    assert unsure.p50_kw == pytest.approx(0.8 * sure.p50_kw, rel=1e-6)
    sure_width = sure.deliverable_p50_kw[0] - sure.deliverable_p10_kw[0]
    unsure_width = unsure.deliverable_p50_kw[0] - unsure.deliverable_p10_kw[0]
    assert unsure_width > sure_width


def test_a_raise_respects_transformer_caps_and_keeps_photovoltaics_apart() -> None:
    free = ask(draft(direction=Direction.DOWN, target_kw=50.0))
    assert "photovoltaic curtailment" in limit_names(free)
    # West expects 480 + 360 - 30 kW; the cap leaves 30 more.
    capped = ask(draft(direction=Direction.DOWN, target_kw=50.0, area="west"), state(index(west_limit_kw=840.0)))
    assert capped.p50_kw == pytest.approx(30.0, abs=0.1)
    assert "transformer tr-west cap" in limit_names(capped)


def test_rebound_is_told_and_its_cap_is_kept() -> None:
    answer = ask(draft(target_kw=350.0))
    assert len(answer.rebound_kw) == 8
    # The building returns 15 % of 90 kWh, fast at first; the V2G car takes its 15 kWh back for an hour; the other car,
    # on full power anyhow, has no room to catch up faster.
    first_quarter = 0.15 * 90.0 * (1.0 - np.exp(-0.25 * 1.5)) / 0.25
    assert answer.rebound_kw[0] == pytest.approx(15.0 + first_quarter, abs=0.5)
    assert answer.recovery_kwh == pytest.approx(0.15 * 90.0 + 15.0 + 5.6 + 90.0, abs=1.0)
    assert 0.0 < answer.recovery_minutes <= 120.0
    capped = ask(draft(target_kw=350.0, rebound_cap_kw=2.0))
    assert capped.verdict is Verdict.PARTIAL
    assert "rebound cap" in limit_names(capped)
    assert max(capped.rebound_kw) <= 2.0 + 1e-6


def test_a_draft_that_makes_no_sense_is_refused_by_field() -> None:
    with pytest.raises(InputError, match="target_kw"):
        ask(draft(target_kw=-1.0))
    with pytest.raises(InputError, match="end_at"):
        ask(draft(end_at=NOW))
    with pytest.raises(InputError, match="start_at"):
        ask(draft(start_at=NOW - timedelta(hours=1)))
    with pytest.raises(InputError, match="committed_kw"):
        ask(draft(), committed_kw=np.zeros(3))
    with pytest.raises(UnknownIdError, match="north"):
        ask(draft(area="north"))


@pytest.mark.parametrize("passed_s", [300.0, 600.0, 890.0])
def test_a_quote_does_not_depend_on_how_far_the_running_quarter_of_an_hour_is(passed_s: float) -> None:
    power_kw, battery = -60.0, RESOURCES[STORAGE]
    # Until the hold's end the schedule takes 90 kWh at the meter; 20 more are there to be called.
    stored_kwh = 0.1 * battery.capacity_kwh + 110.0 / battery.efficiency
    begun = state(soc=np.array([np.nan, 0.7, stored_kwh / battery.capacity_kwh, np.nan, np.nan, np.nan]))
    taken_kwh = 60.0 / battery.efficiency * passed_s / 3600.0
    soc, need = begun.soc.copy(), begun.need_kwh.copy()
    soc[STORAGE] -= taken_kwh / battery.capacity_kwh
    need[0] -= begun.power_kw[0] * passed_s / 3600.0
    later = replace(begun, at_s=NOW_S + passed_s, soc=soc, need_kwh=need)
    expected = forecast(begun, row_2=power_kw)
    asked = draft(target_kw=1000.0)
    at_once = ask(asked, begun, forecast=expected)
    after = ask(asked, later, forecast=expected, now=instant(later.at_s))
    assert after.p50_kw == pytest.approx(at_once.p50_kw, rel=1e-3)


def test_a_service_that_sells_only_what_is_certain_says_so_and_offers_it() -> None:
    certain = FlexibilityPolicy(certain_ratio=1.0)
    sold = ask(draft(target_kw=345.0))
    careful = ask(draft(target_kw=345.0), policy=certain)
    assert (sold.verdict, sold.certain_ratio) == (Verdict.FEASIBLE, 0.0)
    assert (careful.verdict, careful.certain_ratio) == (Verdict.PARTIAL, 1.0)
    assert careful.deliverable_p10_kw == sold.deliverable_p10_kw
    offers = {offer.kind: offer.target_kw for offer in careful.counter_offers}
    assert offers["less_power"] <= min(careful.deliverable_p10_kw)
    assert ask(draft(target_kw=offers["less_power"]), policy=certain).verdict is Verdict.FEASIBLE
