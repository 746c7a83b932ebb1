"""Load of others behind the transformers: what is registered, by the hour, and in a world as it is with noise."""

import math

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.common_factors import DayFactors, Members
from vpp.lab.twin.environment.world_file import Network, Spread
from vpp.lab.twin.physics.scenarios import base_load_share

_DAY_MEMORY = 0.5
"""Correlation of a day of others with the next; an assumption."""
_LEAST = 0.05


class OthersLoad:
    """Base load of every transformer; no command changes it.

    Args:
        index: The fleet.
        network: How others differ from what is registered.
        seed: Of the days.
        random: Stream of the noise within them.
    """

    def __init__(self, index: FleetIndex, network: Network, *, seed: int, random: np.random.Generator) -> None:
        count = len(index.transformers)
        feeders = index.feeders
        self._feeders = feeders
        self._network = network
        self._random = random
        tight = (random.random(count) < network.tight_share) & (feeders.own_base_kw > 0.0)
        self._peak_kw = np.where(tight, network.tight_peak * feeders.limit_kw, feeders.own_base_kw)
        code = np.zeros(count, dtype=np.int32)
        members = Members(code, code, districts=1, kinds=1)
        self._days = DayFactors(members, Spread(city=network.day), memory=_DAY_MEMORY, seed=seed)
        self._state = random.standard_normal(count)
        self._at_s: float | None = None

    def kw(self, at_s: float) -> FloatArray:
        """Return the load behind each transformer, that of the nodes below included, shape ``(n_transformers,)``.

        Instants must not fall.
        """
        self._wander(at_s)
        noise = np.maximum(1.0 + self._network.spread * self._state, _LEAST)
        own_kw = self._peak_kw * noise * self._days.at(at_s)
        return np.asarray(self._feeders.summed_upwards(own_kw) * base_load_share(at_s))

    def _wander(self, at_s: float) -> None:
        step_s = 0.0 if self._at_s is None else max(at_s - self._at_s, 0.0)
        kept = math.exp(-step_s / (self._network.hours * SECONDS_PER_HOUR))
        fresh = math.sqrt(1.0 - kept * kept)
        self._state = kept * self._state + fresh * self._random.standard_normal(len(self._state))
        self._at_s = at_s
