"""The alarm of a year nobody has announced, day by day over the turn of two years."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from vpp.application.watch.calendar_watch import AHEAD_DAYS, CalendarWatch
from vpp.bus.event_stream import EventStream
from vpp.fleet.calendar import SHANGHAI, DayCalendar, DaysOff
from vpp.planning.forecast.load_forecast import HORIZON_STEPS
from vpp.runtime.observability import Metrics

NOBODY = DaysOff()


def watched(announced: Mapping[int, DaysOff], first: date, last: date) -> tuple[list[tuple[str, str, str]], list[int]]:
    """Return date, state and years of every alarm, and the metric of every day, noon by noon."""
    news, metrics = EventStream(), Metrics(version="1")
    watch = CalendarWatch(DayCalendar(announced=announced), news, metrics)
    missing = []
    for n in range((last - first).days + 1):
        noon = datetime(first.year, first.month, first.day, 12, tzinfo=SHANGHAI) + timedelta(days=n)
        for hour in (-1, 0, 1):
            watch.follow((noon + timedelta(hours=hour)).timestamp())
        missing.append(int(metrics.registry.get_sample_value("vpp_calendar_unannounced_days") or 0))
    alarms = [
        (str(datetime.fromtimestamp(e.at_s, SHANGHAI).date()), str(e.body["state"]), str(e.body["years"]))
        for e in news._ring
    ]
    return alarms, missing


def test_a_year_is_missed_thirty_days_before_it_begins_and_until_it_is_over() -> None:
    known = {2026: NOBODY, 2028: NOBODY}
    alarms, missing = watched(known, date(2026, 11, 25), date(2028, 1, 5))
    assert alarms == [("2026-12-03", "set", "2027"), ("2028-01-01", "cleared", "2027")]
    assert missing[:9] == [0] * 8 + [1]
    assert max(missing) == AHEAD_DAYS
    assert missing[-6:] == [1, 0, 0, 0, 0, 0]


def test_years_without_end_are_named_as_they_come() -> None:
    alarms, _ = watched({2026: NOBODY}, date(2026, 12, 1), date(2028, 1, 2))
    assert alarms == [
        ("2026-12-03", "set", "2027"),
        ("2027-12-03", "set", "2027, 2028"),
        ("2028-01-01", "set", "2028"),
    ]


def test_a_calendar_that_knows_is_silent() -> None:
    assert watched({2026: NOBODY, 2027: NOBODY}, date(2026, 11, 1), date(2027, 11, 1))[0] == []


def test_the_watch_looks_further_than_any_plan() -> None:
    assert AHEAD_DAYS * 96 > HORIZON_STEPS
