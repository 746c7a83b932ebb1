"""An old compound whose flats take nearly all that its transformer has: who charges with what is left."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site, chargers
from tests.unit.vpp.planning.parts import STORAGE, V2G, state
from vpp.dispatch.arbitration.cap_release import lift_caps, return_kw
from vpp.dispatch.arbitration.guard import Guarded, clamp, guard
from vpp.dispatch.flexibility.accounted_load import no_doubt
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

SETTINGS = DispatchSettings()
LIMIT_KW, FLATS_KW, FLOOR_KW, COUNT = 400.0, 380.0, 1.32, 14
AIM_KW = SETTINGS.caps.aim_ratio * LIMIT_KW - FLATS_KW
"""8 kW: room for six chargers at their floor."""
TREE_NODE = 0


def _fleet() -> FleetIndex:
    return at_one_site(
        chargers(COUNT, p_max_kw=7.0, floor_kw=FLOOR_KW, default_kw=FLOOR_KW),
        limit_kw=LIMIT_KW,
        export_limit_kw=LIMIT_KW,
        base_load_kw=FLATS_KW,
    )


def _state(index: FleetIndex, power_kw: FloatArray) -> FleetState:
    count = len(index)
    unknown, there = np.full(count, np.nan), np.ones(count, dtype=np.bool_)
    return FleetState(
        index=index,
        at_s=0.0,
        cycle=0,
        power_kw=power_kw,
        power_at_s=np.zeros(count),
        quality=np.zeros(count, dtype=np.uint8),
        energy_kwh=unknown,
        soc=unknown,
        connected=there,
        plugged=there,
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=unknown,
        need_kwh=np.ones(count),
        departure_s=np.full(count, 3600.0),
        sheddable=there,
    )


def _charging(count: int) -> FloatArray:
    return np.where(np.arange(COUNT) < count, FLOOR_KW, 0.0)


def _last(count: int) -> BoolArray:
    return np.arange(COUNT) >= COUNT - count


def _guarded(index: FleetIndex, wanted_kw: FloatArray, now_kw: FloatArray, kept: BoolArray) -> Guarded:
    return guard(
        _state(index, now_kw),
        index.feeders,
        wanted_kw=wanted_kw,
        now_kw=now_kw,
        kept=kept,
        fixed=np.zeros(COUNT, dtype=np.bool_),
        order=np.zeros(COUNT),
        caps=SETTINGS.caps,
    )


def _lifted(charging: int, kept: BoolArray) -> int:
    """Return how many of those who are held at nothing return, with ``charging`` others at their floor."""
    index, assignments = _fleet(), Assignments(COUNT)
    power = _charging(charging)
    held = np.arange(charging, COUNT)
    assignments.cap(held, np.zeros(len(held)), np.full(len(held), FLOOR_KW))
    lift_caps(
        assignments,
        index.feeders,
        _state(index, power),
        accounted=no_doubt(power),
        uncontrolled_kw=np.full(COUNT, FLOOR_KW),
        kept=kept,
        order=np.zeros(COUNT),
        caps=SETTINGS.caps,
    )
    return int(np.isnan(assignments.columns.cap_kw[charging:]).sum())


def test_chargers_return_where_the_flats_alone_are_above_the_usual_share() -> None:
    assert SETTINGS.caps.release_ratio * LIMIT_KW < FLATS_KW
    fits = int(AIM_KW / FLOOR_KW)
    assert _lifted(0, _last(0)) == fits - 1, "a tenth of the room is left"


def test_nobody_returns_who_would_have_to_be_cut_again() -> None:
    assert return_kw(_fleet().feeders, SETTINGS.caps)[TREE_NODE] < SETTINGS.caps.aim_ratio * LIMIT_KW


def test_a_driver_who_runs_out_of_time_may_use_part_of_the_margin() -> None:
    charging = int(AIM_KW / FLOOR_KW)
    assert _lifted(charging, _last(0)) == 0
    urgent = _last(3)
    assert _lifted(charging, urgent) == 3
    wanted = np.where(urgent, FLOOR_KW, np.nan)
    everybody_kept = np.ones(COUNT, dtype=np.bool_)
    result = _guarded(_fleet(), wanted, _charging(charging), everybody_kept)
    assert (result.power_kw[urgent] == FLOOR_KW).all()
    assert result.load_kw[TREE_NODE] <= SETTINGS.caps.promise_ratio * LIMIT_KW


def test_those_who_can_wait_make_room_before_the_margin_is_used() -> None:
    charging, urgent = int(AIM_KW / FLOOR_KW), _last(3)
    result = _guarded(_fleet(), np.where(urgent, FLOOR_KW, np.nan), _charging(charging), urgent)
    assert (result.power_kw[urgent] == FLOOR_KW).all()
    assert result.load_kw[TREE_NODE] <= SETTINGS.caps.aim_ratio * LIMIT_KW


def test_more_than_the_margin_is_given_to_nobody() -> None:
    charging = int(AIM_KW / FLOOR_KW)
    everybody = np.ones(COUNT, dtype=np.bool_)
    urgent = _last(COUNT - charging)
    result = _guarded(_fleet(), np.where(urgent, FLOOR_KW, np.nan), _charging(charging), everybody)
    assert SETTINGS.caps.promise_ratio * LIMIT_KW < FLATS_KW + COUNT * FLOOR_KW
    assert result.load_kw[TREE_NODE] <= SETTINGS.caps.promise_ratio * LIMIT_KW + 1e-9


@pytest.mark.parametrize("row", [STORAGE, V2G])
def test_an_empty_store_gives_nothing_and_a_full_one_takes_nothing(row: int) -> None:
    limits = state().index.limits
    floor, ceiling = limits.soc_floor[row], limits.soc_ceiling[row]
    for soc, least_kw, most_kw in (
        (floor, 0.0, 10.0),
        (floor + 0.01, -10.0, 10.0),
        (ceiling, -10.0, 0.0),
        (np.nan, -10.0, 10.0),
    ):
        charged = np.full(6, np.nan)
        charged[row] = soc
        for wanted, allowed in ((-10.0, least_kw), (10.0, most_kw)):
            wanted_kw = np.full(6, np.nan)
            wanted_kw[row] = wanted
            safe = clamp(state(soc=charged), wanted_kw, np.zeros(6, dtype=np.bool_))
            assert safe[row] == allowed, (soc, wanted)


CABLE_KW, LEAST_KW = 21.5, 1.4
HURRIED, OPTED_OUT = True, False
EVERYBODY = np.ones(2, dtype=np.bool_)


def _pair(*, base_kw: float = 0.0) -> FleetIndex:
    """Return two fast chargers behind a small transformer."""
    pair = chargers(2, p_max_kw=40.0, floor_kw=LEAST_KW, default_kw=40.0)
    return at_one_site(pair, limit_kw=CABLE_KW, export_limit_kw=CABLE_KW, base_load_kw=base_kw)


def _cut(
    now_kw: list[float],
    *,
    kept: BoolArray = EVERYBODY,
    hurried: tuple[bool, bool] = (HURRIED, HURRIED),
    base_kw: float = 0.0,
    wanted_kw: list[float] | None = None,
    fixed: BoolArray | None = None,
    hours: tuple[float, float] = (1.0, 1.0),
) -> Guarded:
    index, now = _pair(base_kw=base_kw), np.array(now_kw)
    return guard(
        replace(
            _state(index, now),
            need_kwh=np.where(hurried, 30.0, np.nan),
            departure_s=3600.0 * np.array(hours),
            sheddable=np.array(hurried),
        ),
        index.feeders,
        wanted_kw=np.full(2, np.nan) if wanted_kw is None else np.array(wanted_kw),
        now_kw=now,
        kept=kept,
        fixed=~EVERYBODY if fixed is None else fixed,
        order=np.zeros(2),
        caps=SETTINGS.caps,
    )


def test_a_driver_short_of_time_gives_way_where_nothing_else_is_left_to_cut() -> None:
    result = _cut([30.0, 0.0])
    assert result.power_kw[0] == pytest.approx(SETTINGS.caps.promise_ratio * CABLE_KW)
    assert result.capped.tolist() == [True, False]
    assert result.load_kw[0] <= CABLE_KW


def test_two_drivers_short_of_time_give_way_side_by_side() -> None:
    result = _cut([30.0, 15.0])
    assert result.load_kw[0] == pytest.approx(SETTINGS.caps.promise_ratio * CABLE_KW)
    above = result.power_kw - LEAST_KW
    assert above[0] / above[1] == pytest.approx((30.0 - LEAST_KW) / (15.0 - LEAST_KW))


@pytest.mark.parametrize("ratio", [0.98, 0.99, 1.0])
def test_no_promise_is_broken_for_the_margin_below_the_limit(ratio: float) -> None:
    result = _cut([ratio * CABLE_KW, 0.0])
    assert np.isnan(result.power_kw).all()
    assert not result.capped.any()


def test_a_kept_session_is_left_alone_while_one_that_can_wait_is_left_to_cut() -> None:
    result = _cut([19.0, 15.0], kept=np.array([True, False]))
    assert np.isnan(result.power_kw[0])
    assert result.power_kw[1] == pytest.approx(SETTINGS.caps.aim_ratio * CABLE_KW - 19.0)


def test_who_opted_out_gives_way_before_who_is_short_of_time() -> None:
    result = _cut([15.0, 15.0], hurried=(HURRIED, OPTED_OUT))
    assert np.isnan(result.power_kw[0])
    assert result.load_kw[0] == pytest.approx(SETTINGS.caps.promise_ratio * CABLE_KW)


def test_where_two_floors_do_not_fit_the_one_with_more_slack_is_paused() -> None:
    result = _cut([10.0, 10.0], base_kw=CABLE_KW - 1.5, hours=(1.0, 2.0))
    assert result.power_kw.tolist() == [pytest.approx(LEAST_KW), 0.0]
    assert result.power_kw[0] >= LEAST_KW, "what is below its floor by a hair is stopped"
    assert result.load_kw[0] <= CABLE_KW, "the margin is worth no pause"


def test_of_two_nearly_full_cars_that_take_less_than_their_floors_one_is_paused() -> None:
    result = _cut([1.0, 1.0], base_kw=CABLE_KW - 1.5 * LEAST_KW, wanted_kw=[40.0, 40.0], hours=(1.0, 2.0))
    assert result.power_kw.tolist() == [pytest.approx(LEAST_KW), 0.0]


def test_what_no_command_reaches_is_not_cut() -> None:
    result = _cut([15.0, 15.0], fixed=np.array([True, False]))
    assert np.isnan(result.power_kw[0])
    assert result.load_kw[0] <= CABLE_KW


def test_of_two_kept_sessions_the_lower_one_is_raised_first() -> None:
    for now, lower in (([12.0, 4.0], 1), ([4.0, 12.0], 0)):
        result = _cut(now, wanted_kw=[40.0, 40.0])
        assert result.power_kw[1 - lower] == 12.0
        assert result.power_kw[lower] == pytest.approx(SETTINGS.caps.promise_ratio * CABLE_KW - 12.0)
