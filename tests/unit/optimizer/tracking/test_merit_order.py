"""The merit order: offers, limits, and the order of rises and falls."""

import numpy as np
import pytest

from optimizer.problem.validation import ProblemError
from optimizer.tracking.merit_order import MeritOrder, Offers
from optimizer.tracking.urgency import Wants, Weights, keys

BATTERIES = 4
NODE = np.zeros(BATTERIES, dtype=np.int64)
ROOT = np.array([-1])


def test_a_car_below_its_floor_on_average_is_on_for_its_share_of_the_step() -> None:
    # Ten chargers of 7 kW that hold 1.4 kW at least are to take 0.7 kW each on average.
    n, charged, told = 10, np.zeros(10), np.full(10, np.nan)
    order = MeritOrder(node=np.zeros(n, dtype=np.int64), parent=ROOT)
    for minute in range(15):
        left_s = 900.0 - 60.0 * minute
        due = 0.7 * 0.25 - charged
        high = np.where(charged < 0.7 * 0.25 + 1e-9, 7.0, 0.0)
        wants = Wants(np.zeros(n), high, due, np.full(n, np.inf), told, np.zeros(n))
        key = np.zeros(n, dtype=np.uint8)
        keys(np.arange(n), wants, Weights(stay=0.0), left_s, key)
        order.refresh(Offers(low_kw=np.zeros(n), high_kw=high, floor_kw=np.full(n, 1.4), key=key))
        order.tick(7.0)
        told = order.power_kw
        assert set(np.round(told, 6)) <= {0.0, 7.0}
        charged += told / 60.0
    assert charged == pytest.approx(np.full(n, 0.175), abs=0.12)
    assert charged.sum() == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": np.array([0])}, "parent"),
        ({"node": np.array([0, 7, 0, 0])}, "node"),
        ({"patience_kw": -1.0}, "patience_kw"),
        ({"unready": 2.0}, "unready"),
    ],
)
def test_a_merit_order_that_makes_no_sense_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ProblemError, match=field):
        MeritOrder(**{"node": NODE, "parent": ROOT, **changes})


def test_what_cannot_be_offered_limited_or_asked_names_the_field() -> None:
    order = MeritOrder(node=NODE, parent=ROOT)
    ok, key = np.zeros(BATTERIES), np.ones(BATTERIES, dtype=np.uint8)
    with pytest.raises(ProblemError, match="low_kw"):
        order.refresh(Offers(low_kw=ok + 1.0, high_kw=ok, floor_kw=ok, key=key))
    with pytest.raises(ProblemError, match="part"):
        order.refresh(Offers(low_kw=ok, high_kw=ok, floor_kw=ok, key=key), part=2, parts=2)
    with pytest.raises(ProblemError, match="upper_kw"):
        order.limit(lower_kw=np.array([1.0]), upper_kw=np.array([0.0]), fixed_kw=np.zeros(1))
    with pytest.raises(ProblemError, match="target_kw"):
        order.tick(float("nan"))


def test_where_the_least_load_passes_the_limit_all_take_the_least_and_the_overload_is_told() -> None:
    order = MeritOrder(node=NODE, parent=ROOT)
    ok, key = np.zeros(BATTERIES), np.zeros(BATTERIES, dtype=np.uint8)
    order.limit(lower_kw=np.array([-np.inf]), upper_kw=np.array([10.0]), fixed_kw=np.array([25.0]))
    order.refresh(Offers(low_kw=ok, high_kw=ok + 5.0, floor_kw=ok, key=key))
    assert order.tick(100.0).total_kw == 0.0
    assert order.overload_kw.tolist() == [15.0]


def test_rises_wait_for_falls_where_a_limit_could_be_passed_on_the_way() -> None:
    order = MeritOrder(node=np.zeros(2, dtype=np.int64), parent=ROOT)
    order.limit(lower_kw=np.array([-np.inf]), upper_kw=np.array([10.0]), fixed_kw=np.array([0.0]))
    low, high = np.zeros(2), np.full(2, 10.0)
    for key in ([1, 9], [9, 1]):
        order.refresh(Offers(low_kw=low, high_kw=high, floor_kw=low, key=np.array(key, dtype=np.uint8)))
        moves = order.tick(10.0)
    assert dict(zip(moves.rows.tolist(), moves.wait.tolist(), strict=True)) == {0: False, 1: True}


def test_a_row_that_was_believed_to_take_something_else_is_told_anew() -> None:
    order = MeritOrder(node=NODE, parent=ROOT)
    ok, key = np.zeros(BATTERIES), np.ones(BATTERIES, dtype=np.uint8)
    offers = Offers(low_kw=ok, high_kw=ok + 5.0, floor_kw=ok, key=key)
    order.refresh(offers)
    order.tick(20.0)
    order.believe(np.array([2]), np.array([0.0]))
    order.refresh(offers)
    assert order.tick(20.0).rows.tolist() == [2]
