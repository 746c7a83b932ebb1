"""Default and dispatch values in force at every device, as the service believes: the one place that is asked.

A value that a device reads back is a measurement (``FleetState.limit_kw``), and values that links, stations and the bus
keep are transport memory, to repeat or to withdraw a value; neither is asked what is in force.
"""

import numpy as np

from vpp.dispatch.commands.command_states import CommandStates
from vpp.domain.telemetry import BoolArray, FloatArray


class InForce:
    """Default and dispatch values in force; powers load positive, instants epoch seconds, ``(n_resources,)`` each.

    Args:
        states: States of the commands.
    """

    def __init__(self, states: CommandStates) -> None:
        self._states = states

    @property
    def default_kw(self) -> FloatArray:
        """Default value accepted last, NaN where we never set one; read-only."""
        return self._states.columns.in_force.default_kw

    @property
    def dispatch_kw(self) -> FloatArray:
        """Dispatch value in force, NaN where none is; read-only."""
        return self._states.columns.in_force.dispatch_kw

    @property
    def lease_s(self) -> FloatArray:
        """End of its lease, ``-inf`` where there was none; read-only."""
        return self._states.columns.in_force.lease_s

    def leased(self, now_s: float) -> BoolArray:
        """Return the rows with a dispatch value in force whose lease lasts at ``now_s``."""
        return np.asarray(~np.isnan(self.dispatch_kw) & (self.lease_s > now_s))

    def limited(self, now_s: float) -> BoolArray:
        """Return the rows in which a dispatch value of ours may be in force at ``now_s``, answered or not."""
        return np.asarray(self._states.columns.in_force.limited_s > now_s)

    def dispatched_since(self, at_s: float) -> BoolArray:
        """Return the rows in which a dispatch value of ours may have been in force at ``at_s`` or later."""
        columns = self._states.columns.in_force
        return np.asarray((columns.limited_s > at_s) | (columns.released_s >= at_s))

    def settled(self) -> BoolArray:
        """Return the rows with a dispatch value in force and no command under way."""
        columns = self._states.columns
        idle = (columns.unanswered.id == 0) & (columns.unconfirmed.id == 0)
        return np.asarray(idle & ~np.isnan(columns.in_force.dispatch_kw))
