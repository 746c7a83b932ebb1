"""Days of a fleet that nobody calls: what would have been is what was, so every baseline can be judged by it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S
from vpp.fleet.calendar import day_grid
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.environment.world_file import World
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.worlds import ACTUAL

CLASSES = (ResourceClass.EV, ResourceClass.PV, ResourceClass.HVAC, ResourceClass.INDUSTRY)
"""Classes that are judged; storage and V2G follow the plan, which is their baseline by definition."""
_TWIN_STEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedDays:
    """Rows of one class over whole days; kW, load positive.

    Attributes:
        days: Shanghai dates in order.
        true_kw: Mean power, shape ``(n_days, n_rows, 96)``.
        metered_kw: The same as the meters show it.
        temperature_c: Outdoor temperature, shape ``(n_days, 96)``.
        ids: Resources, one a row.
    """

    days: tuple[date, ...]
    true_kw: FloatArray
    metered_kw: FloatArray
    temperature_c: FloatArray
    ids: tuple[str, ...]


def bench_fleet(sites: int) -> FleetIndex:
    """Return a fleet with ``sites`` buildings and plants, and chargers and roofs in proportion."""
    return demo_fleet(stations=6 * sites, inverters=sites, batteries=0, v2g=0, sites=sites)


def play(
    index: FleetIndex,
    dates: Sequence[date],
    *,
    seed: int,
    world: World,
    weather: Weather,
    shown: Callable[[Sequence[date]], Iterable[date]] = iter,
) -> dict[str, PlayedDays]:
    """Return the days of every class of a fleet that nobody calls.

    A day before the first is played as well, so that cars are there at its midnight.

    Args:
        index: The fleet.
        dates: Days that follow one another.
        seed: Seed of every draw.
        world: What days, people and devices are like.
        weather: Sun and air.
        shown: Iterates the days, and shows how far it has come.
    """
    begin_s = day_grid(dates[0]).start_s
    twin = Twin(
        index,
        seed=seed,
        start_s=begin_s - SECONDS_PER_DAY,
        sessions=conducted_sessions(None, world, seed=seed),
        weather=weather,
        world=world,
    )
    twin.advance(begin_s, _TWIN_STEP_S)
    true, metered, warmth = [], [], []
    for day in shown(dates):
        true.append(_true_kw(twin, day))
        metered.append(twin.read(day_grid(day)))
        warmth.append([weather.at(at_s + STEP_S / 2.0).temp_c for at_s in day_grid(day).starts_s().tolist()])
    true_kw, metered_kw = np.array(true), np.array(metered)
    return {
        cls.value: PlayedDays(
            days=tuple(dates),
            true_kw=true_kw[:, rows],
            metered_kw=metered_kw[:, rows],
            temperature_c=np.array(warmth),
            ids=tuple(index.resources[row].id for row in rows.tolist()),
        )
        for cls in CLASSES
        if len(rows := np.flatnonzero(index.is_class(cls)))
    }


def _true_kw(twin: Twin, day: date) -> FloatArray:
    """Run a day and return its true means, shape ``(n, 96)``."""
    steps = []
    for at_s in day_grid(day).starts_s().tolist():
        before_kwh = twin.net_kwh[ACTUAL].copy()
        twin.advance(at_s + STEP_S, _TWIN_STEP_S)
        steps.append((twin.net_kwh[ACTUAL] - before_kwh) * (SECONDS_PER_HOUR / STEP_S))
    return np.array(steps).T
