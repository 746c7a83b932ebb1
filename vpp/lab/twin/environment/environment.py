"""Everything a world file does to a twin, composed."""

from dataclasses import dataclass, replace

import numpy as np

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.common_factors import DayFactors, HourFactors, Members
from vpp.lab.twin.environment.device_conduct import GroupOutages, SleepingCars, make_factors, meter_factors
from vpp.lab.twin.environment.others_load import OthersLoad
from vpp.lab.twin.environment.overrides import Overrides
from vpp.lab.twin.environment.weather_year import WeatherYear
from vpp.lab.twin.environment.world_file import Days, World
from vpp.lab.twin.physics.device_models import DeviceModels
from vpp.lab.twin.physics.scenarios import Conditions
from vpp.lab.twin.physics.weather import Weather

_DARKEST = 0.03
"""Least transmission of clouds."""


class LoadFactors:
    """Factors on the load of buildings and plants: from day to day and within the day.

    Args:
        index: The fleet.
        rows: Its buildings and plants.
        days: How days differ.
        seed: Of the days.
        random: Stream of what wanders within them.
    """

    def __init__(
        self, index: FleetIndex, rows: RowArray, days: Days, *, seed: int, random: np.random.Generator
    ) -> None:
        members = _members(index, rows)
        self._days = DayFactors(members, days.load_day, memory=days.day_memory, seed=seed)
        self._hours = HourFactors(members, days.load_hours, time_s=days.hours * SECONDS_PER_HOUR, random=random)

    def step(self, at_s: float, step_s: float) -> FloatArray:
        """Return the factors at ``at_s`` after a step, shape ``(m,)``."""
        return self._days.at(at_s) * self._hours.step(step_s)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What surrounds the devices of a twin in a world as it is.

    Attributes:
        world: As its file states it.
        loads: Factors on the load of buildings and plants.
        clouds: Factors on the sun's transmission above the inverters.
        overrides: People who take back what is held back.
        outages: Hours in which many lose their links.
        sleepers: Cars that do not draw again after a pause.
        meter: What every meter shows of the true value, shape ``(n,)``.
        ignores: Factor on the share of commands that are ignored, shape ``(n,)``.
        refuses: Factor on the share of commands that are refused, shape ``(n,)``.
        others: Load of others behind the transformers.
    """

    world: World
    loads: LoadFactors
    clouds: HourFactors
    overrides: Overrides
    outages: GroupOutages
    sleepers: SleepingCars
    meter: FloatArray
    ignores: FloatArray
    refuses: FloatArray
    others: OthersLoad

    @classmethod
    def of(cls, world: World, index: FleetIndex, devices: DeviceModels, seeds: np.random.SeedSequence) -> "Environment":
        """Compose the environment of a fleet and set what lasts in its devices: tapers, and controllers that err."""
        loads, clouds, people, outages, cars, meters, makes, others, tapers, controllers = (
            np.random.default_rng(seed) for seed in seeds.spawn(10)
        )
        own = world.devices
        day_seed = int(seeds.generate_state(1)[0])
        devices.chargers.knee[:] = tapers.uniform(*own.knee, len(devices.chargers.knee))
        devices.loads.misreport(own.controller_bias, own.controller_spread, controllers)
        ignores, refuses = make_factors(index, own.makes, makes)
        roofs = _members(index, devices.inverters.rows)
        return cls(
            world=world,
            loads=LoadFactors(index, devices.loads.rows, world.days, seed=day_seed, random=loads),
            clouds=HourFactors(roofs, world.days.clouds, time_s=world.days.clouds_s, random=clouds),
            overrides=Overrides(index, world.people, people),
            outages=GroupOutages(index, own, outages),
            sleepers=SleepingCars(index, own.sleeper_share, cars),
            meter=meter_factors(index, own, meters),
            ignores=ignores,
            refuses=refuses,
            others=OthersLoad(index, world.network, seed=day_seed + 1, random=others),
        )

    def conditions(self, usual: Conditions, now_s: float, step_s: float) -> Conditions:
        """Return the conditions of a step with clouds and loads as they are here."""
        transmission = np.maximum(usual.transmission * self.clouds.step(step_s), _DARKEST)
        return replace(usual, transmission=transmission, site_noise=usual.site_noise * self.loads.step(now_s, step_s))


def weather_of(world: World, *, seed: int) -> Weather:
    """Return the weather that a world names; raises OSError."""
    days = world.days
    if days.weather == "hot_day":
        return Weather.builtin()
    return WeatherYear.shipped(seed=seed, shift_days=days.shift_days, stretch_days=days.stretch_days)


def _members(index: FleetIndex, rows: RowArray) -> Members:
    codes = index.class_code[rows].astype(np.int32)
    return Members(
        index.area_code[rows], codes, districts=len(index.areas), kinds=int(index.class_code.max(initial=0)) + 1
    )
