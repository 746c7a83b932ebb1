"""The cadence of meters, from the age of what they last showed."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import CARS, T0_S, seen, small_fleet
from vpp.domain.resource import CHARGING
from vpp.domain.telemetry import Quality
from vpp.fleet.fleet_state import FleetState
from vpp.state.meter_cadence import MeterCadence

INDEX = small_fleet()
COUNT = len(INDEX)
POWER_KW = np.zeros(COUNT)


def watched(
    period_s: np.ndarray, *, look_s: float, seconds: float = 1200.0, spread: float = 0.618034, **more: np.ndarray
) -> np.ndarray:
    """Look for a while at rows that are read once a period at phases of their own; return what is made of it."""
    cadence, phase_s = MeterCadence(INDEX), (np.arange(COUNT) * spread % 1.0) * period_s
    for now_s in np.arange(look_s, seconds, look_s):
        read_s = np.floor((now_s - phase_s) / period_s) * period_s + phase_s
        cadence.observe(replace(seen(INDEX, POWER_KW, T0_S + now_s), power_at_s=T0_S + read_s, **more))
    return cadence.period_s()


@pytest.mark.parametrize("look_s", [4.0, 10.0, 60.0])
@pytest.mark.parametrize("period_s", [15.0, 60.0])
def test_periods_are_known_to_some_ten_per_cent_though_looked_at_seldom_or_often(
    period_s: float, look_s: float
) -> None:
    cars = INDEX.is_class(*CHARGING)
    found = watched(np.where(cars, period_s, 30.0), look_s=look_s)
    assert found[cars] == pytest.approx(period_s, rel=0.15)
    assert found[~cars] == pytest.approx(30.0, rel=0.9), "few peers, each at one age of its own"


@pytest.mark.parametrize("look_s", [4.0, 10.0])
def test_periods_are_known_where_a_clock_has_all_rows_read_at_once(look_s: float) -> None:
    found = watched(np.full(COUNT, 60.0), look_s=look_s, seconds=600.0, spread=0.0)
    assert found == pytest.approx(60.0, rel=0.25)


def test_a_row_that_is_read_more_seldom_than_its_peers_is_known_as_such() -> None:
    period_s = np.full(COUNT, 10.0)
    period_s[0] = 170.0
    found = watched(period_s, look_s=4.0)
    assert found[0] > 100.0
    assert found[1] < 30.0


def test_stations_without_a_car_say_nothing_of_those_with_one() -> None:
    plugged = np.arange(COUNT) < CARS // 2
    period_s = np.where(plugged, 10.0, 170.0)
    assert watched(period_s, look_s=4.0, plugged=plugged)[0] == pytest.approx(10.0, rel=0.2)


def graded(state: FleetState) -> FleetState:
    """Return the snapshot with readings older than three minutes stale, as ingest grades them."""
    quality = np.where(state.at_s - state.power_at_s > 180.0, Quality.STALE, Quality.GOOD).astype(np.uint8)
    return replace(state, quality=quality)


@pytest.mark.parametrize("what", ["connected", "plugged"])
def test_rows_that_come_back_are_not_taken_for_rarely_read_by_what_was_read_before(what: str) -> None:
    cadence, phase_s = MeterCadence(INDEX), np.arange(COUNT) * 0.618034 % 1.0 * 60.0
    cars = INDEX.is_class(*CHARGING)
    for now_s in np.arange(10.0, 5600.0, 10.0):
        away = cars & (1200.0 <= now_s < 4800.0)
        read_s = np.floor((now_s - phase_s) / 60.0) * 60.0 + phase_s
        read_s = np.where(cars & (read_s < 4800.0), np.minimum(read_s, 1200.0), read_s)
        there = ~away & (cars | (what == "connected"))
        state = replace(seen(INDEX, POWER_KW, T0_S + now_s), power_at_s=T0_S + read_s, **{what: there})
        cadence.observe(graded(state))
        if now_s >= 4800.0:
            assert cadence.period_s()[cars] == pytest.approx(60.0, rel=0.25)


def test_a_meter_out_of_order_says_nothing_of_its_peers() -> None:
    cadence, phase_s = MeterCadence(INDEX), np.arange(COUNT) * 0.618034 % 1.0 * 15.0
    for now_s in np.arange(10.0, 7200.0, 10.0):
        read_s = np.floor((now_s - phase_s) / 15.0) * 15.0 + phase_s
        read_s[0] = min(read_s[0], 600.0)
        cadence.observe(graded(replace(seen(INDEX, POWER_KW, T0_S + now_s), power_at_s=T0_S + read_s)))
    assert cadence.period_s()[1] < 30.0


def test_rows_out_of_service_say_nothing_of_their_peers() -> None:
    cadence = MeterCadence(INDEX)
    aged_s = np.where(np.arange(COUNT) < CARS // 2, 50.0, 5.0)
    cadence.observe(replace(seen(INDEX, POWER_KW), power_at_s=T0_S - aged_s))
    cadence.resize(replace(INDEX, withheld=tuple(range(CARS // 2))))
    assert cadence.period_s()[CARS - 1] == pytest.approx(10.0)


def test_what_was_never_read_is_not_known() -> None:
    cadence = MeterCadence(INDEX)
    cadence.observe(replace(seen(INDEX, POWER_KW), power_at_s=np.full(COUNT, np.nan)))
    assert np.isnan(cadence.period_s()).all()
