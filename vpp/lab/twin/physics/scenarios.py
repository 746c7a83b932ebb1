"""Exogenous conditions of the fleet: weather, noise and base load, independent of every command."""

import math
from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.fleet.calendar import local_hour
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import is_rest, local_day, weekday
from vpp.lab.twin.physics.weather import Sky, Weather

CLOUD_SPREAD, CLOUD_S = 0.04, 1800.0
"""Clouds over the whole city: standard deviation and correlation time of a first-order autoregression."""

ROOF_SPREAD, ROOF_S = 0.03, 600.0
SITE_SPREAD, SITE_S = 0.01, 1800.0

_SATURDAY = 5
_BASE_HOURS = (0.0, 2.0, 5.0, 7.0, 9.0, 12.0, 14.0, 17.0, 19.0, 20.0, 21.0, 22.5, 24.0)
_BASE_SHARE = (0.62, 0.52, 0.48, 0.58, 0.68, 0.78, 0.76, 0.80, 0.94, 1.0, 0.97, 0.85, 0.62)
"""Base load behind a transformer by hour, as a share of the registered value, which is the evening peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Exogenous inputs of one step.

    Attributes:
        hour: Local hour of day.
        rest: Part of a day of rest that today is: 0 on a workday, 1 on a Sunday or a holiday.
        sky: The weather.
        transmission: Transmission of passing clouds per inverter, around 1.
        site_noise: Slow noise of the load per building and plant, around 1.
    """

    hour: float
    rest: float
    sky: Sky
    transmission: FloatArray
    site_noise: FloatArray


class AutoregressiveNoise:
    """First-order autoregressive noise around 1, exact for any step length.

    Args:
        count: Number of independent values.
        spread: Standard deviation.
        time_s: Correlation time.
        random: Stream of this noise alone.
    """

    def __init__(self, count: int, spread: float, time_s: float, random: np.random.Generator) -> None:
        self._random = random
        self._spread = spread
        self._time_s = time_s
        self._state = random.standard_normal(count)

    def step(self, step_s: float) -> FloatArray:
        """Return the values after ``step_s``, shape ``(count,)``."""
        kept = math.exp(-step_s / self._time_s)
        self._state = kept * self._state + (1.0 - kept * kept) ** 0.5 * self._random.standard_normal(len(self._state))
        return np.asarray(1.0 + self._spread * self._state)


class Scenario:
    """Weather and noise over time; no command changes them.

    Args:
        weather: Sun and air.
        roofs: Number of inverters.
        sites: Number of buildings and plants.
        random: Stream that the streams of clouds, roofs and sites are spawned from.
        saturday: Part of a day of rest that a Saturday is.
    """

    def __init__(
        self, weather: Weather, *, roofs: int, sites: int, random: np.random.Generator, saturday: float = 1.0
    ) -> None:
        streams = random.spawn(3)
        self.weather = weather
        self._saturday = saturday
        self._city = AutoregressiveNoise(1, CLOUD_SPREAD, CLOUD_S, streams[0])
        self._roofs = AutoregressiveNoise(roofs, ROOF_SPREAD, ROOF_S, streams[1])
        self._sites = AutoregressiveNoise(sites, SITE_SPREAD, SITE_S, streams[2])

    def step(self, at_s: float, step_s: float) -> Conditions:
        """Return the inputs of the step that begins at ``at_s``."""
        return Conditions(
            hour=local_hour(at_s),
            rest=self._rest(local_day(at_s)),
            sky=self.weather.at(at_s),
            transmission=np.maximum(self._roofs.step(step_s) * self._city.step(step_s), 0.05),
            site_noise=self._sites.step(step_s),
        )

    def _rest(self, day: int) -> float:
        if not is_rest(day):
            return 0.0
        return self._saturday if weekday(day) == _SATURDAY else 1.0


def base_load_share(at_s: float) -> float:
    """Return the base load at ``at_s`` as a share of the evening peak."""
    return float(np.interp(local_hour(at_s), _BASE_HOURS, _BASE_SHARE))


def base_load_kw(index: FleetIndex, at_s: float) -> FloatArray:
    """Return the base load behind each transformer, at most its registered one, shape ``(n_transformers,)``."""
    return index.feeders.base_kw * base_load_share(at_s)
