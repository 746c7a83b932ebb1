"""Stored energy that is promised at other hours is not promised again."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.flexibility.promised_energy import others_p10_kw, promised_elsewhere, spare_energy_kwh

ASKED = Window(first=8, last=12)
EARLIER, LATER = slice(2, 6), slice(14, 18)
ALL = np.ones(len(basis().groups), dtype=np.bool_)


def promised(steps: slice, power_kw: float) -> FloatArray:
    called_kw = np.zeros(basis().inputs.grid.count)
    called_kw[steps] = power_kw
    return called_kw


def spare(called_kw: FloatArray, direction: Direction = Direction.UP) -> FloatArray | None:
    return spare_energy_kwh(basis(), direction, ASKED, chosen=ALL, called_kw=called_kw, owed={})


def stores_kw(direction: Direction, window: Window, spare_kwh: FloatArray | None = None) -> FloatArray:
    """Return what each store gives on the mean of a window."""
    found = flexibility_envelope(
        basis(),
        direction,
        np.array([window.first]),
        np.array([len(window)]),
        spare_kwh=None if spare_kwh is None else spare_kwh[:, None],
    )
    return np.asarray(found.stores_kw[:, 0])


def test_promises_at_the_same_hours_are_no_others_and_one_that_goes_on_is_cut() -> None:
    called_kw = promised(slice(10, 14), 5.0) + promised(EARLIER, 3.0)
    assert promised_elsewhere(called_kw, ASKED) == (Window(first=2, last=6), Window(first=12, last=14))
    assert promised_elsewhere(promised(ASKED.steps, 5.0), ASKED) == ()
    assert spare(promised(ASKED.steps, 5.0)) is None


@pytest.mark.parametrize("steps", [EARLIER, LATER])
def test_what_others_give_is_owed_by_no_store(steps: slice) -> None:
    others_kw = float(others_p10_kw(basis(), steps.start, steps.stop).min())
    assert others_kw > 0.0
    left, untouched = spare(promised(steps, 0.99 * others_kw)), stores_kw(Direction.UP, ASKED)
    assert stores_kw(Direction.UP, ASKED, left) == pytest.approx(untouched)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("steps", [EARLIER, LATER])
def test_what_stores_have_is_promised_once(steps: slice, direction: Direction) -> None:
    run = Window(first=steps.start, last=steps.stop)
    others_kw = float(others_p10_kw(basis(), run.first, run.last, direction=direction).max())
    able_kw = stores_kw(direction, run)
    half, whole = (spare(promised(steps, others_kw + share * able_kw.sum()), direction) for share in (0.5, 1.0))
    free_kw, half_kw, left_kw = (stores_kw(direction, ASKED, spare_kwh) for spare_kwh in (None, half, whole))
    assert free_kw.sum() > half_kw.sum() > left_kw.sum()
    spent_kwh = (left_kw * len(ASKED) + able_kw * len(run)) * basis().inputs.grid.step_h
    assert (spent_kwh <= most_kwh(direction) + 1e-6).all()


def most_kwh(direction: Direction) -> FloatArray:
    """Return the most that each store could give or take at its meter at any step of its schedule."""
    limits, stored_kwh = basis().stores.limits, basis().stores.schedule.stored_kwh
    if direction is Direction.UP:
        return np.asarray(np.maximum(stored_kwh.max(axis=1) - limits.floor_kwh, 0.0) * limits.efficiency)
    return np.asarray(np.maximum(limits.ceiling_kwh - stored_kwh.min(axis=1), 0.0) / limits.efficiency)
