"""Batteries in two halves, urgency keys, and the two laws around the merit order."""

import numpy as np
import pytest

from optimizer.problem.validation import ProblemError
from optimizer.tracking.law import Correction, NeutralDrift
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


def _keys(**changes: float) -> int:
    """The key of one 10 kW row of which 1.25 kWh are due in a quarter of an hour, with some things changed."""
    wanted = {"low": 0.0, "high": 10.0, "due": 1.25, "slack": np.inf, "told": np.nan, "burden": 0.0, **changes}
    key = np.zeros(1, dtype=np.uint8)
    keys(np.zeros(1, dtype=np.int64), Wants(*(np.array([v]) for v in wanted.values())), Weights(), 900.0, key)
    return int(key[0])


def test_who_is_owed_more_comes_earlier() -> None:
    assert _keys(due=2.5) < _keys() < _keys(due=0.0)


def test_who_takes_power_already_and_who_was_shed_lately_come_earlier() -> None:
    assert _keys(told=10.0) < _keys(told=0.0)
    assert _keys(burden=1.0) < _keys()


def test_who_could_not_wait_has_key_nought_and_nobody_else_has() -> None:
    assert _keys(slack=60.0) == 0
    assert _keys(due=1e9) == 1
    assert _keys(due=-1e9) == 255


def test_who_has_no_range_or_no_part_comes_last() -> None:
    assert _keys(high=0.0) == 255
    assert _keys(low=np.nan) == 255


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


def test_the_correction_makes_up_for_what_the_meters_lack_and_is_bounded() -> None:
    law = Correction(time_s=40.0, most_kw=10.0)
    assert law.update(expected_kw=100.0, measured_kw=80.0, elapsed_s=4.0) == pytest.approx(2.0)
    for _ in range(100):
        law.update(expected_kw=100.0, measured_kw=80.0, elapsed_s=4.0)
    assert law.value_kw == 10.0


def test_the_drift_law_gives_back_what_was_taken() -> None:
    law = NeutralDrift(time_s=3600.0, most_kw=50.0)
    assert law.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(-10.0)
    energy = law.energy_kwh
    for _ in range(1000):
        bias = law.update(above_base_kw=-law.energy_kwh, elapsed_s=4.0)
    assert abs(law.energy_kwh) < energy / 2.0
    assert bias < 0.0
    patient = NeutralDrift(time_s=3600.0, most_kw=50.0, spare_kwh=10.0)
    assert patient.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(0.0)
    assert patient.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(-10.0)


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
