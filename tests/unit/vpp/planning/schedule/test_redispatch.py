"""Re-dispatch for accepted requests: band, targets at the end, rebound under its cap."""

from datetime import timedelta

import numpy as np
import pytest

from optimizer.problem.problem import Problem
from optimizer.solve import solve
from tests.unit.vpp.planning.city_parts import expected, made, now
from vpp.domain.request import Direction
from vpp.domain.resource import ResourceClass
from vpp.domain.timegrid import TimeGrid
from vpp.lab.bench.synthetic_city import plan_of
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.redispatch import band_of, to_intended, to_redispatch_problem
from vpp.planning.tariff import Tariff


def _event(target_kw: float, cap_kw: float | None) -> Commitment:
    target, watched = np.zeros(96), np.zeros(96, dtype=np.bool_)
    target[6:14], watched[14:22] = target_kw, True
    return Commitment(
        rows=np.ones(len(now()), dtype=np.bool_),
        direction=Direction.UP,
        grid=TimeGrid(start_at=expected().grid.start_at, count=96),
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
        return to_redispatch_problem(
            now(),
            forecast=expected(),
            plan=plan_of(now(), expected()),
            commitments=[_event(target_kw, cap_kw)],
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
    plan = plan_of(now(), expected())
    translated = to_redispatch_problem(
        now(),
        forecast=expected(),
        plan=plan,
        commitments=[_event(3_000.0, 200.0)],
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
