"""Weather of the shipped typical year, in which the same date is not the same day twice."""

from pathlib import Path
from typing import Self

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.lab.twin.physics.weather import Weather

_FILE = Path(__file__).parent / "shanghai_hongqiao_tmyx.epw.gz"
"""WMO 583670, TMYx of Climate.OneBuilding.org (free use), months picked from 1957..2013; columns that nobody reads are
empty."""


class WeatherYear(Weather):
    """A typical year whose stretches of days are moved by some days, sun and air together.

    A typical year has one 15 July. Stretches of another date within the same weeks stand for it in other years, so that
    fronts and heat waves stay whole.
    """

    _seed, _shift_days, _stretch_days = 0, 0, 1

    @classmethod
    def shipped(cls, *, seed: int, shift_days: int, stretch_days: int) -> "WeatherYear":
        """Return the weather of Shanghai-Hongqiao.

        Args:
            seed: Of the moves.
            shift_days: Farthest move either way.
            stretch_days: Length of a stretch.
        """
        return cls.from_epw(_FILE).moved(seed=seed, shift_days=shift_days, stretch_days=stretch_days)

    def moved(self, *, seed: int, shift_days: int, stretch_days: int) -> Self:
        """Let stretches of days be moved from now on, see ``shipped``; return the weather itself."""
        self._seed, self._shift_days, self._stretch_days = seed, shift_days, stretch_days
        return self

    def _tabulated(self, day: int) -> FloatArray:
        """Return weather and the direction to the sun of the date that stands for ``day``, shape ``(289, 7)``."""
        return super()._tabulated(day + self.moved_days(day))

    def moved_days(self, day: int) -> int:
        """Return how many days after local day number ``day`` the date lies that stands for it."""
        random = np.random.default_rng([self._seed, day // self._stretch_days])
        return int(random.integers(-self._shift_days, self._shift_days + 1))
