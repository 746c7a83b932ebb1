"""The twin's own series by class: a stretch of days in a world, nobody commanding anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray
from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.world.simple_forecast import Series
from vpp.lab.twin.environment.environment import weather_of
from vpp.lab.twin.environment.world_file import World
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.local_time import is_rest
from vpp.lab.twin.population.sessions import BuiltinSessions

_PHYSICS_STEP_S = 300.0
_QUARTERS, _HOURS = 96, 24
_NIGHT = 0.05
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
        sessions=BuiltinSessions(stretch.seed, scale=0.0),
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
