"""Metered confirmation of accepted commands: expected reading, tolerance and deadline."""

import numpy as np

from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.settings import Confirmation
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_LEASE_SLACK_S = 5.0
"""A lease that ends this soon after a sample may have ended before it: devices count by clocks of their own."""
_LEAST_RAMP_KW_PER_MIN = 1.0
"""No plant is waited for as if it were slower."""


def tolerance_kw(range_kw: FloatArray, rules: Confirmation) -> FloatArray:
    """Return how near to its command a row's meter must be, by its power range, shapes ``(n_resources,)``."""
    return np.maximum(rules.least_kw, rules.ratio * range_kw)


class MeterConfirmation:
    """Comparison of accepted commands with the meters.

    Args:
        index: The fleet.
        rules: Tolerance and time.

    Attributes:
        tolerance_kw: How near to its command a row's meter must be, shape ``(n_resources,)``.
    """

    def __init__(self, index: FleetIndex, rules: Confirmation) -> None:
        self._within_s = rules.within_s
        self._ceiling = index.is_class(ResourceClass.EV)
        self._producing = index.is_class(ResourceClass.PV)
        self._consuming = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        self._ramp_kw_per_s = np.maximum(index.nameplate.ramp_kw_per_min, _LEAST_RAMP_KW_PER_MIN) / SECONDS_PER_MINUTE
        self.tolerance_kw = tolerance_kw(index.nameplate.p_max_kw - index.nameplate.p_min_kw, rules)

    def verdicts(self, state: FleetState, commands: CommandColumns) -> tuple[RowArray, RowArray, RowArray]:
        """Return the rows whose accepted command is confirmed, ignored, or over without either, by now.

        A command whose lease is over by the last sample was not ignored.

        Args:
            state: The snapshot.
            commands: Commands of every row.
        """
        accepted = commands.unconfirmed
        rows = np.flatnonzero(accepted.id).astype(np.int32)
        if not len(rows):
            return rows, rows, rows
        since_s = accepted.accepted_s[rows]
        sampled = (state.power_at_s[rows] >= since_s) & (state.quality[rows] <= Quality.STALE)
        shown = sampled & self._obeys(state, commands, rows)
        late = ~shown & (state.at_s >= since_s + self._within_s) & (state.at_s >= self._due_s(commands, rows))
        read_back = np.abs(state.limit_kw[rows] - accepted.power_kw[rows]) <= self.tolerance_kw[rows]
        read_back &= late & ~sampled
        leased = state.power_at_s[rows] < commands.in_force.lease_s[rows] - _LEASE_SLACK_S
        leased |= accepted.layer[rows] != Layer.DISPATCH
        ignored = late & sampled & leased & state.connected[rows]
        return rows[shown | read_back], rows[ignored], rows[late & ~read_back & ~ignored]

    def _obeys(self, state: FleetState, commands: CommandColumns, rows: RowArray) -> BoolArray:
        """Return whether each row's meter is consistent with the command it accepted.

        A charger's value is a ceiling and an inverter's a floor; a building held below what it would take may take less
        still; everything else must take its setpoint, as far as it can at present.
        """
        kw, power, tolerance = commands.unconfirmed.power_kw[rows], state.power_kw[rows], self.tolerance_kw[rows]
        able = np.clip(kw, state.available_min_kw[rows], state.available_max_kw[rows])
        able = np.where(np.isnan(able), kw, able)
        uncontrolled = commands.in_force.uncontrolled_kw[rows]
        below = power <= np.maximum(kw, able) + tolerance
        above = power >= np.minimum(kw, able) - tolerance
        only_below = self._ceiling[rows] | (self._consuming[rows] & (kw < uncontrolled))
        only_above = self._producing[rows] | (self._consuming[rows] & (kw > uncontrolled))
        return np.asarray((below | only_above) & (above | only_below))

    def _due_s(self, commands: CommandColumns, rows: RowArray) -> FloatArray:
        """Return by when each row must show its dispatch value, had it to come from uncontrolled power at its ramp.

        A plant that needs eight minutes for a large step has not ignored it after two; leases renewed on its way do
        not give it more. Shape ``(len(rows),)``.
        """
        held = commands.in_force
        way_kw = np.nan_to_num(np.abs(held.since_kw[rows] - held.uncontrolled_kw[rows]))
        due_s = held.since_s[rows] + self._within_s + way_kw / self._ramp_kw_per_s[rows]
        return np.where(commands.unconfirmed.layer[rows] == Layer.DISPATCH, due_s, -np.inf)
