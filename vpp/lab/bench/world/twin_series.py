"""The twin's own series by class: a stretch of days in a world, nobody commanding anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.world.simple_forecast import Series
from vpp.lab.twin.environment.environment import weather_of
from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.environment.world_file import World
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.local_time import is_rest
from vpp.lab.twin.population.distributions import Kind
from vpp.lab.twin.population.sessions import Arrivals, BuiltinSessions, ChargingPoints, SessionSource, joined

_PHYSICS_STEP_S = 300.0
_QUARTERS, _HOURS = 96, 24
_NIGHT = 0.05
_LEAD_DAYS = 3
"""Days before the first of which cars may still be there."""

Advance = Callable[[], None]
"""Told after every simulated day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive days of a fleet in a world."""

    fleet: FleetIndex
    world: World
    seed: int
    first_day: int
    days: int

    @property
    def rest(self) -> BoolArray:
        """Days of rest, shape ``(days,)``."""
        return np.array([is_rest(self.first_day + day) for day in range(self.days)])


def metered(stretch: Stretch, advance: Advance) -> Mapping[str, list[Series]]:
    """Return series of metered power: roofs of each district, single sites, and all buildings and plants."""
    index = stretch.fleet
    twin = Twin(
        index,
        seed=stretch.seed,
        start_s=day_start_s(stretch.first_day),
        sessions=_nobody(stretch),
        weather=weather_of(stretch.world, seed=stretch.seed),
        world=stretch.world,
    )
    loads = np.flatnonzero(index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY))
    roofs = index.is_class(ResourceClass.PV)
    rated_kw = np.bincount(index.area_code, weights=np.where(roofs, -index.nameplate.p_min_kw, 0.0))
    site_kw, roof_ratio = [], []
    for day in range(stretch.days):
        twin.advance(day_start_s(stretch.first_day + day + 1), _PHYSICS_STEP_S)
        for _, mean_kw in twin.drain_history():
            site_kw.append(mean_kw[loads].astype(np.float64))
            fed_kw = np.bincount(index.area_code, weights=np.where(roofs, -mean_kw, 0.0), minlength=len(rated_kw))
            roof_ratio.append(fed_kw / np.maximum(rated_kw, 1e-9))
        advance()
    rest = stretch.rest
    sites = np.array(site_kw).reshape(-1, 4, len(loads)).mean(axis=1)
    roofs_of = np.array(roof_ratio)[:, rated_kw > 0.0].T
    return {
        "pv": [
            Series(values=np.maximum(one, 0.0).reshape(-1, _QUARTERS), rest=rest, scale=1.0, least=_NIGHT)
            for one in roofs_of
        ],
        "site_load": [Series.of(one, rest, per_day=_HOURS) for one in sites.T],
        "city_load": [Series.of(sites.sum(axis=1), rest, per_day=_HOURS)],
    }


def occupied(stretch: Stretch, kinds: tuple[Kind, ...], *, mean: float, groups: int, per_day: int) -> list[Series]:
    """Return how many stations of some kinds are occupied, in groups of a size with the mean asked for.

    Args:
        stretch: The days.
        kinds: Uses of stations.
        mean: Occupied stations of a group, on average; as many as there are where it is more.
        groups: Most groups.
        per_day: Steps a day.
    """
    points = ChargingPoints(stretch.fleet)
    rows = np.concatenate([points.rows[points.of(kind)] for kind in kinds])
    rows = rows[np.random.default_rng(stretch.seed).permutation(len(rows))]
    begin_s, end_s = (day_start_s(stretch.first_day + day) for day in (0, stretch.days))
    visits = _visits(stretch, rows)
    stays_s = np.minimum(visits.depart_s, end_s) - np.maximum(visits.arrive_s, begin_s)
    usual = float(np.maximum(stays_s, 0.0).sum()) / (end_s - begin_s) / len(rows)
    size = max(min(round(mean / max(usual, 1e-9)), len(rows)), 1)
    count = min(len(rows) // size, groups)
    group = np.full(len(stretch.fleet), -1)
    group[rows] = np.arange(len(rows)) // size
    visits = visits.take(group[visits.rows] < count)
    busy = _busy(visits, group[visits.rows], count, begin_s=begin_s, steps=stretch.days * per_day, per_day=per_day)
    return [Series.of(one, stretch.rest, per_day=per_day) for one in busy]


def _visits(stretch: Stretch, rows: RowArray) -> Arrivals:
    """Return the sessions at ``rows`` that find their station free, some days before the stretch included."""
    source = conducted_sessions(None, stretch.world, seed=stretch.seed)
    wanted = np.zeros(len(stretch.fleet), dtype=np.bool_)
    wanted[rows] = True
    free_from_s = np.full(len(stretch.fleet), -np.inf)
    parts = []
    for day in range(-_LEAD_DAYS, stretch.days):
        arrivals = source.day(stretch.fleet, stretch.first_day + day)
        parts.append(arrivals.take(wanted[arrivals.rows]).without_collisions(free_from_s))
    return joined(parts)


def _busy(visits: Arrivals, group: IdArray, count: int, *, begin_s: float, steps: int, per_day: int) -> FloatArray:
    """Return the mean number of occupied stations of every group on every step, shape ``(count, steps)``."""
    change = np.zeros(count * (steps + 1))
    for at_s, sign in ((visits.arrive_s, 1.0), (visits.depart_s, -1.0)):
        place = np.clip((at_s - begin_s) * (per_day / SECONDS_PER_DAY), 0.0, steps)
        low = np.minimum(place.astype(np.int64), steps - 1)
        where, share = group * (steps + 1) + low, place - low
        change += np.bincount(where, weights=sign * (1.0 - share), minlength=len(change))
        change += np.bincount(where + 1, weights=sign * share, minlength=len(change))
    return np.asarray(np.cumsum(change.reshape(count, -1), axis=1)[:, :-1])


def _nobody(stretch: Stretch) -> SessionSource:
    return BuiltinSessions(stretch.seed, scale=0.0)
