"""One calendar for forecast, settlement and tariff: a holiday, a worked Saturday, and a year nobody has announced."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.baseline_parts import Ledger, at, draft, fleet
from vpp.bootstrap.holidays import calendar_of
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass
from vpp.fleet.calendar import SHANGHAI, DayType, day_grid
from vpp.planning.forecast.load_forecast import forecast
from vpp.planning.tariff import Tariff
from vpp.settlement.baselines.baseline import compute_baseline
from vpp.state.image import ProcessImage

CALENDAR = calendar_of(None)
"""As the service is given it where no file states another."""
INDEX = fleet(ResourceClass.HVAC)
LOAD_KW = {DayType.WORKDAY: 100.0, DayType.WEEKEND: 60.0, DayType.HOLIDAY: 40.0}
DAYS = {
    date(2026, 9, 30): DayType.WORKDAY,
    date(2026, 10, 1): DayType.HOLIDAY,
    date(2026, 10, 10): DayType.WORKDAY,
    date(2026, 10, 11): DayType.WEEKEND,
    date(2026, 12, 31): DayType.WORKDAY,
    date(2027, 1, 1): DayType.HOLIDAY,
    date(2027, 1, 2): DayType.WEEKEND,
    date(2027, 1, 4): DayType.WORKDAY,
}


def metered(until: date) -> Ledger:
    """Return sixty days whose load follows what kind of day each was."""
    ledger = Ledger(1)
    for back in range(1, 61):
        day = until - timedelta(days=back)
        ledger.fill(day, LOAD_KW[CALENDAR.day_type(day)])
    return ledger


def by(kind: DayType, kw: float) -> bool:
    """Return whether a load is one of days of ``kind``; a holiday may borrow weekends."""
    if kind is DayType.HOLIDAY:
        return 0.95 * LOAD_KW[DayType.HOLIDAY] <= kw <= 1.05 * LOAD_KW[DayType.WEEKEND]
    return kw == pytest.approx(LOAD_KW[kind], rel=0.05)


@pytest.mark.parametrize(("day", "kind"), DAYS.items(), ids=str)
def test_the_forecast_of_a_day_is_made_from_days_of_its_kind(day: date, kind: DayType) -> None:
    before = day - timedelta(days=1)
    state = ProcessImage(INDEX).swap(at(0, day=before), np.zeros(1, dtype=np.uint8))
    found = forecast(state, metered(before), calendar=CALENDAR)
    # What the load was off its usual lately fades within a day: the evening of the next is the calendar's alone.
    assert all(by(kind, kw) for kw in found.expected_kw[0, -24:].tolist())


@pytest.mark.parametrize(("day", "kind"), DAYS.items(), ids=str)
def test_the_baseline_of_a_day_is_made_from_days_of_its_kind(day: date, kind: DayType) -> None:
    start_at = datetime.fromtimestamp(at(18, day=day), UTC)
    asked = draft(
        start_at=start_at,
        end_at=start_at + timedelta(hours=1),
        baseline_method=BaselineMethod.SAME_TYPE_DAYS,
    )
    found = compute_baseline(
        asked,
        index=INDEX,
        portfolio=np.ones(1, dtype=np.bool_),
        meter=metered(day),
        schedule=None,
        notice_s=at(12, day=day),
        start_s=at(18, day=day),
        end_s=at(19, day=day),
        calendar=CALENDAR,
    )
    rest = kind is not DayType.WORKDAY
    kinds = {CALENDAR.day_type(date.fromisoformat(text)) for text in found.reference_days}
    assert kinds <= ({DayType.HOLIDAY, DayType.WEEKEND} if rest else {DayType.WORKDAY})
    assert by(kind, float(found.power_kw[0, 0]))
    assert ("calendar" in dict(found.notes)) == (day.year == 2027), "an unknown year is named"


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_tariff_of_a_day_runs_from_midnight_in_shanghai(day: date) -> None:
    price, hours = Tariff().price_cny_per_kwh(day_grid(day)), np.arange(96) / 4.0
    night, evening = price[hours < 6.0], price[(hours >= 19.0) & (hours < 21.0)]
    assert len(set(night.tolist())) == len(set(evening.tolist())) == 1
    winter, summer = day.month in {12, 1}, day.month == 9
    assert night[0] == pytest.approx(0.66 * (0.4 if winter or summer else 0.5))
    assert evening[0] == pytest.approx(0.66 * (1.8 * 1.25 if winter else 1.8 if summer else 1.6))


def test_the_tariffs_month_turns_at_midnight_in_shanghai() -> None:
    midnight = datetime(2026, 10, 1, tzinfo=SHANGHAI)
    grid = day_grid(date(2026, 9, 30))
    assert grid.end_at == midnight
    before, after = (Tariff().price_cny_per_kwh(day_grid(d))[0] for d in (date(2026, 9, 30), date(2026, 10, 1)))
    assert (before, after) == (pytest.approx(0.66 * 0.4), pytest.approx(0.66 * 0.5))
