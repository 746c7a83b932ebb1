"""Arrivals in order of time, over the days of a source."""

import numpy as np

from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import local_day
from vpp.lab.twin.population.arrivals import LEAST_STAY_S, LOOK_BACK_DAYS, ArrivalQueue
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import CHANGEOVER_S, Arrivals

FLEET = demo_fleet(stations=4, inverters=0, batteries=0, v2g=0, sites=0)
NOON_S = 1_752_638_400.0
TODAY = local_day(NOON_S)


class Daily:
    """Some cars a day at row 0, at hours given, for a stay given."""

    def __init__(self, *hours: float, stay_h: float) -> None:
        self._hours = np.array(hours)
        self._stay_s = 3600.0 * stay_h
        self.asked: list[int] = []

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the day's cars."""
        del index
        self.asked.append(day)
        count = len(self._hours)
        arrive_s = day_start_s(day) + 3600.0 * self._hours
        return Arrivals(
            rows=np.zeros(count, dtype=np.int32),
            arrive_s=arrive_s,
            depart_s=arrive_s + self._stay_s,
            need_kwh=np.ones(count),
            power_kw=np.ones(count),
            opted_out=np.zeros(count, dtype=np.bool_),
            boost=np.zeros(count, dtype=np.bool_),
        )


def hours_of(arrivals: Arrivals | None) -> list[float]:
    return [] if arrivals is None else ((arrivals.arrive_s - day_start_s(TODAY)) / 3600.0).tolist()


def test_a_car_of_the_days_before_is_there_if_it_stays_that_long() -> None:
    source = Daily(20.0, stay_h=20.0)
    queue = ArrivalQueue(FLEET, source, NOON_S)
    assert source.asked == [TODAY - back for back in range(LOOK_BACK_DAYS, -1, -1)]
    assert hours_of(queue.due(NOON_S)) == [-4.0]


def test_every_car_is_returned_once_also_over_midnight() -> None:
    queue = ArrivalQueue(FLEET, Daily(13.0, 18.0, stay_h=1.0), NOON_S)
    assert hours_of(queue.due(NOON_S)) == []
    assert hours_of(queue.due(NOON_S + 3600.0)) == [13.0]
    assert hours_of(queue.due(NOON_S + 3600.0)) == []
    later = [hours_of(queue.due(NOON_S + 900.0 * step)) for step in range(5, 30 * 4)]
    assert [hour for hours in later for hour in hours] == [18.0, 37.0]


def test_a_car_that_finds_its_station_occupied_drives_on() -> None:
    close_h = CHANGEOVER_S / 3600.0
    queue = ArrivalQueue(FLEET, Daily(13.0, 13.5, 14.0 + close_h, stay_h=1.0), NOON_S)
    found = [hours_of(queue.due(NOON_S + 600.0 * step)) for step in range(20)]
    assert np.round([hour for hours in found for hour in hours], 6).tolist() == [13.0, np.round(14.0 + close_h, 6)]


def test_a_car_about_to_leave_is_left_out() -> None:
    queue = ArrivalQueue(FLEET, Daily(13.0, stay_h=1.0), NOON_S)
    assert queue.due(NOON_S + 2 * 3600.0 - LEAST_STAY_S) is None
