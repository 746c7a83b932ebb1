"""Sharing of missing and surplus activation: how much each row offers, and in which order rows are taken."""

import numpy as np
import pytest

from numerics.views import read_only
from vpp.dispatch.allocation.merit_sharing import _changes, _offers, _Round, added, known_sum
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.views import EV, STORAGE
from vpp.domain.telemetry import FloatArray

NAN = np.nan
MINE, STAY = 0, 0.3
ACTIVATED = np.array([4.0, NAN, 2.0])
AVAILABLE = np.array([10.0, 6.0, 2.0])
COST = np.array([1.0, 1.0, 2.0])


def assignments() -> Assignments:
    """Return three rows of which the first and the last are assigned."""
    made, rows = Assignments(3), np.array([0, 2], dtype=np.int32)
    made.move(MINE, rows, np.array([1.0, 1.0]), uncontrolled_kw=np.array([5.0, 3.0]), at_s=0.0)
    return made


def offers(
    made: Assignments, *, more: bool = True, small: bool = False, planned: bool = False, settled: bool = True
) -> tuple[FloatArray, FloatArray]:
    return _offers(
        read_only(ACTIVATED),
        read_only(AVAILABLE),
        read_only(np.full(3, settled)),
        made.columns,
        read_only(np.ones(3, dtype=np.bool_)),
        read_only(np.full(3, -np.inf)),
        read_only(COST),
        _Round(0.0, MINE, more, small, planned, STAY),
    )


def test_a_row_offers_what_is_available_beyond_its_activation_and_assigned_rows_come_first() -> None:
    offer, key = offers(assignments())
    np.testing.assert_array_equal(offer, [6.0, 6.0, 0.0])
    assert key[0] == pytest.approx(COST[0] - STAY)
    assert key[0] < key[1]


def test_a_surplus_is_taken_from_what_is_activated_the_dearest_first() -> None:
    offer, key = offers(assignments(), more=False)
    np.testing.assert_array_equal(offer, [4.0, 0.0, 2.0])
    assert key[2] < key[0]


def test_a_small_correction_leaves_rows_with_a_command_under_way_for_last() -> None:
    _, key = offers(assignments(), small=True, settled=False)
    assert key[0] > key[1]


def test_a_row_below_its_planned_activation_comes_before_all_others_up_to_it() -> None:
    made = assignments()
    made.plan(np.array([1], dtype=np.int32), np.array([2.5]))
    offer, key = offers(made, planned=True)
    assert offer[1] == 2.5
    assert key[1] < key[0]
    np.testing.assert_array_equal(offers(made, planned=False)[0], [6.0, 6.0, 0.0])


def test_a_charger_that_pauses_is_not_resumed_for_a_surplus() -> None:
    made = assignments()
    made.pause(np.array([0], dtype=np.int32), 0.0)
    assert offers(made, more=False)[0][0] == 0.0


def test_a_charger_takes_no_change_below_its_step_and_a_store_does() -> None:
    kind = np.array([EV, STORAGE, EV], dtype=np.uint8)
    change = _changes(np.array([0.05, 0.05, 0.0]), read_only(np.array([4.0, NAN, NAN])), kind, -1.0, 0.1)
    np.testing.assert_array_equal(change, [-0.0, -0.05, NAN])


def test_activations_are_added_where_either_is_known() -> None:
    np.testing.assert_array_equal(added(ACTIVATED, np.array([1.0, 2.0, NAN])), [5.0, 2.0, NAN])
    assert known_sum(read_only(ACTIVATED)) == 6.0
