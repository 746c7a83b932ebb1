"""The telemetry store: nothing written is lost, the last write counts, and questions are answered the same anywhere."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.errors import ConfigurationError
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.storage.telemetry.files import BLOCK, Columns, minute_sums
from vpp.storage.telemetry.store import TelemetryStore

DAY = 20_000 * 86_400.0
NOW = DAY + 86_400.0
WRITTEN_BEFORE = Path(__file__).parents[4] / "fixtures" / "telemetry-delta"


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TelemetryStore:
    folder = tmp_path / "telemetry"
    folder.mkdir()
    made = TelemetryStore(str(folder) if request.param == "folder" else folder.as_uri())
    made.assign(np.array([0, 1] * BLOCK, dtype=np.int32))
    return made


def batch(*samples: tuple[int, Quantity, float, float]) -> TelemetryBatch:
    return TelemetryBatch.of(list(samples))


def shown(found: TelemetryBatch) -> list[tuple[int, Quantity, float, float]]:
    columns = (found.rows.tolist(), found.quantities.tolist(), found.values.tolist(), found.at_s.tolist())
    return [(row, Quantity(q), value, at_s - DAY) for row, q, value, at_s in zip(*columns, strict=True)]


def test_samples_come_back_hot_and_placed_and_merged(store: TelemetryStore) -> None:
    store.write([batch((3, Quantity.POWER_KW, 7.125, DAY + 60.0), (3, Quantity.SOC, 0.55, DAY + 60.0))], at_s=NOW)
    store.write([batch((3, Quantity.POWER_KW, -2.5, DAY + 7200.0), (BLOCK + 1, Quantity.POWER_KW, 1.0, DAY))], at_s=NOW)
    expected = [
        (3, Quantity.POWER_KW, 7.125, 60.0),
        (3, Quantity.POWER_KW, -2.5, 7200.0),
        (3, Quantity.SOC, 0.55, 60.0),
    ]
    assert shown(store.history(3, from_s=DAY, to_s=DAY + 86_400.0)) == expected
    assert store.compact(at_s=NOW) == 4
    assert store.size().hot_files == 0
    assert shown(store.history(3, from_s=DAY, to_s=DAY + 86_400.0)) == expected
    assert store.merge_days(before_s=NOW, at_s=NOW) == 1
    assert shown(store.history(3, from_s=DAY, to_s=DAY + 86_400.0)) == expected
    assert store.size().files == 2
    assert shown(store.history(3, from_s=DAY, to_s=DAY + 100.0, quantity=Quantity.SOC)) == expected[2:]
    assert shown(store.history(4, from_s=DAY, to_s=NOW)) == []


def test_the_last_write_counts_wherever_the_earlier_one_lies(store: TelemetryStore) -> None:
    for step, value in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)):
        store.write([batch((3, Quantity.POWER_KW, value, DAY + 60.0))], at_s=NOW)
        if step in {1, 3}:
            store.compact(at_s=NOW)
        if step == 4:
            store.compact(at_s=NOW)
            store.merge_days(before_s=NOW, at_s=NOW)
        assert shown(store.history(3, from_s=DAY, to_s=NOW)) == [(3, Quantity.POWER_KW, value, 60.0)]
    store.compact(at_s=NOW)
    assert shown(store.history(3, from_s=DAY, to_s=NOW)) == [(3, Quantity.POWER_KW, 6.0, 60.0)]
    assert store.size().rows == 1


def test_of_two_in_one_batch_the_later_counts(store: TelemetryStore) -> None:
    store.write([batch((3, Quantity.SOC, 0.1, DAY), (3, Quantity.SOC, 0.2, DAY))], at_s=NOW)
    assert shown(store.history(3, from_s=DAY, to_s=NOW)) == [(3, Quantity.SOC, 0.2, 0.0)]


def test_what_is_no_number_is_left_out(store: TelemetryStore) -> None:
    kept = store.write(
        [batch((1, Quantity.POWER_KW, np.nan, DAY), (1, Quantity.POWER_KW, np.inf, DAY), (1, Quantity.SOC, 0.5, DAY))],
        at_s=NOW,
    )
    assert kept == 1


def test_minutes_of_city_and_area_are_the_same_hot_placed_merged_and_patched(store: TelemetryStore) -> None:
    samples = [(row, Quantity.POWER_KW, 1.0 + row, DAY + 60.0 * m + row) for row in range(4) for m in range(30)]
    store.write([batch(*samples, (0, Quantity.SOC, 0.5, DAY))], at_s=NOW)

    def check(city_kw: float) -> None:
        start_s, power_kw, devices = store.minutes(from_s=DAY, to_s=DAY + 1800.0)
        np.testing.assert_array_equal(start_s, DAY + 60.0 * np.arange(30))
        np.testing.assert_allclose(power_kw, [city_kw] + [10.0] * 29)
        assert devices.tolist() == [4] * 30

    check(10.0)
    store.compact(at_s=NOW)
    check(10.0)
    _, area_kw, _ = store.minutes(from_s=DAY, to_s=DAY + 600.0, area=1)
    np.testing.assert_allclose(area_kw, [6.0] * 10)
    store.merge_days(before_s=NOW, at_s=NOW)
    check(10.0)
    store.write([batch((3, Quantity.POWER_KW, 104.0, DAY + 3.0))], at_s=NOW)
    store.compact(at_s=NOW)
    check(110.0)
    start_s, quarter_kw, _ = store.minutes(from_s=DAY, to_s=DAY + 1800.0, step_s=900)
    np.testing.assert_array_equal(start_s, [DAY, DAY + 900.0])
    np.testing.assert_allclose(quarter_kw, [10.0 + 100.0 / 15.0, 10.0])


def test_the_latest_values_survive_a_restart(tmp_path: Path) -> None:
    first = TelemetryStore(str(tmp_path))
    first.write([batch((1, Quantity.POWER_KW, 2.0, DAY), (1, Quantity.POWER_KW, 3.0, DAY + 1.0))], at_s=NOW, mark=17)
    first.compact(at_s=NOW)
    first.write([batch((2, Quantity.SOC, 0.25, DAY + 2.0))], at_s=NOW, mark=18)
    first.close()
    second = TelemetryStore(str(tmp_path))
    assert second.mark == 18
    assert shown(second.latest(since_s=DAY, to_s=NOW)) == [
        (1, Quantity.POWER_KW, 3.0, 1.0),
        (2, Quantity.SOC, 0.25, 2.0),
    ]


def test_days_that_are_over_long_enough_are_forgotten(store: TelemetryStore) -> None:
    store.write([batch((1, Quantity.SOC, 0.5, DAY - 1.0), (1, Quantity.SOC, 0.6, DAY))], at_s=NOW)
    store.compact(at_s=NOW)
    assert store.retain(from_s=DAY + 5.0, at_s=NOW) == 1
    assert shown(store.history(1, from_s=0.0, to_s=NOW)) == [(1, Quantity.SOC, 0.6, 0.0)]


def test_an_empty_store_answers(store: TelemetryStore) -> None:
    assert len(store.history(1, from_s=0.0, to_s=NOW)) == 0
    assert [len(column) for column in store.minutes(from_s=0.0, to_s=NOW)] == [0, 0, 0]
    assert len(store.latest(since_s=0.0, to_s=NOW)) == 0
    assert store.compact(at_s=NOW) == 0
    assert store.write([], at_s=NOW) == 0


def test_a_place_where_no_table_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="telemetry"):
        TelemetryStore(str(tmp_path / "file"))


def test_a_folder_written_by_an_earlier_version_is_read_and_carried_on(tmp_path: Path) -> None:
    folder = tmp_path / "telemetry"
    shutil.copytree(WRITTEN_BEFORE, folder)
    store = TelemetryStore(str(folder))
    store.assign(np.array([0, 1], dtype=np.int32))
    expected = {
        0: [
            (0, Quantity.POWER_KW, 4.0, 60.0),  # a correction in a hot file, beside the merged day
            (0, Quantity.POWER_KW, 3.0, 86_430.0),
            (0, Quantity.SOC, 0.55, 60.0),
        ],
        1: [(1, Quantity.POWER_KW, -2.5, 65.0), (1, Quantity.SOC, 0.25, 86_490.0)],
    }
    for turn in range(2):
        assert {row: shown(store.history(row, from_s=DAY, to_s=NOW + 86_400.0)) for row in expected} == expected
        _, power_kw, _ = store.minutes(from_s=DAY, to_s=DAY + 120.0)
        late_kw = 0.0 if turn else 7.125  # until a compaction a correction counts beside what it corrects
        np.testing.assert_allclose(power_kw, [late_kw - 2.5 + 4.0])
        assert store.mark == 5
        store.compact(at_s=NOW)
    store.close()


SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([Quantity.POWER_KW, Quantity.SOC]),
        st.integers(-9000, 9000),
        st.integers(0, 200),
    ),
    max_size=60,
)


@given(SAMPLES)
@settings(max_examples=50)
def test_clustering_keeps_the_last_of_each_instant_in_order(drawn: list[tuple[int, Quantity, int, int]]) -> None:
    columns = Columns.of(batch(*((row, q, value / 1e3, DAY + at_s) for row, q, value, at_s in drawn))).clustered()
    last = {(row, int(q), at_s): value for row, q, value, at_s in drawn}
    keys = list(zip(columns.row.tolist(), columns.quantity.tolist(), (columns.at_s - int(DAY)).tolist(), strict=True))
    assert keys == sorted(last)
    expected = [last[key] * (10 if key[1] == Quantity.SOC else 1) for key in keys]
    assert columns.value.tolist() == expected


@given(SAMPLES)
@settings(max_examples=50)
def test_minute_sums_are_sums_of_means(drawn: list[tuple[int, Quantity, int, int]]) -> None:
    columns = Columns.of(batch(*((row, q, value / 1e3, DAY + at_s) for row, q, value, at_s in drawn))).clustered()
    keys, values = minute_sums(columns, np.array([0, 1, 1], dtype=np.int32))
    means: dict[tuple[int, int], dict[int, list[float]]] = {}
    for row, quantity, at_s, value in zip(columns.row, columns.quantity, columns.at_s, columns.value, strict=True):
        if quantity == Quantity.POWER_KW and row < 3:
            means.setdefault((int(at_s) // 60, min(int(row), 1)), {}).setdefault(int(row), []).append(value / 1e3)
    assert [tuple(key) for key in keys.tolist()] == sorted(means)
    for key, (power_kw, devices) in zip(sorted(means), values, strict=True):
        assert power_kw == pytest.approx(sum(np.mean(v) for v in means[key].values()))
        assert devices == len(means[key])
