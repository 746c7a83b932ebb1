"""Common errors of many: factors on load, arrivals and sun that a city, its districts and its kinds share."""

import math
from collections.abc import Sequence

import numpy as np

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import SHANGHAI_OFFSET_S
from vpp.lab.twin.environment.world_file import Spread

_REMEMBERED_DAYS = 12
"""Days before that a day still follows; at a memory of 0.6 the rest is below half a per cent."""
_LEAST = 0.05


class Members:
    """Which district and which kind each member of a group belongs to.

    Args:
        district: Position of its district, shape ``(m,)``.
        kind: Position of its kind, shape ``(m,)``.
        districts: Number of districts.
        kinds: Number of kinds.
    """

    def __init__(self, district: RowArray, kind: RowArray, *, districts: int, kinds: int) -> None:
        self.district, self.kind = district, kind
        self.sizes = (1, districts, kinds, len(district))

    def spread(self, parts: Sequence[FloatArray], spread: Spread) -> FloatArray:
        """Return the weighted sum of draws of city, districts, kinds and members, shape ``(m,)``."""
        city, district, kind, own = parts
        total = spread.district * district[self.district] + spread.kind * kind[self.kind] + spread.own * own
        return np.asarray(total + spread.city * city[0])


class DayFactors:
    """Factors around 1 that differ from day to day; the same day always has the same.

    Args:
        members: Who shares what.
        spread: Standard deviations.
        memory: Correlation of a day with the next.
        seed: Of all draws.
    """

    def __init__(self, members: Members, spread: Spread, *, memory: float, seed: int) -> None:
        self._members, self._spread = members, spread
        self._memory, self._seed = memory, seed
        self._known: dict[int, FloatArray] = {}

    def of(self, day: int) -> FloatArray:
        """Return the factors of local day number ``day``, shape ``(m,)``."""
        if day not in self._known:
            if len(self._known) > 3:  # noqa: PLR2004 - yesterday, today, tomorrow
                self._known.clear()
            parts = [sum(draws) for draws in zip(*self._weighted(day), strict=True)]
            self._known[day] = np.maximum(1.0 + self._members.spread(parts, self._spread), _LEAST)
        return self._known[day]

    def at(self, at_s: float) -> FloatArray:
        """Return the factors at ``at_s``: those of a day hold at its noon, with a line from one to the next."""
        place = (at_s + SHANGHAI_OFFSET_S) / SECONDS_PER_DAY - 0.5
        day = math.floor(place)
        share = place - day
        return np.asarray((1.0 - share) * self.of(day) + share * self.of(day + 1))

    def _weighted(self, day: int) -> list[list[FloatArray]]:
        """Return draws of the day and of those before it, so weighted that their sum has a variance of 1."""
        days = _REMEMBERED_DAYS if self._memory else 1
        weights = self._memory ** np.arange(days)
        weights /= math.sqrt(float((weights**2).sum()))
        return [
            [
                weight * np.random.default_rng([self._seed, day - back, i]).standard_normal(size)
                for i, size in enumerate(self._members.sizes)
            ]
            for back, weight in enumerate(weights.tolist())
        ]


class HourFactors:
    """Factors around 1 that wander within the day, exact for any step length (first-order autoregression).

    Args:
        members: Who shares what.
        spread: Standard deviations.
        time_s: Correlation time.
        random: Stream of all draws.
    """

    def __init__(self, members: Members, spread: Spread, *, time_s: float, random: np.random.Generator) -> None:
        self._members, self._spread, self._time_s, self._random = members, spread, time_s, random
        self._parts = [random.standard_normal(size) for size in members.sizes]

    def step(self, step_s: float) -> FloatArray:
        """Return the factors after ``step_s``, shape ``(m,)``."""
        kept = math.exp(-step_s / self._time_s)
        fresh = math.sqrt(1.0 - kept * kept)
        self._parts = [kept * part + fresh * self._random.standard_normal(len(part)) for part in self._parts]
        return np.maximum(1.0 + self._members.spread(self._parts, self._spread), _LEAST)
