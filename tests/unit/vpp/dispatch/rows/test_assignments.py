"""Transitions of a row: free, assigned, paused, due for release, returning, capped, lost."""

import numpy as np
import pytest

from vpp.dispatch.rows.assignments import NOBODY, Assignments, Recovered
from vpp.domain.telemetry import FloatArray

COUNT, REQUEST, OTHER = 4, 0, 1
NAN = np.nan
UNCONTROLLED = np.array([7.0, 6.0, 5.0, 4.0])


def rows(*which: int) -> np.ndarray:
    return np.array(which, dtype=np.int32)


def assigned(setpoint_kw: list[float], number: int = REQUEST, at_s: float = 100.0) -> Assignments:
    """Return four rows, some of them assigned."""
    assignments = Assignments(COUNT)
    assign(assignments, setpoint_kw, number=number, at_s=at_s)
    return assignments


def assign(assignments: Assignments, setpoint_kw: list[float], number: int = REQUEST, at_s: float = 100.0) -> None:
    assignments.assign(
        number,
        np.array(setpoint_kw),
        uncontrolled_kw=UNCONTROLLED,
        baseline_kw=UNCONTROLLED - 0.5,
        at_s=at_s,
    )


def running(*flags: bool) -> np.ndarray:
    return np.array(flags, dtype=np.bool_)


def at_once() -> FloatArray:
    return np.full(COUNT, NAN)


def test_a_new_row_is_free_and_need_not_be_looked_at() -> None:
    held = Assignments(COUNT).columns
    assert held.owner.tolist() == [NOBODY] * COUNT
    assert np.isnan(held.setpoint_kw).all()
    assert not held.active.any()


def test_an_assigned_row_keeps_what_it_would_have_taken_when_it_was_first_commanded() -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assignments.assign(
        REQUEST,
        np.array([2.0, NAN, NAN, NAN]),
        uncontrolled_kw=np.zeros(COUNT),
        baseline_kw=np.zeros(COUNT),
        at_s=110.0,
    )
    held = assignments.columns
    assert (held.owner[0], held.setpoint_kw[0], held.uncontrolled_kw[0], held.anchor_kw[0]) == (REQUEST, 2.0, 7.0, 6.5)
    assert held.assigned_s[0] == 100.0
    assert held.active.tolist() == [True, False, False, False]


def test_a_row_without_a_setpoint_returns_and_forgets_its_request() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    assignments.pause(rows(0), 105.0)
    assign(assignments, [NAN, 3.0, NAN, NAN], at_s=110.0)
    held = assignments.columns
    assert held.owner[0] == NOBODY
    assert held.returning_s[0] == 110.0
    assert np.isnan([held.setpoint_kw[0], held.paused_s[0], held.assigned_s[0], held.planned_kw[0]]).all()
    assert held.owner[1] == REQUEST


def test_what_was_learnt_of_a_row_while_it_was_commanded_is_kept_when_it_is_released() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    learnt = np.array([0.0, NAN, NAN, NAN])
    assignments.assign(REQUEST, np.full(COUNT, NAN), uncontrolled_kw=learnt, baseline_kw=learnt + 0.5, at_s=110.0)
    held = assignments.columns
    assert (held.uncontrolled_kw[0], held.anchor_kw[0]) == (0.0, 0.5)
    assert (held.uncontrolled_kw[1], held.anchor_kw[1]) == (UNCONTROLLED[1], UNCONTROLLED[1] - 0.5)


def test_a_returning_row_that_is_assigned_again_keeps_its_uncontrolled_power() -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assign(assignments, [NAN] * COUNT, at_s=110.0)
    assignments.assign(
        OTHER, np.array([1.0, NAN, NAN, NAN]), uncontrolled_kw=np.zeros(COUNT), baseline_kw=np.zeros(COUNT), at_s=120.0
    )
    held = assignments.columns
    assert (held.owner[0], held.uncontrolled_kw[0]) == (OTHER, 7.0)
    assert np.isnan(held.returning_s[0])


@pytest.mark.parametrize(("shown_kw", "after_s", "back"), [(6.5, 1.0, True), (3.0, 1.0, False), (3.0, 121.0, True)])
def test_a_row_has_returned_when_its_meter_shows_it_or_had_the_time_to(
    *, shown_kw: float, after_s: float, back: bool
) -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assign(assignments, [NAN] * COUNT, at_s=110.0)
    assignments.observe_returns(rows(0), np.full(COUNT, shown_kw), 110.0 + after_s, 120.0)
    assert np.isnan(assignments.columns.returning_s[0]) == back


def test_rows_of_a_request_that_is_over_are_released_at_once_or_when_they_are_due() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    everyone = np.arange(COUNT, dtype=np.int32)
    assignments.end_requests(everyone, running(False, False), np.array([NAN, 500.0, NAN, NAN]), 200.0)
    held = assignments.columns
    assert held.owner[:2].tolist() == [NOBODY, NOBODY]
    assert held.returning_s[0] == 200.0
    assert (held.setpoint_kw[1], held.release_due_s[1]) == (3.0, 500.0), "it is held until then"
    assignments.end_requests(everyone, running(False, False), at_once(), 500.0)
    assert held.returning_s[1] == 500.0
    assert np.isnan([held.setpoint_kw[1], held.release_due_s[1]]).all()


