"""The quote of a request for regulation: the lesser of both directions, step by step, of who can follow."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from vpp.domain.regulation import FOLLOWING
from vpp.domain.request import CITY, Direction, NoticeClass, Product, Quote, RequestDraft, Verdict
from vpp.domain.resource import ResourceClass
from vpp.domain.timegrid import instant
from vpp.fleet.fleet_state import FleetState
from vpp.lab.bench.synthetic_city import NOW_S, City, CityMeter, city, plan_of, snapshot
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.quote.quote_cache import QuoteCache
from vpp.planning.quote.regulation_quote import UNQUALIFIED

ROWS = 1_500


@cache
def _made() -> City:
    return city(ROWS)


@cache
def _seen() -> tuple[FleetState, Forecast]:
    state = snapshot(_made(), seed=1)
    return state, forecast(state, CityMeter(made=_made()), load_history=LoadHistory(days=3))


def _draft(target_kw: float, product: Product = Product.REGULATION) -> RequestDraft:
    return RequestDraft(
        product=product,
        direction=Direction.UP,
        target_kw=target_kw,
        area=CITY,
        start_at=instant(NOW_S + 5_400.0),
        end_at=instant(NOW_S + 9_000.0),
        notice_class=NoticeClass.INTRADAY,
    )


def _quoted(
    draft: RequestDraft, committed_kw: float = 0.0, score: float | None = None, cars: float | None = None
) -> Quote:
    """Return a quote; ``score`` is expected of every row, ``cars`` of chargers."""
    state, expected = _seen()
    scores = np.where(state.index.is_class(ResourceClass.EV), score if cars is None else cars, score)
    return QuoteCache().quote(
        draft,
        state=state,
        forecast=expected,
        schedule=plan_of(state, expected),
        delivery_ratio=lambda: np.full(len(state), 0.95),
        committed_kw=np.full(expected.grid.count, committed_kw),
        now=instant(NOW_S),
        score=None if score is None else lambda: scores.astype(np.float64),
    )


def test_less_than_can_be_had_is_feasible_and_the_same_whichever_direction_is_named() -> None:
    answer = _quoted(_draft(100.0))
    other = _quoted(replace(_draft(100.0), direction=Direction.DOWN))
    assert answer.verdict is Verdict.FEASIBLE
    assert answer.max_hold_minutes == 60.0
    assert not answer.counter_offers
    assert answer.deliverable_p50_kw == other.deliverable_p50_kw
    assert answer.cost_cny > 0.0
    assert answer.energy_kwh == 0.0


def test_too_much_gets_what_can_be_had_instead_and_that_is_feasible() -> None:
    answer = _quoted(_draft(1e9))
    assert answer.verdict is Verdict.INFEASIBLE
    (offer,) = answer.counter_offers
    assert offer.target_kw == pytest.approx(0.95 * answer.p50_kw, abs=1.0)
    assert _quoted(_draft(offer.target_kw)).verdict is Verdict.FEASIBLE
    assert answer.confidence_ratio == pytest.approx(0.0)
    assert {limit.name.partition(":")[0] for limit in answer.limits} == {"up", "down"}


def test_chances_are_in_order_and_nothing_is_below_zero() -> None:
    answer = _quoted(_draft(1e9))
    chances = np.array([answer.deliverable_p10_kw, answer.deliverable_p50_kw, answer.deliverable_p90_kw])
    assert chances.shape == (3, 4)
    assert (np.diff(chances, axis=0) >= -1e-9).all()
    assert (chances >= 0.0).all()


def test_buildings_and_plants_are_not_counted() -> None:
    cut = _quoted(_draft(1e9, Product.PEAK_SHAVING))
    both = _quoted(_draft(1e9))
    index = _made().index
    following = index.is_class(*FOLLOWING)
    assert both.p50_kw <= float((index.nameplate.p_max_kw - index.nameplate.p_min_kw)[following].sum())
    assert both.p50_kw != cut.p50_kw


def test_what_is_promised_to_others_cannot_be_had_in_either_direction() -> None:
    free, promised = _quoted(_draft(1e9)), _quoted(_draft(1e9), committed_kw=50.0)
    assert np.array(promised.deliverable_p50_kw) == pytest.approx(
        np.maximum(np.array(free.deliverable_p50_kw) - 50.0, 0.0)
    )


def test_all_that_can_follow_is_offered_where_it_is_expected_to_follow_well() -> None:
    everybody, well = _quoted(_draft(1e9)), _quoted(_draft(1e9), score=0.99)
    assert well.deliverable_p50_kw == pytest.approx(everybody.deliverable_p50_kw)
    assert well.regulation_score == pytest.approx(0.99)
    assert everybody.regulation_score is None
    assert not [limit for limit in well.limits if UNQUALIFIED in limit.name]


def test_no_more_is_offered_than_is_expected_to_reach_the_least_score_and_the_rest_is_named() -> None:
    everybody, some = _quoted(_draft(1e9)), _quoted(_draft(1e9), score=0.97, cars=0.80)
    assert some.regulation_score is not None
    assert some.regulation_score >= 0.95
    assert 0.0 < some.p50_kw <= everybody.p50_kw
    named = {limit.name: limit.kw for limit in some.limits if UNQUALIFIED in limit.name}
    assert named[f"up: {UNQUALIFIED}"] > 0.0
    nobody = _quoted(_draft(1e9), score=0.80)
    assert nobody.verdict is Verdict.INFEASIBLE
    assert nobody.p50_kw == 0.0


def test_a_small_request_is_expected_to_be_followed_by_the_best() -> None:
    little, much = _quoted(_draft(10.0), score=0.99, cars=0.94), _quoted(_draft(1e9), score=0.99, cars=0.94)
    assert little.regulation_score == pytest.approx(0.99)
    assert much.regulation_score is not None
    assert 0.95 <= much.regulation_score < 0.99
