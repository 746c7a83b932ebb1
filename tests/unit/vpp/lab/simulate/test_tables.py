"""The day's tables: transformers, areas, sessions, and prices of one's own."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vpp.domain.errors import InputError
from vpp.domain.timegrid import TimeGrid, instant
from vpp.lab.simulate.prices import prices_from_csv
from vpp.lab.simulate.tables import TransformerTable, write_sessions
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.truth import SessionTruth
from vpp.planning.tariff import Tariff

MIDNIGHT_S = datetime(2026, 7, 14, 16, tzinfo=UTC).timestamp()


def test_transformers_are_written_minute_by_minute_and_overloads_are_counted(tmp_path: Path) -> None:
    index = demo_fleet(scale=0.05)
    count = len(index.transformers)
    with TransformerTable(index, tmp_path / "t.parquet", from_s=MIDNIGHT_S) as table:
        table.take(MIDNIGHT_S - 60.0, np.full((2, count), 1e9))  # the evening before does not count
        for minute in range(20):
            load_kw = np.stack([0.5 * index.feeders.limit_kw] * 2)
            if minute == 7:
                load_kw[0, 3] = index.feeders.limit_kw[3] + 2.0
            table.take(MIDNIGHT_S + 60.0 * minute, load_kw)
        assert (table.violations, table.violations_without) == (1, 0)
        assert table.overloads(index) == {index.transformers[3].id: pytest.approx(2.0)}
        assert table.histogram.sum(axis=1).tolist()[1] == 20 * (~np.isin(np.arange(count), index.feeders.parent)).sum()
    written = pq.read_table(tmp_path / "t.parquet")
    assert written.column_names == ["time", "transformer", "load_kw", "limit_kw"]
    assert written.num_rows == 20 * count
    first = written.slice(0, 1).to_pylist()[0]
    assert first["time"].timestamp() == MIDNIGHT_S
    assert first["transformer"] == index.transformers[0].id
    assert first["load_kw"] == pytest.approx(0.5 * first["limit_kw"], rel=1e-6)


def test_sessions_are_those_that_ended_on_the_day(tmp_path: Path) -> None:
    index = demo_fleet(scale=0.05)
    depart_s = MIDNIGHT_S + np.array([-10.0, 3600.0, 7200.0])
    truth = SessionTruth(
        numbers=np.arange(3, dtype=np.int32),
        rows=np.arange(3, dtype=np.int32),
        arrive_s=depart_s - 1800.0,
        depart_s=depart_s,
        need_kwh=np.full(3, 10.0),
        promised_kwh=np.full(3, 8.0),
        car_kw=np.full(3, 7.0),
        delivered_kwh=np.array([[9.0, 9.0, 4.0], [9.0, 9.0, 4.0]]),
        finished=np.array([True, True, False]),
    )
    path = tmp_path / "s.parquet"
    assert write_sessions(path, truth, index, from_s=MIDNIGHT_S, until_s=MIDNIGHT_S + 5400.0) == 1
    row = pq.read_table(path).to_pylist()[0]
    assert row["id"] == f"{index.resources[1].id}:1"
    assert (row["need_kwh"], row["promised_kwh"], row["delivered_kwh"]) == (10.0, 8.0, 9.0)


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
