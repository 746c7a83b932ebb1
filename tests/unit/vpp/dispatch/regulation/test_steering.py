"""Setpoints of a request for regulation in a full cycle."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import BATTERIES, CARS, DISPATCH, T0_S, Played, seen
from vpp.dispatch.regulation.power_estimate import EstimatedPower
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.regulation.steering import cycle_setpoints_kw, reservation_of

BATTERY = CARS + BATTERIES - 1


def silent_in_all(played: Played, *, kept: np.ndarray, baseline_kw: float) -> Reservation:
    """Return the reservation of rows none of which has answered; their meters show nothing in sum."""
    count = len(played.index)
    unknown, everybody = np.full(count, np.nan), np.ones(count, dtype=np.bool_)
    columns = SimpleNamespace(
        owner=np.zeros(count, dtype=np.int32), cap_kw=unknown, release_due_s=unknown, setpoint_kw=np.zeros(count)
    )
    picture = SimpleNamespace(
        assignments=SimpleNamespace(columns=columns),
        commands=SimpleNamespace(back_off=SimpleNamespace(retry_s=np.full(count, -np.inf))),
        settings=DISPATCH,
        state=seen(played.index, played.power_kw),
    )
    portfolio = SimpleNamespace(rows=everybody, baseline_kw=baseline_kw)
    situation: Any = SimpleNamespace(number=0, picture=picture, portfolio=portfolio)
    nothing = np.zeros(count)
    scan: Any = SimpleNamespace(
        uncontrolled_kw=played.base_kw, unavailability=np.zeros(count, dtype=np.uint8), kept=kept, measured_kw=0.0
    )
    silent = EstimatedPower(ahead_kw=nothing, variance=nothing, silent=everybody)
    return reservation_of(situation, scan, nothing, None, estimate=silent, grade=np.zeros(count, dtype=np.uint8))


def test_a_row_that_has_not_answered_stays_as_it_is_unless_its_driver_is_short_of_time() -> None:
    played = Played()
    kept = np.arange(len(played.index)) == 0
    assert silent_in_all(played, kept=kept, baseline_kw=0.0).pinned.tolist() == (~kept).tolist()


@pytest.mark.parametrize(("baseline_kw", "change_kw", "at_s"), [(40.0, 40.0, T0_S), (np.nan, np.nan, np.nan)])
def test_a_change_that_is_not_estimated_has_no_instant_of_an_estimate(
    baseline_kw: float, change_kw: float, at_s: float
) -> None:
    played = Played()
    found = silent_in_all(played, kept=played.kept, baseline_kw=baseline_kw)
    assert (found.answered_kw, found.answered_at_s) == pytest.approx((change_kw, at_s), nan_ok=True)


def reservation(played: Played, *, held_kw: np.ndarray, pinned: np.ndarray) -> Reservation:
    return Reservation(
        holding=played.holding,
        base_kw=played.base_kw,
        held_kw=held_kw,
        kept=played.kept,
        pinned=pinned,
        shed=np.zeros(len(played.index)),
    )


def test_a_row_that_waits_for_others_or_takes_no_command_keeps_what_it_holds() -> None:
    played = Played()
    nobody = np.zeros(len(played.index), dtype=np.bool_)
    held_kw = np.full(len(played.index), np.nan)
    followed = played.follower.tick(T0_S + 4.0, 300.0)
    assert BATTERY in followed.rows
    moved = cycle_setpoints_kw(played.follower, followed, reservation(played, held_kw=held_kw, pinned=nobody))
    assert moved[BATTERY] < 0.0

    held_kw[BATTERY] = 5.0
    waiting = replace(followed, wait=followed.rows == BATTERY)
    late = cycle_setpoints_kw(played.follower, waiting, reservation(played, held_kw=held_kw, pinned=nobody))
    assert late[BATTERY] == 5.0
    pinned = np.arange(len(played.index)) == BATTERY
    still = cycle_setpoints_kw(played.follower, followed, reservation(played, held_kw=held_kw, pinned=pinned))
    assert still[BATTERY] == 5.0
    others = np.arange(len(played.index)) != BATTERY
    np.testing.assert_array_equal(late[others], moved[others])
    np.testing.assert_array_equal(still[others], moved[others])
