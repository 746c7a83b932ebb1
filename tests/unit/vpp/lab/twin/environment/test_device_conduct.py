"""Devices as they are: makes, outages of many at once, cars that do not wake."""

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.lab.twin.environment.device_conduct import GroupOutages, SleepingCars, make_factors, meter_factors
from vpp.lab.twin.environment.world_file import Devices, Make
from vpp.lab.twin.population.presets import demo_fleet

FLEET = demo_fleet(scale=1.0)


def test_all_chargers_of_a_site_are_of_one_make() -> None:
    makes = (Make(share=0.5, ignores=2.0), Make(share=0.5, ignores=0.0, refuses=3.0))
    ignores, refuses = make_factors(FLEET, makes, np.random.default_rng(1))
    site = [row for row, r in enumerate(FLEET.resources) if r.site_id == FLEET.resources[0].site_id]
    assert len(set(ignores[site])) == 1
    assert {(2.0, 1.0), (0.0, 3.0)} == set(zip(ignores.tolist(), refuses.tolist(), strict=True))


def test_meters_are_wrong_within_their_class() -> None:
    factors = meter_factors(FLEET, Devices(meter_bias=0.02), np.random.default_rng(1))
    assert np.abs(factors - 1.0).max() <= 0.02
    assert factors.std() == pytest.approx(0.04 / 12**0.5, rel=0.1)


def test_an_outage_takes_a_whole_operator_or_area_for_hours() -> None:
    devices = Devices(operator_outages_per_day=1.0, outage_hours=(1.0, 2.0))
    outages = GroupOutages(FLEET, devices, np.random.default_rng(1))
    struck = [found for step in range(24 * 60) for found in outages.step(60.0 * step, 60.0)]
    assert struck
    operators = {site.id: site.operator_id for site in FLEET.sites}
    for rows, _ in struck:
        (operator,) = {operators[FLEET.resources[row].site_id] for row in rows}
        whole = [row for row, r in enumerate(FLEET.resources) if operators[r.site_id] == operator]
        assert rows.tolist() == whole


def test_a_car_that_sleeps_draws_nothing_after_a_pause_until_the_next_one_comes() -> None:
    sleepers = SleepingCars(FLEET, 1.0, np.random.default_rng(1))
    cars = np.flatnonzero(FLEET.is_class(ResourceClass.EV)).astype(np.int32)
    asked_kw = np.full(len(FLEET), np.nan)
    asked_kw[cars[0]] = 0.0
    for _ in range(3):
        sleepers.step(asked_kw, 60.0)
    fresh_kw = np.full(len(FLEET), np.nan)
    sleepers.step(fresh_kw, 60.0)
    assert np.flatnonzero(fresh_kw == 0.0).tolist() == [cars[0]]
    sleepers.plug(cars[:1])
    fresh_kw = np.full(len(FLEET), np.nan)
    sleepers.step(fresh_kw, 60.0)
    assert np.isnan(fresh_kw).all()
