"""Buildings and plants of the twin: cuts, ramps, rebound."""

import numpy as np
import pytest

from tests.unit.vpp.lab.twin.physics.parts import FLEET, STEP_S, nothing, rows_of
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.lab.twin.physics.loads import Loads


def buildings() -> Loads:
    return Loads(FLEET, rows_of(ResourceClass.HVAC), np.random.default_rng(1))


def run(loads: Loads, asked: FloatArray, minutes: float, base_kw: float = 800.0) -> FloatArray:
    """Return power at the end of every step, shape ``(n_steps, 2, m)``."""
    count = len(loads.rows)
    steps = round(60 * minutes / STEP_S)
    base = np.full(count, base_kw)
    return np.stack([loads.step(asked, np.full(count, np.nan), STEP_S, base) for _ in range(steps)])


def test_a_building_without_orders_takes_its_baseline() -> None:
    loads = buildings()
    assert (run(loads, nothing(2), 10) == 800.0).all()


def test_a_building_cuts_a_quarter_for_an_hour_and_less_after() -> None:
    loads = buildings()
    power_kw = run(loads, np.zeros((2, 2)), 150)
    assert power_kw[720 - 1, 0] == pytest.approx(np.full(2, 600.0), abs=1.0)
    assert power_kw[-1, 0] == pytest.approx(np.full(2, 680.0), abs=15.0)


def test_ten_to_twenty_per_cent_of_the_cut_comes_back_within_two_hours() -> None:
    loads = buildings()
    cut_kwh = (800.0 - run(loads, np.zeros((2, 2)), 60)[:, 0, 0]).sum() * STEP_S / 3600
    after_kw = run(loads, nothing(2), 120)[:, 0, 0]
    cut_kwh += np.maximum(800.0 - after_kw, 0.0).sum() * STEP_S / 3600
    back_kwh = np.maximum(after_kw - 800.0, 0.0).sum() * STEP_S / 3600
    assert 0.10 <= back_kwh / cut_kwh <= 0.20


def test_a_plant_cuts_its_contract_by_its_ramp_and_does_not_rebound() -> None:
    loads = Loads(FLEET, rows_of(ResourceClass.INDUSTRY), np.random.default_rng(1))
    power_kw = run(loads, np.zeros((2, 2)), 30, base_kw=2600.0)
    assert power_kw[12 * 4, 0, 0] > 2600.0 - 0.6 * 1000.0
    assert power_kw[-1, 0] == pytest.approx([1600.0, 1500.0], abs=1.0)
    after_kw = run(loads, nothing(2), 60, base_kw=2600.0)
    assert after_kw.max() <= 2600.0 + 1e-9
