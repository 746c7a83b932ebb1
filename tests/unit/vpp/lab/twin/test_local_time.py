"""Days and hours of Shanghai, eight hours ahead of UTC."""

from datetime import UTC, datetime

from vpp.fleet.calendar import day_start_s, local_hour
from vpp.lab.twin.local_time import is_rest, local_day, weekday

MIDNIGHT_S = datetime(2025, 7, 15, 16, tzinfo=UTC).timestamp()


def test_a_day_begins_at_four_in_the_afternoon_of_the_utc_day_before() -> None:
    day = local_day(MIDNIGHT_S)
    assert local_day(MIDNIGHT_S - 1.0) == day - 1
    assert day_start_s(day) == MIDNIGHT_S


def test_weekdays_count_from_monday() -> None:
    assert weekday(local_day(MIDNIGHT_S)) == datetime(2025, 7, 16, tzinfo=UTC).weekday()
    assert [weekday(day) for day in range(4)] == [3, 4, 5, 6]


def test_hours_run_from_midnight_to_below_24() -> None:
    assert local_hour(MIDNIGHT_S) == 0.0
    assert local_hour(MIDNIGHT_S + 12.5 * 3600.0) == 12.5
    assert 23.99 < local_hour(MIDNIGHT_S - 1.0) < 24.0


def test_the_simulated_city_rests_on_the_days_of_the_calendar() -> None:
    days = {"2026-07-15": False, "2026-07-18": True, "2026-10-01": True, "2026-10-10": False, "2027-01-01": True}
    for day, rest in days.items():
        assert is_rest(local_day(datetime.fromisoformat(f"{day}T12:00:00+08:00").timestamp())) is rest
