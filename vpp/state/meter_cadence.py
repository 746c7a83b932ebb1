"""Cadence of meters: how often each row is read, as observed from the age of its readings.

Half a period is the mean age of what is read once a period, however often one looks. A look that comes no more often
than the readings meets a single row at the same age again and again, but its peers, behind the same protocol and of the
same class, at all ages; so a row is taken to be read as often as its peers unless it is clearly older than any of them
could be.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.resource import CHARGING
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import CLASSES, FleetIndex

_MEMORY_S = 600.0
"""Time constant in which the age of readings is averaged."""
_CLEARLY = 2.5
"""A row whose mean age is more than this many times its peers' is read more seldom than they are: of a common period
none exceeds twice the mean."""


class _Ages(NamedTuple):
    """Mean age of every row's readings, and the weight of what it was averaged from; changed in place, ``(n,)``."""

    mean_s: FloatArray
    weight_s: FloatArray


class MeterCadence:
    """Mean age of the readings of every row, followed snapshot by snapshot.

    Args:
        index: The fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        self._ages = _Ages(np.empty(0), np.empty(0))
        self._at_s = float("nan")
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed."""
        more = len(index) - len(self._ages.mean_s)
        self._ages = _Ages(
            np.append(self._ages.mean_s, np.full(more, np.nan)), np.append(self._ages.weight_s, np.zeros(more))
        )
        self._charging = index.is_class(*CHARGING)
        self._peers: IdArray = index.adapter_code.astype(np.int64) * len(CLASSES) + index.class_code

    def observe(self, state: FleetState) -> None:
        """Take a snapshot; rows without a link or a car, or never read, are passed over."""
        elapsed_s = 1.0 if np.isnan(self._at_s) else state.at_s - self._at_s
        self._at_s = state.at_s
        present = state.connected & (state.plugged | ~self._charging)
        _averaged(self._ages, state.at_s, max(elapsed_s, 0.0), read_only(state.power_at_s), read_only(present))

    def period_s(self) -> FloatArray:
        """Return the time between two readings of every row, seconds, NaN where nothing is known, shape ``(n,)``."""
        mean_s = self._ages.mean_s
        known = ~np.isnan(mean_s)
        count = int(self._peers.max(initial=-1)) + 1
        rows = np.bincount(self._peers[known], minlength=count)
        sums_s = np.bincount(self._peers[known], weights=mean_s[known], minlength=count)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_peers_s = (sums_s / rows)[self._peers]
        return np.asarray(2.0 * np.where(mean_s > _CLEARLY * of_peers_s, mean_s, of_peers_s))


@njit()
def _averaged(ages: _Ages, now_s: float, elapsed_s: float, read_s: FloatArray, present: BoolArray) -> None:
    mean_s, weight_s = ages
    for row in range(len(read_s)):
        age_s = now_s - read_s[row]
        if not present[row] or not age_s < np.inf:
            continue
        weight_s[row] = min(weight_s[row] + elapsed_s, _MEMORY_S)
        share = elapsed_s / weight_s[row] if weight_s[row] > 0.0 else 1.0
        mean_s[row] = age_s if np.isnan(mean_s[row]) else mean_s[row] + share * (age_s - mean_s[row])
