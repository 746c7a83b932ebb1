"""The day's tables: transformers and sessions."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vpp.lab.simulate.tables import TransformerTable, write_sessions
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.truth import SessionTruth

MIDNIGHT_S = datetime(2026, 7, 14, 16, tzinfo=UTC).timestamp()


def test_transformers_are_written_minute_by_minute_and_overloads_are_counted(tmp_path: Path) -> None:
    index = demo_fleet(scale=0.05)
    count = len(index.transformers)
    with TransformerTable(index, tmp_path / "t.parquet", from_s=MIDNIGHT_S) as table:
        table.take(MIDNIGHT_S - 60.0, np.full((2, count), 1e9), np.zeros(count))  # the evening before does not count
        for minute in range(20):
            load_kw = np.stack([0.5 * index.feeders.limit_kw] * 2)
            if minute == 7:
                load_kw[0, 3] = index.feeders.limit_kw[3] + 2.0
            if minute == 8:  # without dispatch it would be worse
                load_kw[:, 5] = index.feeders.limit_kw[5] + np.array([1.0, 3.0])
            base_kw = np.zeros(count)
            if minute == 9:  # others alone are above the limit, and above it with us
                base_kw[4] = index.feeders.limit_kw[4] + 1.0
                load_kw[:, 4] = base_kw[4] + 5.0
            table.take(MIDNIGHT_S + 60.0 * minute, load_kw, base_kw)
        assert (table.violations, table.violations_without, table.base_violations) == (2, 1, 1)
        assert table.violations_ours == 1
        assert table.overloads(index) == {
            index.transformers[3].id: pytest.approx(2.0),
            index.transformers[5].id: pytest.approx(1.0),
        }
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
        stated_s=depart_s,
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
