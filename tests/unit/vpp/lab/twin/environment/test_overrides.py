"""People who take back what is held back."""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.lab.twin.environment.overrides import Overrides
from vpp.lab.twin.environment.world_file import People
from vpp.lab.twin.population.presets import demo_fleet

FLEET = demo_fleet(scale=1.0)
CARS = np.flatnonzero(FLEET.is_class(ResourceClass.EV))


def opted_out(overrides: Overrides, *, hours: float, day: int = 1, begin_s: float = 0.0) -> int:
    count, step_s = 0, 60.0
    power_kw = np.stack([np.zeros(len(FLEET)), np.full(len(FLEET), 7.0)])
    for step in range(round(hours * 60)):
        asked_kw = np.full(len(FLEET), np.nan)
        asked_kw[CARS] = 0.0
        out = overrides.step(asked_kw, power_kw, day=day, now_s=begin_s + step * step_s, step_s=step_s)
        count += len(out)
    return count


def test_nobody_minds_what_is_not_felt() -> None:
    overrides = Overrides(FLEET, People(opt_out_per_h=5.0), np.random.default_rng(1))
    asked_kw, alike = np.zeros(len(FLEET)), np.ones((2, len(FLEET)))
    assert not len(overrides.step(asked_kw, alike, day=1, now_s=0.0, step_s=3600.0))


def test_who_opted_out_does_not_obey_until_another_driver_comes() -> None:
    overrides = Overrides(FLEET, People(opt_out_per_h=60.0), np.random.default_rng(1))
    assert opted_out(overrides, hours=0.5) == len(CARS)
    asked_kw = np.zeros(len(FLEET))
    overrides.step(asked_kw, np.zeros((2, len(FLEET))), day=1, now_s=1e6, step_s=60.0)
    assert np.isnan(asked_kw[CARS]).all()
    overrides.new_drivers(CARS.astype(np.int32))
    asked_kw = np.zeros(len(FLEET))
    overrides.step(asked_kw, np.zeros((2, len(FLEET))), day=1, now_s=1e6, step_s=60.0)
    assert not asked_kw[CARS].any()


def test_more_opt_out_the_longer_it_lasts_and_the_more_days_in_a_row() -> None:
    people = People(opt_out_per_h=0.03, growth_per_h=1.0, fatigue=1.0)
    fresh = Overrides(FLEET, people, np.random.default_rng(1))
    first, later = opted_out(fresh, hours=1.0), opted_out(fresh, hours=1.0, begin_s=3600.0)
    tired = Overrides(FLEET, people, np.random.default_rng(1))
    for day in range(1, 4):
        last = opted_out(tired, hours=1.0, day=day, begin_s=day * 86_400.0)
        tired.new_drivers(CARS.astype(np.int32)) if day < 3 else None
    assert 0.7 * 0.03 * len(CARS) < first < later
    assert last > first
