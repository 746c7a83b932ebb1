"""Visits by the built-in habits."""

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.fleet.calendar import day_start_s
from vpp.lab.twin.local_time import local_day, weekday
from vpp.lab.twin.population.distributions import Kind
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions, ChargingPoints

WEDNESDAY = local_day(1_752_638_400.0)  # 2025-07-16T12:00+08:00


def test_days_are_shanghai_days() -> None:
    assert weekday(WEDNESDAY) == 2
    assert day_start_s(WEDNESDAY) == 1_752_638_400.0 - 12 * 3600


def test_the_same_day_gives_the_same_visits_and_other_days_others() -> None:
    fleet = demo_fleet(scale=0.3)
    source = BuiltinSessions(7)
    first, again, other = source.day(fleet, WEDNESDAY), source.day(fleet, WEDNESDAY), source.day(fleet, WEDNESDAY + 1)
    assert np.array_equal(first.arrive_s, again.arrive_s)
    assert len(first) != len(other) or not np.array_equal(first.arrive_s - 86400, other.arrive_s)


def test_visits_lie_in_their_day_in_order_and_at_charging_rows() -> None:
    fleet = demo_fleet(scale=0.5)
    visits = BuiltinSessions(7).day(fleet, WEDNESDAY)
    assert (np.diff(visits.arrive_s) >= 0).all()
    assert visits.arrive_s[0] >= day_start_s(WEDNESDAY)
    assert visits.arrive_s[-1] < day_start_s(WEDNESDAY + 1)
    assert (visits.depart_s > visits.arrive_s).all()
    assert fleet.is_class(ResourceClass.EV, ResourceClass.V2G)[visits.rows].all()


def test_home_cars_take_about_seven_kilowatt_hours_a_day() -> None:
    fleet = demo_fleet(stations=2000, v2g=0)
    stations = ChargingPoints(fleet)
    homes = stations.rows[stations.of(Kind.HOME)]
    source = BuiltinSessions(3)
    days = [source.day(fleet, WEDNESDAY + i) for i in range(7)]
    taken = sum(float(day.need_kwh[np.isin(day.rows, homes)].sum()) for day in days)
    assert taken / len(homes) / 7 == pytest.approx(7.0, rel=0.1)


def test_a_car_that_finds_its_station_taken_drives_on() -> None:
    fleet = demo_fleet(scale=0.5)
    free_from_s = np.full(len(fleet), -np.inf)
    visits = BuiltinSessions(7, scale=3.0).day(fleet, WEDNESDAY)
    kept = visits.without_collisions(free_from_s)
    assert 0 < len(kept) < len(visits)
    for row in np.unique(kept.rows):
        mine = kept.take(kept.rows == row)
        assert (mine.arrive_s[1:] > mine.depart_s[:-1]).all()
