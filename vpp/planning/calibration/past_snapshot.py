"""Snapshot of the fleet kept for the length of a standard window: what decides how far rows could have been moved."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.planning.flexibility.flexibility_inputs import usable_rows

Single = npt.NDArray[np.float32]
_COLUMNS = ("power_kw", "soc", "available_min_kw", "available_max_kw", "limit_kw", "need_kwh")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSnapshot:
    """A snapshot in some thirty bytes a row.

    Attributes:
        start_s: Begin of the quarter of an hour it was taken in, epoch seconds.
        state: The snapshot with the columns below left out.
        columns: Power, charge, range, limit and need in single precision, by name, shape ``(n_resources,)`` each.
        departure_s: Promised departure after ``start_s``, seconds, NaN without a promise, shape ``(n_resources,)``.
        usable: Rows that could be counted on, shape ``(n_resources,)``.
    """

    start_s: float
    state: FleetState
    columns: dict[str, Single]
    departure_s: Single
    usable: BoolArray

    @classmethod
    def of(cls, state: FleetState, start_s: float, eligible: BoolArray) -> "PastSnapshot":
        """Return what is kept of ``state``; ``eligible`` rows are those acceptance would enlist, ``(n_resources,)``."""
        nothing = np.zeros(0)
        left_out: dict[str, Any] = dict.fromkeys((*_COLUMNS, "departure_s", "energy_kwh", "power_at_s"), nothing)
        return cls(
            start_s=start_s,
            state=replace(state, **left_out),
            columns={name: getattr(state, name).astype(np.float32) for name in _COLUMNS},
            departure_s=(state.departure_s - start_s).astype(np.float32),
            usable=usable_rows(state) & eligible,
        )

    @property
    def plugged(self) -> BoolArray:
        """Rows with a car plugged in, shape ``(n_resources,)``."""
        return self.state.plugged

    def whole(self) -> FleetState:
        """Return the snapshot again, as far as single precision holds it; energy registers are not kept."""
        columns: dict[str, Any] = {name: column.astype(np.float64) for name, column in self.columns.items()}
        unknown: FloatArray = np.full(len(self.state), np.nan)
        return replace(
            self.state,
            **columns,
            departure_s=self.start_s + self.departure_s.astype(np.float64),
            energy_kwh=unknown,
            power_at_s=unknown,
        )
