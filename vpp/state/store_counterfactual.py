"""Counterfactual of stores: the schedule that was frozen, as far as the stored energy would have carried it.

A schedule is frozen up to a day before it is measured against. By then a store may be fuller or emptier than it
assumed: one that was to charge and is full would not have charged. So from the moment a request first measures a store
its energy is followed as if nobody had dispatched it, and the schedule counts as far as that energy has room. What is
not known bounds nothing. See docs/adr/0051.
"""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState

_LAST_H = 60.0 / SECONDS_PER_HOUR
"""Time over which the last energy is used up: longer than a cycle."""


class StoreCounterfactual:
    """Follows the energy of measured stores snapshot by snapshot.

    Args:
        count: Number of rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._stored_kwh, self._would_kw = np.full(count, np.nan), np.zeros(count)
        self._measured = np.zeros(count, dtype=np.bool_)
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        more = count - len(self._stored_kwh)
        self._stored_kwh = np.append(self._stored_kwh, np.full(more, np.nan))
        self._would_kw = np.append(self._would_kw, np.zeros(more))
        self._measured = np.append(self._measured, np.zeros(more, dtype=np.bool_))

    def restore(self, rows: RowArray) -> None:
        """Take stores as measured before a restart: what they had then is not known, and calls have moved it since."""
        self._stored_kwh[rows], self._measured[rows] = np.nan, True

    def observe(self, state: FleetState) -> None:
        """Store what the time since the last snapshot would have brought; forget cars that left."""
        elapsed_h, self._at_s = (state.at_s - self._at_s) / SECONDS_PER_HOUR, state.at_s
        rows = np.flatnonzero(self._measured).astype(np.int32)
        if not len(rows):
            return
        efficiency, power_kw = state.index.nameplate.efficiency[rows], self._would_kw[rows]
        gained_kw = np.where(power_kw > 0.0, power_kw * efficiency, power_kw / efficiency)
        self._stored_kwh[rows] += gained_kw * np.nan_to_num(elapsed_h)
        self._measured[rows] = ~_gone(state, rows)

    def would_kw(self, state: FleetState, rows: RowArray, scheduled_kw: FloatArray) -> FloatArray:
        """Return what some stores of a request would take now, shape ``(len(rows),)``.

        A store whose state of charge was not known when it was first measured counts at its schedule, and so does one
        that a call had ordered before a restart.

        Args:
            state: The snapshot.
            rows: Stores, stationary or cars.
            scheduled_kw: Their frozen schedule, shape ``(len(rows),)``; NaN in rows without one.
        """
        capacity_kwh, efficiency = state.index.nameplate.capacity_kwh[rows], state.index.nameplate.efficiency[rows]
        gone, fresh = _gone(state, rows), ~self._measured[rows]
        found_kwh = np.where(gone, np.nan, state.soc[rows] * capacity_kwh)
        self._stored_kwh[rows] = np.where(fresh, found_kwh, self._stored_kwh[rows])
        self._measured[rows] = ~gone
        stored_kwh, limits = self._stored_kwh[rows], state.index.limits
        room_kwh = np.maximum(limits.soc_ceiling[rows] * capacity_kwh - stored_kwh, 0.0)
        left_kwh = np.maximum(stored_kwh - limits.soc_floor[rows] * capacity_kwh, 0.0)
        # An unknown charge bounds nothing.
        most_kw = np.nan_to_num(room_kwh / (efficiency * _LAST_H), nan=np.inf)
        least_kw = -np.nan_to_num(left_kwh * efficiency / _LAST_H, nan=np.inf)
        would_kw = np.clip(scheduled_kw, least_kw, most_kw)
        self._would_kw[rows] = np.nan_to_num(would_kw)
        return np.asarray(would_kw)

    def end(self, measured: BoolArray) -> None:
        """Forget the stores that no running request measures and none holds, shape ``(n_resources,)``."""
        self._measured &= measured


def _gone(state: FleetState, rows: RowArray) -> BoolArray:
    """Return which of ``rows`` are chargers whose link is up and shows no car, shape ``(len(rows),)``."""
    cars = state.index.is_class(ResourceClass.V2G)[rows]
    return np.asarray(cars & state.connected[rows] & ~state.plugged[rows])
