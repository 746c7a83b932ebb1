"""Public holidays of China by year, as announced by the State Council.

Each November's notice (国务院办公厅关于部分节假日安排的通知) adds a year here. Until a release has it, a file states
the year (``VPP_HOLIDAYS``).
"""

from datetime import date
from types import MappingProxyType

from vpp.fleet.calendar import DayCalendar, DaysOff, span

_MonthDay = tuple[int, int]


def _year(year: int, off: tuple[tuple[_MonthDay, _MonthDay], ...], worked: tuple[_MonthDay, ...]) -> DaysOff:
    """Return a year from the first and last day of each holiday and the weekends worked in exchange."""
    spans = [span(date(year, *first), date(year, *last)) for first, last in off]
    return DaysOff(holidays=frozenset().union(*spans), workdays=frozenset(date(year, *day) for day in worked))


CHINA = DayCalendar(
    announced=MappingProxyType(
        {
            2024: _year(
                2024,
                (
                    ((1, 1), (1, 1)),
                    ((2, 10), (2, 17)),
                    ((4, 4), (4, 6)),
                    ((5, 1), (5, 5)),
                    ((6, 10), (6, 10)),
                    ((9, 15), (9, 17)),
                    ((10, 1), (10, 7)),
                ),
                ((2, 4), (2, 18), (4, 7), (4, 28), (5, 11), (9, 14), (9, 29), (10, 12)),
            ),
            2025: _year(
                2025,
                (
                    ((1, 1), (1, 1)),
                    ((1, 28), (2, 4)),
                    ((4, 4), (4, 6)),
                    ((5, 1), (5, 5)),
                    ((5, 31), (6, 2)),
                    ((10, 1), (10, 8)),
                ),
                ((1, 26), (2, 8), (4, 27), (9, 28), (10, 11)),
            ),
            2026: _year(
                2026,
                (
                    ((1, 1), (1, 3)),
                    ((2, 15), (2, 23)),
                    ((4, 4), (4, 6)),
                    ((5, 1), (5, 5)),
                    ((6, 19), (6, 21)),
                    ((9, 25), (9, 27)),
                    ((10, 1), (10, 7)),
                ),
                ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10)),
            ),
        }
    )
)
"""Notices of 25 October 2023, 12 November 2024 and 4 November 2025."""
