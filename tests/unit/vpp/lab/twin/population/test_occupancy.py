"""Who stands at which station, and the events of it."""

import numpy as np

from vpp.lab.twin.population.occupancy import FLOOR_KWH, FLOOR_SHARE, StationOccupancy, joined_events
from vpp.lab.twin.population.sessions import Arrivals


def arrivals(*rows: int, depart_s: float = 1000.0) -> Arrivals:
    count = len(rows)
    return Arrivals(
        rows=np.array(rows, dtype=np.int32),
        arrive_s=np.full(count, 10.0),
        depart_s=np.full(count, depart_s),
        need_kwh=np.full(count, 20.0),
        power_kw=np.full(count, 7.0),
        opted_out=np.zeros(count, dtype=np.bool_),
        boost=np.zeros(count, dtype=np.bool_),
    )


def plugged(occupancy: StationOccupancy, *rows: int, promised_kwh: float = 15.0, depart_s: float = 1000.0) -> None:
    occupancy.plug(
        arrivals(*rows, depart_s=depart_s),
        np.arange(len(rows), dtype=np.int32),
        promised_kwh=np.full(len(rows), promised_kwh),
        meter_kwh=np.full(len(rows), 3.0),
        now_s=12.0,
    )


def test_the_first_events_are_the_cars_already_there_with_the_instant_of_their_arrival() -> None:
    occupancy = StationOccupancy(4)
    plugged(occupancy, 1, 3)
    first = occupancy.take_events()
    assert first.rows.tolist() == [1, 3]
    assert first.at_s.tolist() == [10.0, 10.0]
    assert len(occupancy.take_events()) == 0


def test_later_events_come_in_order_and_once() -> None:
    occupancy = StationOccupancy(4)
    occupancy.take_events()
    plugged(occupancy, 2)
    occupancy.unplug(np.array([2], dtype=np.int32), meter_kwh=np.array([9.0]), now_s=20.0)
    events = occupancy.take_events().events()
    assert [(event.row, event.plugged, event.at_s, event.meter_kwh) for event in events] == [
        (2, True, 12.0, 3.0),
        (2, False, 20.0, 9.0),
    ]
    assert events[0].promise is not None
    assert events[1].promise is None
    assert not occupancy.plugged().any()


def test_the_floor_is_a_share_of_a_small_promise_and_bounded_for_a_large_one() -> None:
    occupancy = StationOccupancy(2)
    plugged(occupancy, 0, promised_kwh=5.0)
    plugged(occupancy, 1, promised_kwh=50.0)
    assert occupancy.take_events().floor_kwh.tolist() == [FLOOR_SHARE * 5.0, FLOOR_KWH]


def test_cars_leave_at_their_time_and_not_before() -> None:
    occupancy = StationOccupancy(4)
    plugged(occupancy, 0, depart_s=100.0)
    plugged(occupancy, 1, depart_s=200.0)
    assert occupancy.leaving(99.0).tolist() == []
    assert occupancy.leaving(100.0).tolist() == [0]
    occupancy.unplug(np.array([0], dtype=np.int32), meter_kwh=np.zeros(1), now_s=100.0)
    assert occupancy.leaving(500.0).tolist() == [1]


def test_events_of_two_batches_are_joined_in_order() -> None:
    occupancy = StationOccupancy(4)
    plugged(occupancy, 0)
    first = occupancy.take_events()
    plugged(occupancy, 1)
    assert joined_events([first, occupancy.take_events()]).rows.tolist() == [0, 1]