def test_rows_of_a_running_request_stay() -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assignments.end_requests(rows(0), running(True, False), at_once()[:1], 200.0)
    assert assignments.columns.owner[0] == REQUEST


def test_a_cap_is_noted_beside_the_request_and_the_lower_power_is_wanted() -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assignments.cap(np.array([0, 1]), np.array([2.0, 1.0]), np.array([9.0, 6.0]))
    held = assignments.columns
    np.testing.assert_array_equal(assignments.wanted_kw(), [2.0, 1.0, NAN, NAN])
    assert held.uncontrolled_kw[:2].tolist() == [7.0, 6.0], "noted where nothing was"
    assignments.uncap(np.array([0, 1]), 300.0)
    assert np.isnan(held.cap_kw).all()
    assert np.isnan(held.returning_s[0]), "it works for its request"
    assert held.returning_s[1] == 300.0


def test_moves_between_cycles_assign_and_release() -> None:
    assignments = assigned([3.0, NAN, NAN, NAN])
    assignments.move(REQUEST, rows(0, 1), np.array([NAN, 2.0]), uncontrolled_kw=np.array([7.0, 6.0]), at_s=104.0)
    held = assignments.columns
    assert (held.owner[0], held.returning_s[0]) == (NOBODY, 104.0)
    assert (held.owner[1], held.setpoint_kw[1], held.uncontrolled_kw[1]) == (REQUEST, 2.0, 6.0)


def test_the_power_a_row_rests_at_is_the_noted_one_while_it_returns() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    assign(assignments, [NAN, 3.0, NAN, NAN], at_s=110.0)
    shown = np.full(COUNT, 1.0)
    np.testing.assert_array_equal(assignments.resting_kw(rows(0, 1, 2), shown), [7.0, 1.0, 1.0])


def test_a_lost_link_is_dated_once_and_forgotten_when_it_is_up() -> None:
    assignments, up, down = Assignments(2), np.array([True, True]), np.array([True, False])
    assignments.observe_links(down, None, 10.0)
    assignments.observe_links(down, down, 20.0)
    assert assignments.columns.lost_s[1] == 10.0
    assignments.observe_links(up, down, 30.0)
    assert np.isnan(assignments.columns.lost_s).all()


def test_pauses_are_dated_and_the_plan_is_dropped_as_a_whole() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    assignments.pause(rows(0), 150.0)
    assert assignments.columns.paused_s[0] == 150.0
    assignments.resume(rows(0), 450.0)
    assert np.isnan(assignments.columns.paused_s[0])
    assert assignments.columns.resumed_s[0] == 450.0
    assignments.plan(rows(0, 1), np.array([2.0, 1.0]))
    np.testing.assert_array_equal(assignments.columns.planned_kw, [2.0, 1.0, NAN, NAN])
    assignments.drop_plan()
    assert np.isnan(assignments.columns.planned_kw).all()


def test_only_rows_with_something_left_are_looked_at() -> None:
    assignments = assigned([3.0, 3.0, NAN, NAN])
    always = np.array([False, False, False, True])
    assert assignments.active_rows(always).tolist() == [0, 1, 3]
    assign(assignments, [NAN, 3.0, NAN, NAN], at_s=110.0)
    assignments.observe_returns(rows(0), UNCONTROLLED, 120.0, 120.0)
    assignments.settle(rows(0, 1), np.array([True, False]))
    assert assignments.active_rows(always).tolist() == [0, 1, 3], "a command is under way in the first"
    assignments.settle(rows(0, 1), np.array([False, False]))
    assert assignments.active_rows(always).tolist() == [1, 3]
    assignments.activate(rows(2))
    assert assignments.active_rows(always).tolist() == [1, 2, 3]


def test_after_a_restart_leases_say_whom_a_row_is_assigned_to() -> None:
    assignments = Assignments(COUNT)
    left = Recovered(
        rows=np.array([0, 1]),
        owner=rows(REQUEST, NOBODY),
        capped=np.array([False, True]),
        dispatch_kw=np.array([3.0, 2.0]),
        uncontrolled_kw=UNCONTROLLED,
        released_s=np.array([-np.inf, -np.inf, 950.0, 100.0]),
    )
    assignments.recover(left, at_s=1000.0, confirm_s=120.0)
    held = assignments.columns
    assert (held.owner[0], held.setpoint_kw[0]) == (REQUEST, 3.0)
    assert (held.owner[1], held.cap_kw[1]) == (NOBODY, 2.0)
    assert held.returning_s[2] == 950.0
    assert np.isnan(held.returning_s[3]), "it was released long ago"
    assert held.uncontrolled_kw[:3].tolist() == [7.0, 6.0, 5.0]
    assert (held.lost_s == 1000.0).all()
    assert held.active.all()


def test_readers_cannot_write_and_see_every_change() -> None:
    assignments = Assignments(1)
    held = assignments.columns
    with pytest.raises(ValueError, match="read-only"):
        held.setpoint_kw[0] = 1.0
    assignments.cap(np.array([0]), np.array([1.0]), np.array([2.0]))
    assert held.cap_kw[0] == 1.0
    assignments.grow(3)
    assert len(assignments) == 3
    np.testing.assert_array_equal(assignments.columns.cap_kw, [1.0, NAN, NAN])
