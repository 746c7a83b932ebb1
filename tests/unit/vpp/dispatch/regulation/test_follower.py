"""A fleet under the follower of a regulation signal."""

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import BATTERIES, BATTERY_KW, CARS, DISPATCH, EV_KW, Played, small_fleet
from vpp.dispatch.regulation.follower import RegulationFollower, StoreDrift
from vpp.domain.errors import InputError
from vpp.domain.resource import ResourceClass

NO_DRIFT = StoreDrift(ratio=0.0)


@pytest.mark.parametrize("asked_kw", [0.0, 120.0, -120.0, 300.0, -300.0])
def test_net_load_falls_by_what_is_asked(asked_kw: float) -> None:
    assert Played(drift=NO_DRIFT).tick(asked_kw) == pytest.approx(asked_kw)


def test_under_a_signal_of_nothing_batteries_keep_still() -> None:
    played = Played()
    played.tick(0.0)
    batteries = played.index.is_class(ResourceClass.STORAGE)
    assert played.power_kw[batteries] == pytest.approx(np.zeros(BATTERIES), abs=1e-6)


def test_cars_are_throttled_to_their_floor_and_never_stopped() -> None:
    played = Played(drift=NO_DRIFT)
    fell = played.tick(1e6)
    cars = played.index.is_class(ResourceClass.EV)
    assert fell == pytest.approx(BATTERIES * BATTERY_KW + CARS * (EV_KW - 1.4))
    assert played.power_kw[cars] == pytest.approx(np.full(CARS, 1.4))


def test_roofs_and_who_is_not_there_take_no_part() -> None:
    played = Played(drift=NO_DRIFT)
    played.holding[0] = False
    played.refresh()
    played.tick(1e6)
    assert played.power_kw[0] == EV_KW
    assert played.power_kw[-1] == -40.0
    assert np.isnan(played.follower.power_kw[[0, -1]]).all()


def test_sessions_that_must_not_be_reduced_are_not() -> None:
    played = Played(drift=NO_DRIFT)
    played.kept[:5] = True
    played.refresh()
    played.tick(1e6)
    assert played.power_kw[:5] == pytest.approx(np.full(5, EV_KW))


def test_no_transformer_is_loaded_beyond_what_the_guard_aims_at() -> None:
    played = Played(limit_kw=200.0, drift=NO_DRIFT)
    played.tick(-300.0)
    assert played.power_kw.sum() == pytest.approx(DISPATCH.caps.aim_ratio * 200.0)


def test_few_rows_change_when_the_signal_changes_a_little() -> None:
    played = Played(drift=NO_DRIFT)
    played.tick(100.0)
    followed = played.follower.tick(played.at_s + 4.0, 101.0)
    assert len(followed) == 1


def test_what_the_meters_lack_is_made_up_for() -> None:
    played = Played(drift=NO_DRIFT, meter_s=60.0, correction_ratio=0.5)
    broken = CARS  # the first battery ignores everything
    for _ in range(100):
        played.tick(150.0)
        played.power_kw[broken] = 0.0
        played.refresh()
    others = np.arange(len(played.index)) != broken
    assert (played.base_kw - played.power_kw)[others].sum() == pytest.approx(150.0, abs=20.0)


def test_energy_taken_too_much_is_given_back() -> None:
    played = Played(drift=StoreDrift(time_s=600.0, ratio=0.2, spare_h=0.01))
    for _ in range(150):
        played.tick(-100.0)
        played.refresh()
    assert played.tick(0.0) > 30.0


def test_half_of_what_backs_the_power_is_used_before_precision_pays_for_it() -> None:
    played = Played(correction_ratio=0.0)  # 300 kW, backed by 75 kWh
    answered = []
    for _ in range(900):  # 100 kWh in an hour
        answered.append(-played.tick(-100.0))
        played.refresh()
    used_kwh = np.cumsum(answered) * 4.0 / 3600.0
    np.testing.assert_allclose(np.array(answered)[used_kwh < 37.0], 100.0)
    assert answered[-1] == pytest.approx(94.0), "2 % of the reserved power"


