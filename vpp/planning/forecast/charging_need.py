"""Charging needs of the fleet: promised cars, the power they take, and their profile when left alone."""

import numpy as np

from forecasts.charging_need import ChargingNeeds
from forecasts.cohorts import IDLE_KW
from vpp.domain.resource import CHARGING
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState

_LIMITING_RATIO = 0.98
"""A limit below this share of what a car could take holds it back."""


def charging_needs(state: FleetState, grid: TimeGrid) -> ChargingNeeds:
    """Return the promised cars, charging at full power from the beginning of ``grid``."""
    return ChargingNeeds.of(
        promised_cars(state),
        power_kw=charging_power_kw(state),
        need_kwh=state.need_kwh,
        departure_s=state.departure_s,
        start_s=grid.start_s,
    )


def session_profile_kw(state: FleetState, grid: TimeGrid) -> FloatArray:
    """Return the power of plugged-in cars left alone, 0 in rows without a promise, ``(n_resources, grid.count)``.

    They take full power until their need is met or they depart.
    """
    return charging_needs(state, grid).profile_kw(grid.starts_s(), float(grid.step_s))


def promised_cars(state: FleetState) -> BoolArray:
    """Return rows with a plugged-in car that has a promise, shape ``(n_resources,)``."""
    known = np.isfinite(state.need_kwh) & np.isfinite(state.departure_s)
    return np.asarray(state.index.is_class(*CHARGING) & state.plugged & known)


def charging_power_kw(state: FleetState) -> FloatArray:
    """Return the power a car takes when nobody limits it, shape ``(n_resources,)``.

    The car's own limit shows in its meter, unless a limit of ours is in force.
    """
    most = np.fmin(state.available_max_kw, state.index.nameplate.p_max_kw)
    unlimited = ~(state.limit_kw < _LIMITING_RATIO * most)
    metered = np.where(unlimited & (state.power_kw > IDLE_KW), state.power_kw, most)
    return np.asarray(np.maximum(np.fmin(metered, most), 0.0))
