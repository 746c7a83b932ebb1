"""Invariants of every settlement rule."""

import math
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.settlement.money.settlement_terms import SHANGHAI_PLACEHOLDER, SICHUAN, Band, BandRule, SettlementTerms, settle
from vpp.settlement.money.shares import whole_fen

EPSILON = 1e-9


@st.composite
def rules(draw: st.DrawFn) -> BandRule:
    widths = draw(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4))
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width)
    edges.append(math.inf)
    factors = st.floats(0.0, 20.0)
    bands = tuple(
        Band(
            lo=lo,
            hi=hi,
            pay_factor=draw(factors),
            penalty_factor=0.0 if hi == math.inf else draw(factors),
            cap=draw(st.one_of(st.just(math.inf), st.floats(0.0, 3.0))),
        )
        for lo, hi in pairwise(edges)
    )
    return BandRule(name="drawn", version="1", bands=bands, period_steps=1, source="hypothesis")


ANY_RULE = st.one_of(st.sampled_from([SICHUAN, SHANGHAI_PLACEHOLDER]), rules())


@given(rule=ANY_RULE)
def test_neither_pay_nor_penalty_jumps_at_an_edge(rule: BandRule) -> None:
    for band in rule.bands[1:]:
        below, above = band.lo - EPSILON, band.lo + EPSILON
        assert rule.paid_ratio(above) == pytest.approx(rule.paid_ratio(below), abs=1e-6)
        assert rule.penalty_ratio(above) == pytest.approx(rule.penalty_ratio(below), abs=1e-6)


@given(rule=ANY_RULE, low=st.floats(-1.0, 5.0), more=st.floats(0.0, 3.0))
def test_delivering_more_never_pays_less_nor_costs_more(rule: BandRule, low: float, more: float) -> None:
    assert rule.paid_ratio(low + more) >= rule.paid_ratio(low) - 1e-12
    assert rule.penalty_ratio(low + more) <= rule.penalty_ratio(low) + 1e-12


@given(ratio=st.floats(0.0, 5.0))
def test_sichuan_is_the_rule_as_printed(ratio: float) -> None:
    effective = ratio if ratio <= 1.1 else 1.1 + 0.5 * (ratio - 1.1)
    assert SICHUAN.paid_ratio(ratio) == pytest.approx(effective)
    assert SICHUAN.penalty_ratio(ratio) == pytest.approx(max(0.9 - effective, 0.0) * 1.1)


@given(ratio=st.one_of(st.floats(0.0, 0.75), st.floats(0.8, 5.0)))
def test_the_placeholder_is_the_classic_80_120_rule_outside_its_slope(ratio: float) -> None:
    paid = SHANGHAI_PLACEHOLDER.paid_ratio(ratio)
    assert paid == pytest.approx(min(ratio, 1.2) if ratio >= 0.8 else 0.0)


@given(
    rule=ANY_RULE,
    delivered_kw=st.floats(-1e5, 1e6),
    owed_kw=st.floats(1.0, 1e6),
    price=st.decimals(0, 10, places=4),
)
def test_money_in_decimals_is_that_of_doubles_to_the_fen_but_for_ties(
    rule: BandRule, delivered_kw: float, owed_kw: float, price: Decimal
) -> None:
    terms = SettlementTerms(rule=rule, price_cny_per_kwh=price)
    found = whole_fen(settle(np.array([delivered_kw]), owed_kw, 0.25, terms))
    doubles = rule.paid_ratio(delivered_kw / owed_kw) * owed_kw * 0.25 * float(price) * 100.0
    assert abs(found["gross"] - doubles) <= 0.5 + 1e-9 * (1.0 + doubles)
    assert found["net"] == found["gross"] - found["penalty"]


def test_half_a_fen_goes_to_the_even_one_and_a_tenth_is_a_tenth() -> None:
    plain = BandRule(
        name="plain", version="1", bands=(Band(lo=0.0, hi=math.inf, pay_factor=1.0),), period_steps=1, source=""
    )
    terms = SettlementTerms(rule=plain, price_cny_per_kwh=Decimal("0.1"))
    assert whole_fen(settle(np.array([1.0]), 1.0, 0.25, terms))["gross"] == 2.0, "2.5 fen"
    assert whole_fen(settle(np.array([3.0]), 3.0, 0.25, terms))["gross"] == 8.0, "7.5 fen"
    assert settle(np.full(3, 4.0), 4.0, 0.25, terms)["gross"] == Decimal("0.3"), "three tenths, not 0.30000000000000004"
