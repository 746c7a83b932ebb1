"""Energy is the sum of plausible rises, whatever registers a station speaks of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.station.energy_register import STOP_SLACK_KWH, EnergyRegister

P_MAX_KW = 11.0
MINUTE_KWH = P_MAX_KW / 60.0


def charged(minutes: int, first_kwh: float = 5000.0) -> EnergyRegister:
    """Return a register after so many minutes at full power."""
    register = EnergyRegister(P_MAX_KW)
    for minute in range(minutes + 1):
        register.take(first_kwh + MINUTE_KWH * minute, 60.0 * minute)
    return register


def test_a_plain_register_is_passed_on_as_it_is() -> None:
    assert charged(60).total_kwh == 5000.0 + MINUTE_KWH * 60


def test_a_register_after_a_long_silence_is_believed_as_far_as_the_nameplate_goes() -> None:
    register = charged(0)
    assert register.take(5080.0, 8 * 3600.0) == 5080.0
    assert register.take(9000.0, 8 * 3600.0 + 60.0) == 5080.0


@pytest.mark.parametrize("odd_kwh", [0.0, 1.0, 4000.0, 6000.0, 65535.0, 1e9])
def test_one_odd_reading_changes_nothing_and_costs_nothing(odd_kwh: float) -> None:
    register = charged(10)
    assert register.take(odd_kwh, 630.0) == register.total_kwh == pytest.approx(5000.0 + MINUTE_KWH * 10)
    assert register.take(5000.0 + MINUTE_KWH * 11, 660.0) == pytest.approx(5000.0 + MINUTE_KWH * 11)


def test_a_session_register_beside_the_lifetime_register_counts_once() -> None:
    register = EnergyRegister(P_MAX_KW)
    assert register.take(5000.0, 0.0) == 5000.0
    for minute in range(61):
        register.take(MINUTE_KWH * minute, 60.0 * minute)
        if minute % 15 == 0:
            register.take(5000.0 + MINUTE_KWH * minute, 60.0 * minute + 1.0)
    assert register.total_kwh == pytest.approx(5011.0, abs=MINUTE_KWH)
    assert register.take(5011.0, 3660.0, STOP_SLACK_KWH) == pytest.approx(5011.0, abs=MINUTE_KWH)


def test_the_next_session_s_register_begins_where_the_last_ended() -> None:
    register = EnergyRegister(P_MAX_KW)
    for start_s, lifetime_kwh in ((0.0, 5000.0), (7200.0, 5010.0)):
        register.take(lifetime_kwh, start_s)
        for minute in range(61):
            register.take(10.0 * minute / 60.0, start_s + 60.0 * minute)
    assert register.total_kwh == pytest.approx(5020.0, abs=0.4)


def test_a_replaced_meter_goes_on_where_the_old_one_stood() -> None:
    register = charged(60)
    for minute in range(61):
        register.take(MINUTE_KWH * minute, 3600.0 + 60.0 * minute)
    assert register.total_kwh == pytest.approx(5022.0, abs=MINUTE_KWH)


def test_a_register_that_began_with_a_nought_counts_from_its_first_true_reading() -> None:
    register = EnergyRegister(P_MAX_KW)
    register.take(0.0, 0.0)
    for minute in range(1, 61):
        register.take(5000.0 + MINUTE_KWH * minute, 60.0 * minute)
    assert register.total_kwh == pytest.approx(11.0, abs=2 * MINUTE_KWH)


def test_old_readings_tell_of_the_past_and_leave_the_present() -> None:
    register = charged(60)
    assert register.take(5000.0 + MINUTE_KWH * 30, 1800.0) == pytest.approx(5000.0 + MINUTE_KWH * 30)
    assert register.take(17.0, 1800.0) == register.total_kwh == 5000.0 + MINUTE_KWH * 60


ODD = st.floats(0.0, 1e12) | st.floats(4990.0, 5020.0)


@given(st.lists(st.tuples(ODD, st.floats(-3600.0, 3600.0)), max_size=50))
def test_the_sum_never_falls_and_never_outruns_the_nameplate(readings: list[tuple[float, float]]) -> None:
    register, now_s, passed_s = charged(0), 0.0, 0.0
    for odd_kwh, later_s in readings:
        now_s = max(now_s + later_s, 0.0)
        passed_s += abs(later_s)
        before_kwh = register.total_kwh
        register.take(odd_kwh, now_s)
        assert register.total_kwh >= before_kwh
    most_kwh = 2 * passed_s * P_MAX_KW * 1.5 / 3600.0 + 1.0 * len(readings)
    assert register.total_kwh <= 5000.0 + most_kwh + 1e-3
