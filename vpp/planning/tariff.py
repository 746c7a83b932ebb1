"""Shanghai's two-part time-of-use tariff as data.

Source: Shanghai price bureau, document 50 of 2022, as printed by State Grid Shanghai.

Hours are Asia/Shanghai, which has no daylight saving time. Levels move monthly with agency purchase, so the flat price
is a setting; the ratios are the rule's.
"""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.calendar import SHANGHAI

Hours = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """Bands of some months; hours in no band are flat.

    Attributes:
        months: Months of the year, from 1.
        sharp: Hours ``[from, until)`` at peak times ``sharp_ratio``, named before peak.
        peak_ratio: Peak price over flat price.
        valley_ratio: Valley price over flat price.
    """

    months: frozenset[int]
    peak: Hours
    valley: Hours
    sharp: Hours
    peak_ratio: float
    valley_ratio: float


_VALLEY: Hours = ((22, 24), (0, 6))
_SUMMER_PEAK: Hours = ((8, 15), (18, 21))
_PEAK: Hours = ((8, 11), (18, 21))

SEASONS = (
    Season(
        months=frozenset({7, 8}),
        peak=_SUMMER_PEAK,
        valley=_VALLEY,
        sharp=((12, 14),),
        peak_ratio=1.8,
        valley_ratio=0.4,
    ),
    Season(months=frozenset({9}), peak=_SUMMER_PEAK, valley=_VALLEY, sharp=(), peak_ratio=1.8, valley_ratio=0.4),
    Season(months=frozenset({1, 12}), peak=_PEAK, valley=_VALLEY, sharp=((19, 21),), peak_ratio=1.8, valley_ratio=0.4),
    Season(
        months=frozenset({2, 3, 4, 5, 6, 10, 11}),
        peak=_PEAK,
        valley=_VALLEY,
        sharp=(),
        peak_ratio=1.6,
        valley_ratio=0.5,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A time-of-use price.

    Attributes:
        flat_cny_per_kwh: Price of a flat hour.
        sharp_ratio: Sharp price over peak price.
        peak_cny_per_kw_day: Share of the monthly demand charge that a day's highest total is worth.
    """

    flat_cny_per_kwh: float = 0.66
    sharp_ratio: float = 1.25
    peak_cny_per_kw_day: float = 0.9
    seasons: tuple[Season, ...] = SEASONS

    def price_cny_per_kwh(self, grid: TimeGrid) -> FloatArray:
        """Return the price at the start of every step, shape ``(count,)``."""
        return np.array([self._at(at_s) for at_s in grid.starts_s().tolist()], dtype=np.float64)

    def _at(self, at_s: float) -> float:
        local = instant(at_s).astimezone(SHANGHAI)
        season = next(season for season in self.seasons if local.month in season.months)
        ratio = 1.0
        if _holds(season.valley, local.hour):
            ratio = season.valley_ratio
        elif _holds(season.sharp, local.hour):
            ratio = season.peak_ratio * self.sharp_ratio
        elif _holds(season.peak, local.hour):
            ratio = season.peak_ratio
        return self.flat_cny_per_kwh * ratio


def _holds(hours: Hours, hour: int) -> bool:
    return any(first <= hour < last for first, last in hours)
