"""A car that does not wake after a pause of ours is noticed, and one that does is not suspected."""

import pytest

from adapters.ocpp.profiles.nameplates import NameplateRecord
from adapters.ocpp.station.connector_state import WAKES_WITHIN_S, ConnectorState
from vpp.domain.trouble import Trouble

VOLTS = 220.0


def point(p_max_kw: float = 11.0, floor_kw: float = 0.0) -> ConnectorState:
    return ConnectorState.of(1, 0, NameplateRecord(0.0, p_max_kw, floor_kw, 3))


def paused(drew_kw: float = 11.0, limit_kw: float = 0.5) -> ConnectorState:
    """Return a post whose car was stopped by a limit at 0 s and may go on at 600 s."""
    one = point()
    one.power_kw = drew_kw
    one.take_limit(limit_kw, 0.0, VOLTS)
    one.take_power(0.0, 60.0)
    one.take_limit(11.0, 600.0, VOLTS)
    return one


def test_a_car_that_stays_at_nought_is_asleep_and_awake_once_it_draws() -> None:
    one = paused()
    assert not one.take_power(0.0, 600.0 + WAKES_WITHIN_S - 1.0)
    assert one.take_power(0.0, 600.0 + WAKES_WITHIN_S)
    assert one.asleep
    assert not one.take_power(0.0, 2000.0)
    assert one.take_power(7.0, 2060.0)
    assert not one.asleep


def test_a_car_that_goes_on_is_never_suspected() -> None:
    one = paused()
    assert not one.take_power(7.0, 630.0)
    assert one.pause is None


def test_a_car_that_drew_nothing_before_or_was_only_throttled_is_not_suspected() -> None:
    assert paused(drew_kw=0.0).pause is None
    assert paused(limit_kw=4.0).pause is None


def test_time_under_another_pause_does_not_count() -> None:
    one = paused()
    one.take_limit(0.0, 700.0, VOLTS)
    assert not one.take_power(0.0, 600.0 + 2.0 * WAKES_WITHIN_S)
    one.take_limit(11.0, 2000.0, VOLTS)
    assert not one.take_power(0.0, 2000.0 + WAKES_WITHIN_S / 2.0)
    assert one.take_power(0.0, 2000.0 + WAKES_WITHIN_S)


@pytest.mark.parametrize(("p_max_kw", "least_kw"), [(11.0, 3.96), (150.0, 1.0)])
def test_what_stops_a_car_is_six_amperes_on_each_phase_or_a_kilowatt_of_direct_current(
    p_max_kw: float, least_kw: float
) -> None:
    assert point(p_max_kw).least_kw(VOLTS) == pytest.approx(least_kw)


def test_an_evse_gives_nothing_only_where_its_car_or_all_its_connectors_cannot() -> None:
    one = point()
    one.put_state(1, "Occupied")
    one.put_state(2, "Faulted")
    assert one.occupied
    assert one.outage(1) is None
    assert one.outage(2) is Trouble.FAULTED
    assert one.outage(0) is None
    one.put_state(1, "Unavailable")
    assert one.outage(0) is Trouble.OUT_OF_SERVICE
