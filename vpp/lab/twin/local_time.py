"""Local days and hours of the simulated city, as numbers for arrays."""

from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.calendar import SHANGHAI_OFFSET_S

_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday."""


def local_day(at_s: float) -> int:
    """Return the number of the Shanghai day that holds ``at_s``, from 1970-01-01."""
    return int((at_s + SHANGHAI_OFFSET_S) // SECONDS_PER_DAY)


def day_start_s(day: int) -> float:
    """Return the epoch second at which Shanghai day number ``day`` begins."""
    return day * SECONDS_PER_DAY - SHANGHAI_OFFSET_S


def weekday(day: int) -> int:
    """Return the weekday of day number ``day``, Monday being 0."""
    return (day + _EPOCH_WEEKDAY) % 7


def local_hour(at_s: float) -> float:
    """Return the hour of day in Shanghai, 0 to below 24."""
    return float((at_s + SHANGHAI_OFFSET_S) % SECONDS_PER_DAY / SECONDS_PER_HOUR)