def test_what_chargers_were_denied_is_theirs_to_fetch() -> None:
    played = Played(drift=StoreDrift(time_s=60.0, ratio=0.2, spare_h=0.0))
    played.holding[CARS:] = False  # cars alone
    played.refresh()
    for _ in range(50):
        played.tick(50.0)
        played.refresh()
    assert played.tick(0.0) == pytest.approx(0.0, abs=1e-6)


def test_who_takes_no_command_at_present_is_counted_and_others_make_up_for_it() -> None:
    played = Played(drift=NO_DRIFT, correction_ratio=0.0)
    stuck = CARS  # the first battery holds 40 kW, whatever it is told
    played.power_kw[stuck], played.pinned[stuck] = 40.0, True
    played.refresh()
    fell_kw = played.tick(150.0)
    assert played.power_kw[stuck] == 40.0
    assert fell_kw == pytest.approx(150.0)


def test_free_chargers_and_stores_on_their_plan_are_told_nothing() -> None:
    played = Played(drift=NO_DRIFT)
    played.tick(0.0)
    everyone = np.arange(len(played.index), dtype=np.int32)
    nobody = np.zeros(len(everyone), dtype=np.bool_)
    assert np.isnan(played.follower.setpoints_kw(everyone, nobody)).all()
    played.tick(450.0)
    told = played.follower.setpoints_kw(everyone, nobody)
    moved = ~np.isnan(told)
    assert told[moved] == pytest.approx(played.power_kw[moved])
    assert (played.base_kw - np.where(moved, told, played.base_kw)).sum() == pytest.approx(450.0)
    assert np.isnan(told[-1]), "roofs take no part"


def test_a_store_that_was_commanded_stays_at_hand() -> None:
    played = Played(drift=NO_DRIFT)
    played.tick(0.0)
    battery = np.array([CARS], dtype=np.int32)
    assert played.follower.setpoints_kw(battery, np.array([True])).tolist() == [0.0]


def test_the_correction_compares_meters_with_what_was_due_when_they_were_read() -> None:
    played = Played(drift=NO_DRIFT, correction_ratio=0.5, reaction_s=4.0)
    for tick in range(60):
        shown_kw = played.power_kw.copy()
        played.tick(5.0 * tick)
        commanded_kw, played.power_kw = played.power_kw, shown_kw  # everybody is a tick late, and the signal rises
        played.refresh()
        played.power_kw = commanded_kw
    fell_kw = float((played.base_kw - played.power_kw).sum())
    assert fell_kw == pytest.approx(5.0 * tick, abs=1.0)


def test_a_follower_without_capacity_is_refused() -> None:
    index = small_fleet()
    with pytest.raises(InputError, match="capacity_kw"):
        RegulationFollower(capacity_kw=0.0, tree=index.feeders, index=index, dispatch=DISPATCH)


def test_rows_that_are_read_too_seldom_stay_as_they_are_while_others_are_enough() -> None:
    played = Played(drift=NO_DRIFT, spare_ratio=1.0)
    cars = played.index.is_class(ResourceClass.EV)
    played.grade = np.where(cars, 2, 0).astype(np.uint8)
    played.refresh()
    assert played.tick(300.0) == pytest.approx(300.0)
    assert (played.power_kw[cars] == EV_KW).all()


def test_they_are_moved_where_the_others_are_not_enough() -> None:
    played = Played(drift=NO_DRIFT, spare_ratio=1.0)
    cars = played.index.is_class(ResourceClass.EV)
    played.grade = np.where(cars, 2, 0).astype(np.uint8)
    played.holding[CARS : CARS + 2] = False  # two of the four batteries
    played.refresh()
    assert played.tick(290.0) == pytest.approx(290.0)
    assert (played.power_kw[cars] < EV_KW).any()


def test_they_are_moved_where_limits_keep_the_others_from_being_enough() -> None:
    played = Played(limit_kw=200.0, drift=NO_DRIFT, spare_ratio=1.0)
    cars = played.index.is_class(ResourceClass.EV)
    played.grade = np.where(cars, 2, 0).astype(np.uint8)
    played.refresh()
    assert not played.follower._width_kw[cars].any()
    for _ in range(3):
        played.at_s += 60.0
        played.refresh()
    assert (played.follower._width_kw[cars] > 0.0).all()
