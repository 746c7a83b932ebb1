"""kW to what stations want to hear, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.profiles.power_units import RateUnit, Supply
from vpp.domain.resource import Adapter, Resource, ResourceClass

KW = st.floats(-50.0, 50.0)
PHASES = st.sampled_from((1, 2, 3))


def charger(*, phases: int = 3, p_min_kw: float = 0.0, p_max_kw: float = 22.0, floor_kw: float = 4.14) -> Resource:
    return Resource(
        id="r",
        site_id="s",
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address="CP/1",
        p_min_kw=p_min_kw,
        p_max_kw=p_max_kw,
        floor_kw=floor_kw,
        phases=phases,
    )


@pytest.mark.parametrize(
    ("asked_kw", "unit", "phases", "value"),
    [
        (6.6, RateUnit.W, 3, 6600.0),
        (6.6, RateUnit.A, 3, 10.0),
        (2.2, RateUnit.A, 1, 10.0),
        (6.65, RateUnit.A, 3, 10.0),  # 10.08 A: rounded down, a ceiling is never exceeded
        (0.0, RateUnit.A, 3, 0.0),
        (-3.0, RateUnit.W, 3, 0.0),
        (99.0, RateUnit.W, 3, 22_000.0),
    ],
)
def test_a_limit_is_written_in_the_unit_wanted(asked_kw: float, unit: RateUnit, phases: int, value: float) -> None:
    floor_kw = 1.32 * phases
    assert Supply().limit(asked_kw, unit, charger(phases=phases, floor_kw=floor_kw)).value == value


def test_the_floor_of_a_resource_counts_where_it_is_above_six_amperes() -> None:
    told = Supply().limit(1.0, RateUnit.A, charger(floor_kw=4.14))  # 6 A at 230 V is 6.27 A at 220 V
    assert told.value == 6.3
    assert told.power_kw >= 4.14


def test_a_floor_below_six_amperes_is_lifted_to_them() -> None:
    assert Supply().limit(1.0, RateUnit.A, charger(floor_kw=0.5)).value == 6.0


def test_a_resource_without_a_floor_may_be_told_any_power() -> None:
    assert Supply().limit(0.05, RateUnit.W, charger(floor_kw=0.0)).value == 50.0


def test_other_voltages_are_a_setting() -> None:
    assert Supply(volts=230.0).limit(6.9, RateUnit.A, charger()).value == 10.0


@given(KW, st.sampled_from(RateUnit), PHASES)
def test_a_limit_is_never_above_what_was_asked_except_to_reach_the_floor(
    asked_kw: float, unit: RateUnit, phases: int
) -> None:
    resource = charger(phases=phases, floor_kw=1.32 * phases)
    told = Supply().limit(asked_kw, unit, resource)
    assert told.value == round(told.value, 1)
    assert told.power_kw <= max(asked_kw, resource.floor_kw) + 1e-6
    assert told.power_kw == 0.0 or told.power_kw >= resource.floor_kw - 1e-6
    if asked_kw <= 0.0:
        assert told.value == 0.0


@given(KW, st.sampled_from(RateUnit), PHASES)
def test_a_setpoint_keeps_its_sign_and_its_nameplate(asked_kw: float, unit: RateUnit, phases: int) -> None:
    told = Supply().setpoint(asked_kw, unit, charger(phases=phases, p_min_kw=-10.0, p_max_kw=10.0, floor_kw=0.0))
    assert abs(told.power_kw) <= min(abs(asked_kw), 10.0) + 1e-6
    assert told.power_kw * asked_kw >= 0.0
    assert abs(told.power_kw - min(max(asked_kw, -10.0), 10.0)) <= 0.07


def dc_post(p_max_kw: float = 150.0) -> Resource:
    return charger(p_max_kw=p_max_kw, floor_kw=0.0)


@given(st.floats(0.0, 149.0), st.floats(200.0, 1000.0))
def test_a_dc_ceiling_in_amperes_holds_at_whatever_voltage_the_car_has(asked_kw: float, car_v: float) -> None:
    told = Supply().limit(asked_kw, RateUnit.A, dc_post())
    assert told.value * car_v / 1000.0 <= asked_kw + 1e-6


@given(st.floats(1.0, 149.0), st.floats(200.0, 900.0))
def test_a_dc_ceiling_is_nearer_to_what_is_wanted_once_the_voltage_is_known(asked_kw: float, car_v: float) -> None:
    told = Supply().limit(asked_kw, RateUnit.A, dc_post(), car_v=car_v)
    assert told.value * car_v / 1000.0 <= asked_kw + 1e-6
    assert told.value * car_v / 1000.0 >= 0.9 * asked_kw - 0.1 * car_v / 1000.0


def test_a_dc_post_that_may_take_all_it_can_is_not_held_back_by_its_car_s_voltage() -> None:
    told = Supply().limit(150.0, RateUnit.A, dc_post())
    assert (told.value, told.power_kw) == (750.0, 150.0)
