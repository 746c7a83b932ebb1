"""Shanghai's time-of-use prices."""

from datetime import UTC, datetime

import pytest

from vpp.domain.timegrid import TimeGrid
from vpp.planning.tariff import Tariff


@pytest.mark.parametrize(
    ("at", "ratio"),
    [
        (datetime(2026, 7, 8, 5, tzinfo=UTC), 1.8 * 1.25),  # 13:00 in July: sharp
        (datetime(2026, 9, 8, 5, tzinfo=UTC), 1.8),  # 13:00 in September: peak
        (datetime(2026, 10, 8, 5, tzinfo=UTC), 1.0),  # 13:00 in October: flat
        (datetime(2026, 12, 8, 11, tzinfo=UTC), 1.8 * 1.25),  # 19:00 in December: sharp
        (datetime(2026, 4, 8, 14, tzinfo=UTC), 0.5),  # 22:00 in April: valley
        (datetime(2026, 7, 8, 21, 45, tzinfo=UTC), 0.4),  # 05:45 in July: valley
    ],
)
def test_prices_follow_shanghais_hours_and_seasons(at: datetime, ratio: float) -> None:
    price = Tariff(flat_cny_per_kwh=1.0).price_cny_per_kwh(TimeGrid(start_at=at, count=1))
    assert price[0] == pytest.approx(ratio)
