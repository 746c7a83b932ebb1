"""The rate at which batteries may take back what was drawn for a request."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.request import Direction
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import TimeGrid
from vpp.planning.schedule.energy_recovery import EnergyRecovery, charge_limit_kw

GRID = TimeGrid(start_at=datetime(2026, 7, 15, 8, 30, tzinfo=UTC), count=8)
BATTERIES = np.array([0, 2])
MOST_KW = np.array([100.0, 300.0])
NEVER = np.zeros(GRID.count, dtype=np.bool_)


def plan(*powers_kw: float) -> Schedule:
    """Return a plan before the request in which each row has one power all the time."""
    return Schedule(
        grid=GRID,
        power_kw=np.repeat(np.array(powers_kw)[:, None], GRID.count, axis=1),
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )


def recovery(steps: int, cap_kw: float) -> EnergyRecovery:
    return EnergyRecovery(
        direction=Direction.UP, from_s=GRID.start_s, until_s=GRID.start_s + steps * GRID.step_s, cap_kw=cap_kw
    )


def limits(before: Schedule | None, *, cap_kw: float = 100.0, reserved: np.ndarray = NEVER) -> np.ndarray:
    found = charge_limit_kw(
        [recovery(4, cap_kw)], before=before, rows=BATTERIES, most_kw=MOST_KW, reserved=reserved, grid=GRID
    )
    assert found is not None
    return found


def test_the_cap_is_shared_by_size_for_as_long_as_it_counts() -> None:
    found = limits(None)
    np.testing.assert_allclose(found[:, :4], np.repeat([[22.5], [67.5]], 4, axis=1))
    np.testing.assert_allclose(found[:, 4:], np.repeat(MOST_KW[:, None], 4, axis=1))
    nothing = charge_limit_kw([], before=None, rows=BATTERIES, most_kw=MOST_KW, reserved=NEVER, grid=GRID)
    assert nothing is None


def test_what_a_battery_would_have_taken_comes_on_top() -> None:
    np.testing.assert_allclose(limits(plan(40.0, np.nan, 0.0))[:, 0], [62.5, 67.5])


def test_what_batteries_would_have_given_comes_off_the_share_of_all() -> None:
    np.testing.assert_allclose(limits(plan(40.0, np.nan, -50.0))[:, 0], [50.0, 30.0])
    np.testing.assert_allclose(limits(plan(0.0, np.nan, -300.0))[:, 0], [0.0, 0.0])


def test_nothing_is_taken_in_hours_of_reserve() -> None:
    reserved = NEVER.copy()
    reserved[1:6] = True
    found = limits(plan(40.0, np.nan, 0.0), reserved=reserved)
    assert found[:, 1:6].max() == 0.0, "also where the recovery ends amid these hours"
    assert found[:, 0].min() > 0.0
    np.testing.assert_allclose(found[:, 6:], np.repeat(MOST_KW[:, None], 2, axis=1))


@settings(deadline=None)
@given(
    usual_kw=st.tuples(st.floats(-100.0, 100.0), st.floats(-300.0, 300.0)),
    cap_kw=st.floats(1.0, 500.0),
)
def test_batteries_that_charge_all_they_may_stay_within_the_cap(usual_kw: tuple[float, float], cap_kw: float) -> None:
    most = limits(plan(usual_kw[0], 0.0, usual_kw[1]), cap_kw=cap_kw)[:, 0].sum()
    unavoidable = -sum(min(power, 0.0) for power in usual_kw)
    assert most - sum(usual_kw) <= max(0.9 * cap_kw, unavoidable) + 1e-9
    assert most >= 0.0
