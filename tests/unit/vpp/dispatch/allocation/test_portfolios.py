"""Portfolios with their frozen baselines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import fleet
from vpp.dispatch.allocation.portfolios import FrozenPortfolio, Portfolios, class_rows, portfolio_at
from vpp.domain.performance import Baseline
from vpp.domain.request import (
    CITY,
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    RequestDraft,
    RequestState,
)
from vpp.domain.timegrid import TimeGrid

START = datetime(2026, 7, 15, 6, 0, tzinfo=UTC)
INDEX = fleet()
COUNT = len(INDEX)
REQUEST = DispatchRequest(
    id="req",
    draft=RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=100.0,
        area=CITY,
        start_at=START,
        end_at=START + timedelta(hours=1),
        notice_class=NoticeClass.FAST,
    ),
    state=RequestState.SCHEDULED,
    created_at=START,
)


def baseline(method: BaselineMethod, loads: BaselineMethod = BaselineMethod.SAME_TYPE_DAYS) -> Baseline:
    return Baseline(
        grid=TimeGrid(start_at=START, count=4),
        power_kw=np.full((COUNT, 4), 2.0),
        methods={"ev": method, "hvac": loads},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
    )


def test_without_a_name_all_rows_of_the_area_count_and_with_one_the_named_ones() -> None:
    portfolios, named = Portfolios(INDEX), np.arange(COUNT) < 3
    assert portfolios.frozen(REQUEST, None, {}).rows.all()
    found = portfolios.frozen(REQUEST, None, {"req": named})
    assert np.array_equal(found.rows, named)
    assert found.curve is None


def test_a_request_that_is_still_to_be_enlisted_takes_no_row_of_those_that_overlap_it() -> None:
    beside = [replace(REQUEST, id="first"), replace(REQUEST, id="enlisted too late")]
    portfolios, first = Portfolios(INDEX, lambda _id: beside), np.arange(COUNT) < 3
    named = {"first": first, "elsewhere": ~first}
    assert np.array_equal(portfolios.frozen(REQUEST, None, named).rows, ~first)
    assert np.array_equal(portfolios.frozen(beside[0], None, named).rows, first)


def test_a_curve_is_made_once_for_a_baseline() -> None:
    portfolios, frozen = Portfolios(INDEX), baseline(BaselineMethod.SAME_TYPE_DAYS)
    first = portfolios.frozen(REQUEST, frozen, {}).curve
    assert portfolios.frozen(REQUEST, frozen, {}).curve is first
    assert portfolios.frozen(REQUEST, baseline(BaselineMethod.SAME_TYPE_DAYS), {}).curve is not first


def test_without_a_baseline_nothing_is_known() -> None:
    found = portfolio_at(FrozenPortfolio(np.ones(COUNT, dtype=np.bool_), None), START.timestamp(), np.zeros(COUNT))
    assert np.isnan(found.baseline_kw)
    assert np.isnan(found.baseline_rows_kw).all()


@pytest.mark.parametrize(
    "method", [BaselineMethod.SESSION, BaselineMethod.SESSION_COURSE, BaselineMethod.SAME_TYPE_DAYS]
)
def test_sessions_count_with_what_they_would_take_now_where_they_are_the_baseline(method: BaselineMethod) -> None:
    chargers = class_rows(INDEX)["ev"]
    own_kw = np.where(chargers, 5.0, np.nan)
    frozen = Portfolios(INDEX).frozen(REQUEST, baseline(method), {})
    found = portfolio_at(frozen, START.timestamp() + 450.0, own_kw)
    by_session = method is not BaselineMethod.SAME_TYPE_DAYS
    charger_kw = 5.0 if by_session else 2.0
    assert found.baseline_kw == pytest.approx(charger_kw * chargers.sum() + 2.0 * (~chargers).sum())
    assert (found.baseline_rows_kw[chargers] == charger_kw).all()
    assert (found.baseline_rows_kw[~chargers] == 2.0).all()


@pytest.mark.parametrize("loads", [BaselineMethod.OWN_METER, BaselineMethod.SAME_TYPE_DAYS])
def test_loads_count_with_what_they_would_take_by_their_own_meters_where_a_request_says_so(
    loads: BaselineMethod,
) -> None:
    buildings = class_rows(INDEX)["hvac"]
    assert buildings.any()
    own_kw = np.where(buildings, 8.0, np.nan)
    frozen = Portfolios(INDEX).frozen(REQUEST, baseline(BaselineMethod.SAME_TYPE_DAYS, loads), {})
    found = portfolio_at(frozen, START.timestamp() + 450.0, own_kw)
    building_kw = 8.0 if loads is BaselineMethod.OWN_METER else 2.0
    assert found.baseline_kw == pytest.approx(building_kw * buildings.sum() + 2.0 * (~buildings).sum())
    assert (found.baseline_rows_kw[buildings] == building_kw).all()
