"""Shares of sites and operators add up to the whole: in every interval, in energy and in money."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.performance import Baseline, Performance
from vpp.domain.request import BaselineMethod, Direction, DispatchRequest, NoticeClass, Product, RequestDraft
from vpp.domain.request import RequestState as State
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.index import FleetIndex
from vpp.fleet.membership import Membership
from vpp.lab.twin.population.presets import demo_fleet
from vpp.settlement.money import shares
from vpp.settlement.money.settlement_terms import SHANGHAI_PLACEHOLDER, SICHUAN, SettlementTerms
from vpp.settlement.performance import evaluate, phases_of, target_profile

START_S = 1_784_088_000.0
GRID = TimeGrid(start_at=instant(START_S - 900.0), count=6)
RESOURCES = demo_fleet(stations=8, inverters=2, batteries=3, v2g=2, sites=2).resources[:14]
LINES = ("gross", "penalty", "net", "distributable")


@st.composite
def fleets(draw: st.DrawFn) -> FleetIndex:
    owners = draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    places = draw(st.lists(st.integers(0, len(owners) - 1), min_size=len(RESOURCES), max_size=len(RESOURCES)))
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=tuple(Operator(id=f"op-{n}", name="") for n in range(4)),
        transformers=(Transformer(id="t", area_id="a", limit_kw=1e4, export_limit_kw=1e4),),
        sites=tuple(
            Site(id=f"s-{n}", name="", area_id="a", operator_id=f"op-{owner}", transformer_id="t")
            for n, owner in enumerate(owners)
        ),
        resources=tuple(
            replace(resource, site_id=f"s-{place}") for resource, place in zip(RESOURCES, places, strict=True)
        ),
    )


@st.composite
def measured(draw: st.DrawFn) -> tuple[FleetIndex, Performance]:
    """Return a fleet and what it delivered, some rows excluded, some unknown, the hold anywhere."""
    index = draw(fleets())
    shape = (len(index), GRID.count)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    baseline_kw = rng.uniform(-50.0, 50.0, shape)
    meters = baseline_kw - rng.normal(draw(st.floats(-5.0, 20.0)), 10.0, shape)
    meters[rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    excluded = tuple(r.id for r in index.resources if rng.random() < draw(st.sampled_from([0.0, 0.2])))
    baseline = Baseline(
        grid=GRID,
        power_kw=baseline_kw,
        methods={"ev": BaselineMethod.METER_BEFORE},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
        excluded_ids=excluded,
    )
    start_s = START_S + draw(st.sampled_from([0.0, 300.0]))
    hold_s = (start_s, start_s + draw(st.sampled_from([1800.0, 1000.0])))
    times = {"start_s": hold_s[0], "end_s": hold_s[1], "release_end_s": hold_s[1] + 900.0}
    return index, evaluate(
        _request(draw(st.sampled_from(Direction))),
        index=index,
        portfolio=rng.random(len(index)) < draw(st.sampled_from([0.8, 1.0])),
        baseline=baseline,
        measured_kw=meters,
        metered_ratio=rng.uniform(0.5, 1.0, shape),
        target_kw=target_profile(GRID, 100.0, ramp_s=hold_s[0] - 600.0, **times),
        phases=phases_of(GRID, **times),
        ramp_s=hold_s[0] - 600.0,
        hold_s=hold_s,
        issued_at=GRID.end_at,
        until_s=draw(st.sampled_from([np.inf, START_S - 60.0, START_S + 1000.0])),
        terms=draw(st.sampled_from([None, *(SettlementTerms(rule=rule) for rule in (SICHUAN, SHANGHAI_PLACEHOLDER))])),
    )


def _request(direction: Direction) -> DispatchRequest:
    start_at = instant(START_S)
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=direction,
        target_kw=100.0,
        area="city",
        start_at=start_at,
        end_at=start_at + timedelta(minutes=30.0),
        notice_class=NoticeClass.INTRADAY,
    )
    return DispatchRequest(id="r", draft=draft, state=State.COMPLETED, created_at=start_at, accepted_kw=100.0)


def cents(amount: float) -> Decimal:
    return Decimal(str(amount))


def check(performance: Performance) -> None:
    """Compare sums with totals, bit for bit."""
    delivered = [interval.delivered_kw for interval in performance.intervals]
    for parts in (performance.shares, performance.shares.by_operator()):
        assert parts.delivered_kw.sum(axis=0).tolist() == delivered
        assert float(sum(parts.energy_kwh.tolist())) == performance.energy_kwh
        for name, total in performance.settlement_cny.items():
            if not np.isnan(total):
                assert sum(cents(fen / 100) for fen in parts.settlement_fen[name].tolist()) == cents(total)
        if performance.settlement_cny:
            lines = {name: parts.settlement_fen[name] for name in LINES}
            assert (lines["gross"] - lines["penalty"] == lines["net"]).all()


@given(measured())
@settings(max_examples=150)
def test_sites_and_operators_add_up_to_the_whole(found: tuple[FleetIndex, Performance]) -> None:
    index, performance = found
    if np.isnan(performance.energy_kwh) or not len(performance.shares):
        assert not len(performance.shares)
        assert not any(interval.delivered_kw for interval in performance.intervals if interval.held_ratio > 0.0)
        return
    check(performance)
    site_of = {site.id: site.operator_id for site in index.sites}
    owners = zip(performance.shares.site_ids, performance.shares.operator_ids, strict=True)
    assert all(site_of[site_id] == operator_id for site_id, operator_id in owners)


@given(measured(), st.integers(0, GRID.count))
@settings(max_examples=50)
def test_a_site_that_is_sold_is_paid_to_whom_it_belonged(found: tuple[FleetIndex, Performance], sold: int) -> None:
    index, before = found
    moved = Membership(site=index.site_code, operator=(index.operator_code + 1) % len(index.operators))
    kept = Membership(site=index.site_code, operator=index.operator_code)
    rows = np.arange(len(index))
    row_kw = shares.whole_quanta(np.random.default_rng(1).normal(5.0, 3.0, (len(index), GRID.count)))

    def owners(_: FleetIndex, at_s: float) -> Membership:
        return kept if at_s < GRID.start_s + sold * GRID.step_s else moved

    with patch.object(shares, "membership_at", owners):
        owned = shares.owned_power(index, rows, row_kw, GRID)
    assert owned.delivered_kw.sum(axis=0).tolist() == row_kw.sum(axis=0).tolist()
    for step in range(GRID.count):
        code = (kept if step < sold else moved).operator
        for place, operator in enumerate(index.operators):
            mine = [n for n, owner in enumerate(owned.operator_ids) if owner == operator.id]
            assert owned.delivered_kw[mine, step].sum() == row_kw[code == place, step].sum()
    assert before.request_id == "r"


@given(
    parts=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    off=st.floats(-0.5, 0.5),
)
def test_the_largest_remainder_gives_everybody_a_whole_number_near_its_part(parts: list[float], off: float) -> None:
    exact: Any = np.array(parts)
    total = round(float(exact.sum()) + off)
    found = shares.apportioned(total, exact)
    assert int(found.sum()) == total
    assert np.abs(found - exact).max() <= 1.0 + 1e-6


def test_equal_remainders_go_to_the_first() -> None:
    assert shares.apportioned(2, np.full(3, 2.0 / 3.0)).tolist() == [1, 1, 0]
    assert shares.apportioned(-2, np.full(3, -2.0 / 3.0)).tolist() == [0, -1, -1]


def test_what_nobody_delivered_is_charged_by_devices() -> None:
    owned = shares.OwnedPower(
        operator_ids=("a", "b"), site_ids=("x", "y"), delivered_kw=np.zeros((2, 1)), devices=np.array([3, 1])
    )
    found = shares.shares_of(owned, held_s=np.array([900.0]), energy_kwh=0.0, fen={"penalty": 1000.0})
    assert found.settlement_fen["penalty"].tolist() == [750, 250]
    assert found.energy_kwh.tolist() == [0.0, 0.0]


def test_an_unknown_amount_is_shared_out_to_nobody() -> None:
    assert np.isnan(shares.whole_fen({"gross": float("nan")})["gross"])
    with pytest.raises(KeyError):
        shares.shares_of(
            shares.OwnedPower(
                operator_ids=("a",), site_ids=("x",), delivered_kw=np.ones((1, 1)), devices=np.array([1])
            ),
            held_s=np.array([900.0]),
            energy_kwh=0.25,
            fen={"gross": float("nan")},
        ).settlement_fen["gross"]
