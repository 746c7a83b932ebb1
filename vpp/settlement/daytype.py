"""The kinds of day a baseline is averaged over; the calendar is the one of the whole service."""

from vpp.domain.daytype import SHANGHAI, DayCalendar, DayType, day_grid, local_day
from vpp.domain.holidays import CHINA

__all__ = ["CHINA", "SHANGHAI", "DayCalendar", "DayType", "day_grid", "local_day"]
