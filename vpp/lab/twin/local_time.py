"""Weeks and rest days of the simulated city, by day numbers."""

from vpp.fleet.calendar import DayType, day_number, numbered_day
from vpp.fleet.holidays import CHINA

_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday."""


def local_day(at_s: float) -> int:
    """Return the number of the Shanghai day that holds ``at_s``, from 1970-01-01."""
    return int(day_number(at_s))


def weekday(day: int) -> int:
    """Return the weekday of day number ``day``, Monday being 0."""
    return (day + _EPOCH_WEEKDAY) % 7


def is_rest(day: int) -> bool:
    """Return whether people rest on day number ``day``: a holiday, or a weekend that is not worked in exchange."""
    return CHINA.day_type(numbered_day(day)) is not DayType.WORKDAY
