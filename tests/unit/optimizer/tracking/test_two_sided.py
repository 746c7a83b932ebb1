"""Batteries in two halves of one merit order."""

import numpy as np
import pytest

from optimizer.tracking.merit_order import MeritOrder, Offers
from optimizer.tracking.two_sided import TwoSided
from optimizer.tracking.urgency import Wants, Weights, keys

BATTERIES = 4
NODE = np.zeros(BATTERIES, dtype=np.int64)
ROOT = np.array([-1])


def _fleet(due_kwh: float = 0.0) -> tuple[TwoSided, MeritOrder]:
    """Four batteries of 100 kW each way at one node, with keys by urgency."""
    halves = TwoSided(np.ones(BATTERIES, dtype=np.bool_))
    order = MeritOrder(node=halves.spread(NODE), parent=ROOT)
    low, high = np.empty(len(halves)), np.empty(len(halves))
    rows = np.arange(BATTERIES)
    halves.put(rows, np.full(BATTERIES, -100.0), np.full(BATTERIES, 100.0), low, high)
    key, both = np.zeros(len(halves), dtype=np.uint8), len(halves)
    wants = Wants(low, high, np.full(both, due_kwh), np.full(both, np.inf), np.full(both, np.nan), np.zeros(both))
    keys(np.arange(both), wants, Weights(), 900.0, key)
    order.refresh(Offers(low_kw=low, high_kw=high, floor_kw=np.zeros(both), key=key))
    return halves, order


@pytest.mark.parametrize("target_kw", [0.0, 30.0, 250.0, -30.0, -250.0, 400.0, -400.0])
def test_no_battery_charges_what_another_discharges(target_kw: float) -> None:
    halves, order = _fleet()
    moves = halves.joined(order.tick(target_kw), order)
    power = halves.power_kw(order.power_kw)
    assert power.sum() == pytest.approx(target_kw)
    assert np.abs(power).sum() == pytest.approx(abs(target_kw))
    assert moves.power_kw == pytest.approx(power[moves.rows])


def test_a_battery_that_crosses_nothing_is_named_once() -> None:
    halves, order = _fleet()
    order.tick(400.0)
    moves = halves.joined(order.tick(-400.0), order)
    assert sorted(moves.rows) == list(range(BATTERIES))
    assert moves.power_kw == pytest.approx(np.full(BATTERIES, -100.0))


def test_rows_that_only_take_have_one_half() -> None:
    halves = TwoSided(np.array([False, True, False]))
    assert len(halves) == 4
    assert halves.halves_of(np.array([1])).tolist() == [1, 3]
    assert halves.rows_of(np.array([0, 3])).tolist() == [0, 1]
