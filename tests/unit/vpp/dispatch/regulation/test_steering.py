"""Setpoints of a request for regulation in a full cycle."""

from dataclasses import replace

import numpy as np

from tests.unit.vpp.dispatch.regulation.parts import BATTERIES, CARS, T0_S, Played
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.regulation.steering import cycle_setpoints_kw

BATTERY = CARS + BATTERIES - 1


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
