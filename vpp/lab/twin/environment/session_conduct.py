"""Drivers as they are: their number differs from day to day, and few leave when they said, if they said anything."""

from dataclasses import replace

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE, STEP_S, STEPS_PER_DAY
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.common_factors import DayFactors, Members
from vpp.lab.twin.environment.world_file import People, Spread, World
from vpp.lab.twin.population.distributions import Kind
from vpp.lab.twin.population.sessions import Arrivals, BuiltinSessions, ChargingPoints, SessionSource

HEADROOM = 1.4
"""Busiest day as a factor on the usual: so many are drawn, and as many stay away as that day's factor leaves."""

_LEAST_STATED_S = 900.0
"""Nobody states a shorter stay."""


class SessionConduct:
    """Sessions of a source, with the day's number of them and with departures that are not those stated.

    Args:
        source: Sessions of ``headroom`` times the usual number.
        world: Says how days and people differ.
        seed: Of all draws.
        headroom: See ``source``; a busier day than that is cut short. ``None`` where all of ``source`` come.
    """

    def __init__(self, source: SessionSource, world: World, *, seed: int, headroom: float | None = None) -> None:
        self._source, self._world, self._seed, self._headroom = source, world, seed, headroom
        self._factors: tuple[FleetIndex, DayFactors] | None = None

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the sessions that begin on local day number ``day``."""
        arrivals = self._source.day(index, day)
        random = np.random.default_rng([self._seed, day, 7])
        if self._headroom is not None:
            factor = self._of(index).of(day)[arrivals.rows] * self._surges(index, arrivals, random)
            arrivals = arrivals.take(random.random(len(arrivals)) * self._headroom < factor)
        stated_s = _stated_s(arrivals, self._world.people, random)
        return replace(arrivals, stated_s=np.where(self._silent(index)[arrivals.rows], np.nan, stated_s))

    def _silent(self, index: FleetIndex) -> BoolArray:
        """Return the stations at which nobody states anything, shape ``(n,)``; a longer fleet keeps those it had."""
        return np.random.default_rng([self._seed, 13]).random(len(index)) < self._world.people.silent_share

    def _surges(self, index: FleetIndex, arrivals: Arrivals, random: np.random.Generator) -> FloatArray:
        """Return the factor of each arrival's quarter of an hour, in the city and in its district."""
        surges = self._world.days.surges
        quarter = (arrivals.arrive_s // STEP_S).astype(np.int64) % STEPS_PER_DAY
        city = random.standard_normal(STEPS_PER_DAY)[quarter]
        district = random.standard_normal((len(index.areas), STEPS_PER_DAY))[index.area_code[arrivals.rows], quarter]
        return np.asarray(1.0 + surges.city * city + surges.district * district)

    def _of(self, index: FleetIndex) -> DayFactors:
        if self._factors is None or self._factors[0] is not index:
            days = self._world.days
            points, kinds = ChargingPoints(index), list(Kind)
            kind = np.zeros(len(index), dtype=np.int32)
            kind[points.rows] = [kinds.index(k) for k in points.kinds]
            members = Members(index.area_code, kind, districts=len(index.areas), kinds=len(kinds))
            factors = DayFactors(members, days.arrivals, memory=days.day_memory, seed=self._seed)
            self._factors = (index, factors)
        return self._factors[1]


def conducted_sessions(source: SessionSource | None, world: World, *, seed: int) -> SessionSource:
    """Return the sessions of a world: built-in ones unless a source is given, whose number then stays as it is."""
    if (world.days.arrivals, world.days.surges, world.people) == (Spread(), Spread(), People()):
        return source or BuiltinSessions(seed)
    if source is not None:
        return SessionConduct(source, world, seed=seed)
    return SessionConduct(BuiltinSessions(seed, scale=HEADROOM), world, seed=seed, headroom=HEADROOM)


def _stated_s(arrivals: Arrivals, people: People, random: np.random.Generator) -> FloatArray:
    """Return the departures that drivers state where they state any."""
    stay_s = arrivals.depart_s - arrivals.arrive_s
    late_minutes = np.interp(random.random(len(arrivals)), people.departure_shares, people.departure_minutes)
    scale = np.minimum(stay_s / (people.full_stay_h * SECONDS_PER_HOUR), 1.0)
    stated_s = arrivals.depart_s - SECONDS_PER_MINUTE * late_minutes * scale
    return np.asarray(np.maximum(stated_s, arrivals.arrive_s + _LEAST_STATED_S))
