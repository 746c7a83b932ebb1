"""People who take back what is held back: drivers opt out, tenants override, more so the longer and the oftener."""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.world_file import People
from vpp.lab.twin.worlds import ACTUAL, PREPARED

_FELT_KW = 0.3
"""A cut below this is not noticed."""

_FORGET_DAYS = 3.0
"""Days in a row count; those before are forgotten at this pace."""


class Overrides:
    """Devices that do not obey for a while because a person says so.

    Args:
        index: The fleet.
        people: Rates.
        random: Stream of all draws.
    """

    def __init__(self, index: FleetIndex, people: People, random: np.random.Generator) -> None:
        count = len(index)
        self._people, self._random = people, random
        self._rate_per_h = np.zeros(count)
        self._driven: BoolArray = index.is_class(ResourceClass.EV, ResourceClass.V2G)
        self._rate_per_h[self._driven] = people.opt_out_per_h
        self._rate_per_h[index.is_class(ResourceClass.HVAC)] = people.override_per_h
        self._until_s = np.full(count, -np.inf)
        self._felt_s = np.zeros(count)
        self._cut_today: BoolArray = np.zeros(count, dtype=np.bool_)
        self._cut_days = np.zeros(count)
        self._day = -1

    def step(self, asked_kw: FloatArray, power_kw: FloatArray, *, day: int, now_s: float, step_s: float) -> RowArray:
        """Let a step pass; values asked of those who override become NaN; return the drivers who opt out now.

        Args:
            asked_kw: Dispatch value in force in the actual world, NaN where there is none, shape ``(n,)``; changed.
            power_kw: Power of the actual and the prepared world, shape ``(2, n)``.
            day: Local day number.
            now_s: Epoch seconds.
            step_s: Length of the step.
        """
        if day != self._day:
            self._cut_days = (self._cut_days + self._cut_today) * np.exp(-1.0 / _FORGET_DAYS)
            self._felt_s[:], self._cut_today[:] = 0.0, False
            self._day = day
        held = np.flatnonzero(~np.isnan(asked_kw) & (self._rate_per_h > 0.0))
        if not len(held):
            return np.zeros(0, dtype=np.int32)
        asked_kw[held[self._until_s[held] > now_s]] = np.nan
        felt = held[(power_kw[PREPARED, held] - power_kw[ACTUAL, held] > _FELT_KW) & (self._until_s[held] <= now_s)]
        self._felt_s[felt] += step_s
        self._cut_today[felt] = True
        growth = 1.0 + self._people.growth_per_h * self._felt_s[felt] / SECONDS_PER_HOUR
        chance = self._rate_per_h[felt] * growth * (1.0 + self._people.fatigue * self._cut_days[felt])
        fed_up = felt[self._random.random(len(felt)) < chance * step_s / SECONDS_PER_HOUR]
        self._until_s[fed_up] = now_s + np.where(
            self._driven[fed_up], np.inf, self._people.override_h * SECONDS_PER_HOUR
        )
        return np.asarray(fed_up[self._driven[fed_up]], dtype=np.int32)

    def new_drivers(self, rows: RowArray) -> None:
        """Forget what earlier drivers at ``rows`` wanted."""
        self._until_s[rows] = -np.inf
        self._felt_s[rows] = 0.0
