"""Charging power of cars at bidirectional stations: the greatest that each has shown since it was plugged in.

A station's nameplate says nothing of the car. One that takes 7.5 kW at a station of 15 kW needs twice the time, and a
laxity computed with the nameplate shows it too late.
"""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, Quality
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_CHARGES_KW = 0.1
"""Power from which a car is charging rather than idling."""


class CarPower:
    """Greatest power metered while the same car is plugged in, for the rows of bidirectional stations.

    A power the car was held to is a lower bound of what it can take, and errs towards charging early.
    """

    def __init__(self, index: FleetIndex) -> None:
        self._most_kw = np.full(len(index), np.nan)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; rows keep what was seen."""
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
