"""Distributions of arrivals, stays and energy needs by kind of station, with their sources.

Arrival shapes, connection times and energies of private, public and workplace charging are ElaadNL's open charging
profiles (Dutch charging, as redistributed with the PyPI package ev2gym), condensed here from 15-minute and percentile
tables to hours and fifteen quantiles. Not theirs: the least value of each table is lifted above zero; ``stay_shape``,
their mean stay by hour of arrival over the mean of all, is rounded and filled with assumptions where their table has
no value (workplaces in the evening and at night); workplaces have no weekend table, so the workday's shape is used.

Rapid charging is not in them. Its arrivals follow the public piles' row of the project's Shanghai fleet model (hourly
flexible load of public piles on a July workday); its energy and stay are assumptions within that model's utilisation of
5-18 %. Sessions a day and the share of slow cars are assumptions; at home a car takes 7 kWh a day, as in that model.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Use of a charging station."""

    HOME = "home"
    WORK = "work"
    PUBLIC = "public"
    RAPID = "rapid"


QUANTILES = (0.0, 0.01, 0.03, 0.06, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 1.0)
"""Share of sessions above the values in the tables below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Use of one kind of station.

    Attributes:
        workday: Share of a workday's arrivals in each hour, per cent, shape ``(24,)``.
        weekend: The same for Saturdays and Sundays.
        sessions: Sessions a workday and a weekend day.
        energy_kwh: Energy wanted, at ``QUANTILES``.
        stay_h: Time connected, at ``QUANTILES``.
        stay_shape: Mean stay by hour of arrival relative to the mean of all, shape ``(24,)``.
        slow_share: Share of cars that take at most half the station's power.
    """

    workday: tuple[float, ...]
    weekend: tuple[float, ...]
    sessions: tuple[float, float]
    energy_kwh: tuple[float, ...]
    stay_h: tuple[float, ...]
    stay_shape: tuple[float, ...]
    slow_share: float


_WORK = (
    *(0.03, 0.0, 0.0, 0.01, 0.13, 1.43, 4.33, 14.26, 26.66, 18.07, 7.73, 4.94),
    *(5.4, 5.28, 3.99, 3.04, 2.04, 1.02, 0.58, 0.5, 0.3, 0.14, 0.08, 0.04),
)
_RAPID = (*(83, 60, 45, 34, 32, 33, 35, 37, 39, 47, 55, 63), *(75, 78, 70, 63, 55, 48, 44, 45, 49, 62, 78, 82))
_ENERGY_PUBLIC = (99.8, 63.6, 50.4, 38.3, 29.0, 17.2, 11.3, 8.6, 7.2, 6.2, 4.9, 3.4, 1.6, 0.6, 0.2)

HABITS = {
    Kind.HOME: Habits(
        workday=(
            *(2.13, 0.53, 0.21, 0.12, 0.11, 0.08, 0.17, 0.57, 1.38, 1.13, 1.13, 1.54),
            *(2.18, 2.23, 2.68, 3.65, 5.68, 12.15, 17.02, 11.54, 9.1, 8.93, 9.12, 6.62),
        ),
        weekend=(
            *(4.08, 2.03, 0.77, 0.32, 0.21, 0.13, 0.13, 0.37, 0.91, 1.69, 3.04, 4.8),
            *(6.03, 6.17, 6.16, 6.9, 8.76, 10.21, 7.87, 6.51, 6.76, 6.22, 5.78, 4.14),
        ),
        sessions=(0.29, 0.30),
        energy_kwh=(99.9, 73.4, 64.4, 57.7, 51.4, 40.4, 31.9, 24.9, 19.4, 14.6, 10.1, 6.6, 3.3, 1.8, 0.5),
        stay_h=(72.0, 56.5, 38.8, 25.1, 20.3, 15.7, 13.8, 12.5, 11.0, 9.5, 6.5, 3.1, 1.5, 1.0, 0.2),
        stay_shape=(
            *(0.77, 0.75, 0.61, 0.48, 0.39, 0.37, 0.39, 0.38, 0.27, 0.29, 0.29, 0.32),
            *(0.36, 0.40, 0.60, 1.25, 1.30, 1.25, 1.17, 1.10, 1.03, 0.95, 0.86, 0.81),
        ),
        slow_share=0.15,
    ),
    Kind.WORK: Habits(
        workday=_WORK,
        weekend=_WORK,
        sessions=(0.75, 0.12),
        energy_kwh=(95.7, 48.2, 37.0, 30.3, 26.1, 19.2, 14.4, 10.9, 8.8, 7.4, 6.2, 4.7, 2.7, 1.4, 0.3),
        stay_h=(72.0, 46.4, 20.1, 11.2, 9.8, 8.8, 8.0, 6.5, 4.9, 3.8, 2.9, 2.0, 1.2, 0.6, 0.2),
        stay_shape=(
            *(1.0, 1.0, 1.0, 1.0, 1.2, 1.30, 1.34, 1.32, 1.24, 0.98, 0.75, 0.63),
            *(0.57, 0.51, 0.42, 0.36, 0.33, 0.41, 0.40, 0.4, 0.4, 0.4, 0.6, 0.8),
        ),
        slow_share=0.15,
    ),
    Kind.PUBLIC: Habits(
        workday=(
            *(0.98, 0.45, 0.24, 0.16, 0.16, 0.22, 0.73, 3.23, 7.86, 7.72, 5.11, 4.66),
            *(5.35, 5.35, 5.02, 5.12, 5.66, 8.34, 10.91, 8.06, 5.05, 3.96, 3.37, 2.28),
        ),
        weekend=(
            *(2.04, 1.24, 0.64, 0.37, 0.28, 0.25, 0.29, 0.65, 1.73, 3.73, 5.66, 7.0),
            *(7.88, 8.2, 8.46, 8.29, 7.98, 8.02, 7.33, 5.76, 4.87, 3.93, 3.14, 2.25),
        ),
        sessions=(1.0, 1.0),
        energy_kwh=_ENERGY_PUBLIC,
        stay_h=(72.0, 44.9, 29.1, 20.4, 17.1, 13.5, 10.4, 7.4, 4.4, 3.0, 2.1, 1.3, 0.6, 0.3, 0.1),
        stay_shape=(
            *(1.27, 1.25, 1.22, 1.08, 0.87, 0.71, 0.67, 0.66, 0.63, 0.51, 0.38, 0.36),
            *(0.37, 0.38, 0.39, 0.45, 0.59, 1.39, 1.58, 1.49, 1.44, 1.41, 1.34, 1.30),
        ),
        slow_share=0.15,
    ),
    Kind.RAPID: Habits(
        workday=_RAPID,
        weekend=_RAPID,
        sessions=(5.5, 5.5),
        energy_kwh=(70.0, 60.0, 54.0, 49.0, 44.0, 37.0, 32.0, 28.0, 25.0, 22.0, 18.0, 15.0, 11.0, 8.0, 3.0),
        stay_h=(2.5, 1.8, 1.5, 1.3, 1.15, 1.0, 0.9, 0.8, 0.72, 0.65, 0.58, 0.5, 0.4, 0.3, 0.15),
        stay_shape=(1.0,) * 24,
        slow_share=0.4,
    ),
}
