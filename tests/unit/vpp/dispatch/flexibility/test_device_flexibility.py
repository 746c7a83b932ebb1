"""Uncontrolled power of a charger by what its car draws under a ceiling."""

import math

import pytest

from vpp.dispatch.flexibility.device_flexibility import uncontrolled_kw
from vpp.dispatch.flexibility.device_rows import Assignment, Command, Device, Meter
from vpp.dispatch.views import EV
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quality

NOW_S = 10_000.0
HELD_S = 600.0
BEFORE_KW = 11.0
LEAST_KW = 4.14

CHARGER = Device(
    kind=EV,
    p_min_kw=0.0,
    p_max_kw=11.0,
    floor_kw=0.0,
    least_charging_kw=LEAST_KW,
    default_kw=11.0,
    capacity_kwh=0.0,
    efficiency=1.0,
    ramp_kw_per_min=math.inf,
    planned=False,
    meter_s=90.0,
)


def seen_kw(shown_kw: float, ceiling_kw: float) -> float:
    """Return the uncontrolled power of a car that took 11 kW and shows a power under a ceiling it has long had."""
    meter = Meter(
        power_kw=shown_kw,
        power_at_s=NOW_S,
        quality=int(Quality.GOOD),
        soc=math.nan,
        connected=True,
        plugged=True,
        low_kw=0.0,
        high_kw=11.0,
        need_kwh=20.0,
        departure_s=NOW_S + 36_000.0,
        sheddable=True,
    )
    held = Assignment(
        owner=0,
        setpoint_kw=ceiling_kw,
        uncontrolled_kw=BEFORE_KW,
        anchor_kw=math.nan,
        cap_kw=math.nan,
        lost_s=math.nan,
        returning_s=math.nan,
        paused_s=math.nan,
    )
    command = Command(
        unanswered=False,
        unconfirmed=False,
        accepted_layer=int(Layer.DISPATCH),
        accepted_kw=ceiling_kw,
        accepted_s=NOW_S - HELD_S,
        dispatch_kw=ceiling_kw,
        since_s=NOW_S - HELD_S,
        limited_s=NOW_S + HELD_S,
        released_s=-math.inf,
        blocked_s=-math.inf,
        ignored=False,
        away_s=-math.inf,
    )
    return float(uncontrolled_kw(CHARGER, meter, held, command, math.nan, math.nan))


@pytest.mark.parametrize("ceiling_kw", [0.0, 0.2, 0.552, 2.0, 4.0])
def test_a_car_that_is_offered_too_little_to_draw_says_nothing_of_what_it_would_draw(ceiling_kw: float) -> None:
    assert seen_kw(0.0, ceiling_kw) == BEFORE_KW


@pytest.mark.parametrize(
    ("shown_kw", "ceiling_kw"),
    [
        pytest.param(0.0, 5.0, id="full"),
        pytest.param(2.0, 5.0, id="tapering"),
        pytest.param(1.0, 3.0, id="draws below six amperes all the same"),
    ],
)
def test_a_car_that_takes_less_than_it_is_offered_would_take_no_more(shown_kw: float, ceiling_kw: float) -> None:
    assert seen_kw(shown_kw, ceiling_kw) == shown_kw


def test_a_car_at_its_ceiling_would_take_what_it_took_before() -> None:
    assert seen_kw(5.0, 5.0) == BEFORE_KW
