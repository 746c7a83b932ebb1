"""Prices of one's own: instants over hours, hours over the tariff."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.domain.timegrid import TimeGrid, instant
from vpp.lab.simulate.prices import prices_from_csv
from vpp.planning.tariff import Tariff

MIDNIGHT_S = datetime(2026, 7, 14, 16, tzinfo=UTC).timestamp()


def test_prices_by_instant_win_over_hours_and_hours_over_the_tariff(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,price_cny_per_mwh\n2026-07-15T00:00,100\n2026-07-15T01:00,200\n", encoding="utf-8")
    prices = prices_from_csv(path)
    grid = TimeGrid(start_at=instant(MIDNIGHT_S), step_s=3600, count=26)
    found = prices.price_cny_per_kwh(grid)
    assert found[:2].tolist() == pytest.approx([0.1, 0.2])
    assert found[24:].tolist() == pytest.approx([0.1, 0.2])  # the next day, by hour
    assert found[2:24].tolist() == pytest.approx(Tariff().price_cny_per_kwh(grid)[2:24].tolist())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("time,cost\n2026-07-15T00:00,1\n", "header"),
        ("hour,price_cny_per_kwh\n24,1\n", "column hour"),
        ("hour,price_cny_per_kwh\n3,free\n", "line 2, column price_cny_per_kwh"),
        ("time,price_cny_per_kwh\nyesterday,1\n", "column time"),
        ("time,price_cny_per_kwh\n", "no rows"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,1\n2026-07-15T01:00,1\n2026-07-15T00:00,2\n", "line 4, column time"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,1\n2026-07-14T16:00:00Z,2\n", "line 2 has it too"),
        ("hour,price_cny_per_kwh\n3,1\n4,1\n3,1\n", "line 4, column hour"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,1\n2026-07-15T01:00,1\n2026-07-15T21:00,2\n", "line 4.* no hole"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,1\n2026-07-15T00:15,1\n2026-07-15T02:00,2\n", "at most 1 h after"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,660\n", "line 2, column price_cny_per_kwh: '660'"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00,nan\n", "line 2, column price_cny_per_kwh"),
        ("time,price_cny_per_kwh\n0001-01-01T00:00,1\n", "from 2000 to 2099"),
        ("time,price_cny_per_kwh\n2026-07-15T00:00\n", "line 2, column price_cny_per_kwh"),
    ],
)
def test_prices_that_make_no_sense_are_refused_by_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=word):
        prices_from_csv(path)


def test_the_last_price_of_a_series_holds_for_its_own_step(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = "".join(f"2026-07-15T{hour:02}:{minute:02},9\n" for hour in (0, 1) for minute in (0, 15, 30, 45))
    path.write_text("time,price_cny_per_kwh\n" + rows, encoding="utf-8")
    prices = prices_from_csv(path)
    assert prices.last_s == 900.0
    grid = TimeGrid(start_at=instant(MIDNIGHT_S), step_s=900, count=12)
    tariff = Tariff().price_cny_per_kwh(grid)
    assert prices.price_cny_per_kwh(grid).tolist() == pytest.approx([9.0] * 8 + tariff[8:].tolist())


def test_blocks_of_several_hours_are_no_holes(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(
        "time,price_cny_per_kwh\n" + "".join(f"2026-07-15T{h:02}:00,{h}\n" for h in (0, 4, 8)), encoding="utf-8"
    )
    assert prices_from_csv(path).last_s == 4 * 3600.0
