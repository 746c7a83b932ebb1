"""Power of a commitment's area that running requests use: held by calls, or reserved for regulation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.application.row_alignment import fitted_rows
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.request import Direction, Product
from vpp.domain.telemetry import FloatArray
from vpp.fleet.fleet_state import FleetState


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerInUse:
    """Power that rows give running requests at an instant.

    Attributes:
        free: The snapshot as if no request ran; that very snapshot where none does.
        held_kw: By direction, what each row gives calls and drills of it, NaN where it serves none, shape
            ``(n_resources,)``.
        reserved_kw: Area and power of each request for regulation; it is kept free in both directions.
    """

    free: FleetState
    held_kw: Mapping[Direction, FloatArray]
    reserved_kw: Sequence[tuple[str, float]]

    @classmethod
    def of(cls, engine: DispatchEngine, state: FleetState) -> "PowerInUse":
        """Return what is used by the meters of a snapshot, of each row at most what it is ordered to give."""
        running = engine.book.running(state.at_s)
        regulation = [one for one in running if one.draft.product is Product.REGULATION]
        steady = [one for one in running if one.draft.product is not Product.REGULATION]
        times = [(one.draft.area, engine.book.timetable(one.id)) for one in regulation]
        free = engine.as_if_free(state) if running else state
        return cls(
            free=free,
            held_kw={
                direction: _held_kw(
                    engine.setpoints_kw([one.id for one in steady if one.draft.direction is direction]),
                    direction.sign,
                    free,
                    state,
                )
                for direction in Direction
            },
            reserved_kw=[(area, one.target_kw) for area, one in times if one.ramp_s <= state.at_s < one.released_s],
        )


def _held_kw(setpoint_kw: FloatArray, sign: float, free: FleetState, state: FleetState) -> FloatArray:
    """Return what each row gives by its meter and setpoint, NaN where it has none or is ordered nothing."""
    ordered_kw = sign * (free.power_kw - fitted_rows(setpoint_kw, len(state)))
    given_kw = np.clip(np.nan_to_num(sign * (free.power_kw - state.power_kw)), 0.0, ordered_kw)
    return np.where(ordered_kw > 0.0, given_kw, np.nan)
