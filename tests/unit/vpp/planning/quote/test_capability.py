"""Flexibility now, and the declaration of the four capacities."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis, city_draft
from tests.unit.vpp.planning.parts import EV, HVAC, INDUSTRY, NOW, PV, STORAGE, forecast, state
from vpp.domain.request import CITY, Direction
from vpp.domain.timegrid import TimeGrid, instant
from vpp.lab.bench.synthetic_city import NOW_S
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.quote.capability import SUSTAINS_H, Declaration, capability, declare, flexibility
from vpp.planning.quote.quote import quote_on


def test_flexibility_now_keeps_floors_and_energy() -> None:
    found = flexibility(state())
    assert found.up_kw[EV] == pytest.approx(7.0 - 1.4)
    assert found.up_kw[STORAGE] == pytest.approx(0.5 * 200.0 * 0.9)
    assert found.up_kw[PV] == 0.0
    assert found.up_kw[HVAC] == pytest.approx(90.0)
    assert found.up_kw[INDUSTRY] == pytest.approx(150.0)
    assert (found.down_kw >= 0.0).all()
    dark = flexibility(state(connected=np.zeros(6, dtype=bool)))
    assert dark.up_kw.sum() == 0.0


def test_the_four_capacities_of_a_declaration_stay_apart() -> None:
    picture = state()
    day = TimeGrid(start_at=NOW - timedelta(hours=4), count=96)
    found = capability(
        picture,
        forecast=forecast(picture),
        schedule=None,
        area="west",
        direction=Direction.UP,
        grid=day,
        verified_kw=123.0,
        delivery_ratio=np.ones(6),
    )
    assert found.connected_kw[0] == pytest.approx(200.0 + 400.0 + 500.0)
    assert found.contracted_kw is not None
    assert found.contracted_kw[0] == pytest.approx(240.0)
    assert found.declared_kw[0] == 123.0, "never above what was verified"
    assert found.tested
    assert found.verified_kw[0] == 123.0
    assert np.isnan(found.available_kw[:16]).all()
    assert found.available_kw[16] == pytest.approx(90.0 + 90.0 + 150.0)


@cache
def declaration() -> Declaration:
    return declare(basis(), steps=96)


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
        basis(), city_draft(end_at=instant(NOW_S + 9_000.0)), committed_kw=np.zeros(192), now=instant(NOW_S - 36_000.0)
    )
    step = basis().inputs.grid.index_at(NOW_S + 5_400.0)
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
    seen = basis().inputs
    careless = replace(seen, policy=replace(seen.policy, operator_outage=0.0, adapter_outage=0.0))
    sure = declare(FlexibilityBasis.of(careless, basis().delivery_ratio), steps=8).tables[Direction.UP][1]
    table = declaration().tables[Direction.UP][1]
    assert (table.p10_kw[-1, :8] < sure.p10_kw[-1, :8]).all()
    np.testing.assert_allclose(table.p50_kw[-1, :8], sure.p50_kw[-1, :8])
