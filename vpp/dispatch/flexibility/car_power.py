"""Greatest charging power every bidirectional station has shown since its car came: what the car itself can take.

A station's nameplate says nothing of the car: one that takes 7.5 kW at a station of 15 kW needs twice the time, and
whoever reckons its time with the nameplate finds out too late.
"""

import numpy as np

from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, Quality

_CHARGES_KW = 0.1
"""Power from which a car is charging rather than idling."""


class CarPower:
    """Remembers, for the rows of bidirectional stations, the greatest power metered while the same car is there.

    What it was held to is a lower bound of what it can take, and errs towards charging early.
    """

    def __init__(self, index: FleetIndex) -> None:
        self._most_kw = np.full(len(index), np.nan)

    def resize(self, index: FleetIndex) -> None:
        """Serve a larger fleet; rows keep what was seen."""
        more = len(index) - len(self._most_kw)
        self._most_kw = np.concatenate((self._most_kw, np.full(max(more, 0), np.nan)))

    def follow(self, state: FleetState) -> None:
        """Take a snapshot."""
        rows = state.index.rows_of(ResourceClass.V2G)
        power = state.power_kw[rows]
        shown = (power > _CHARGES_KW) & (state.quality[rows] == Quality.GOOD) & state.connected[rows]
        most = np.where(shown, np.fmax(self._most_kw[rows], power), self._most_kw[rows])
        self._most_kw[rows] = np.where(state.plugged[rows], most, np.nan)

    def most_kw(self) -> FloatArray:
        """Return the greatest power seen, NaN where none was, shape ``(n_resources,)``."""
        return self._most_kw
