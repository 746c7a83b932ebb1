"""Samples erased from the telemetry store: from files and roll-ups, wherever they lie."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.vpp.storage.telemetry.test_store import DAY, NOW, batch, shown
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.storage.telemetry.files import BLOCK
from vpp.storage.telemetry.store import TelemetryStore

HIS, NEIGHBOUR, FAR = 3, 4, BLOCK + 1
LATER = DAY + 30_000.0


def samples(at_s: float) -> TelemetryBatch:
    return batch(*((row, Quantity.POWER_KW, 1.0 + row, at_s) for row in (HIS, NEIGHBOUR, FAR)))


def filled(folder: Path, how: str) -> TelemetryStore:
    store = TelemetryStore(str(folder))
    store.assign(np.zeros(2 * BLOCK, dtype=np.int32))
    for at_s in (DAY + 60.0, LATER):
        store.write([samples(at_s)], at_s=NOW)
    if how != "hot":
        store.compact(at_s=NOW)
    if how == "merged":
        store.merge_days(before_s=NOW, at_s=NOW)
    return store


def rows_on_disk(folder: Path) -> set[tuple[int, int]]:
    """Return row and second of every sample in whatever file there is, part of the table or not."""
    found: set[tuple[int, int]] = set()
    for path in (folder / "samples").rglob("*.parquet"):
        if "_delta_log" not in path.parts:
            table = pq.read_table(path, partitioning=None)
            found |= set(zip(table["row"].to_pylist(), table["at_s"].to_pylist(), strict=True))
    return found


@pytest.mark.parametrize("how", ["hot", "placed", "merged"])
def test_erased_samples_are_in_no_file_and_no_roll_up(tmp_path: Path, how: str) -> None:
    store = filled(tmp_path, how)
    before = store.minutes(from_s=DAY, to_s=NOW)
    assert store.erase(ErasedSamples.of([(HIS, 0.0, 2e9)]), at_s=NOW) == 2
    assert {row for row, _ in rows_on_disk(tmp_path)} == {NEIGHBOUR, FAR}
    assert shown(store.history(HIS, from_s=DAY, to_s=NOW)) == []
    assert len(store.history(NEIGHBOUR, from_s=DAY, to_s=NOW).rows) == 2
    starts_s, power_kw, devices = store.minutes(from_s=DAY, to_s=NOW)
    np.testing.assert_array_equal(starts_s, before[0])
    np.testing.assert_allclose(power_kw, before[1] - (1.0 + HIS))
    np.testing.assert_array_equal(devices, before[2] - 1)
    assert store.erase(ErasedSamples.of([(HIS, 0.0, 2e9)]), at_s=NOW) == 0
    store.close()
    again = TelemetryStore(str(tmp_path))
    assert shown(again.history(HIS, from_s=DAY, to_s=NOW)) == []
    again.close()


@pytest.mark.parametrize("how", ["hot", "placed", "merged"])
def test_only_the_window_is_erased_with_the_second_it_ends_in(tmp_path: Path, how: str) -> None:
    store = filled(tmp_path, how)
    assert store.erase(ErasedSamples.of([(HIS, DAY + 60.4, DAY + 100.0)]), at_s=NOW) == 1
    assert [at_s for row, at_s in sorted(rows_on_disk(tmp_path)) if row == HIS] == [int(LATER)]
    store.close()


def test_the_last_sample_of_a_file_takes_the_file_with_it(tmp_path: Path) -> None:
    store = TelemetryStore(str(tmp_path))
    store.assign(np.zeros(8, dtype=np.int32))
    store.write([batch((HIS, Quantity.POWER_KW, 1.0, DAY))], at_s=NOW)
    store.compact(at_s=NOW)
    assert store.erase(ErasedSamples.of([(HIS, 0.0, 2e9)]), at_s=NOW) == 1
    assert (store.size().files, rows_on_disk(tmp_path)) == (0, set())
    assert len(store.minutes(from_s=DAY, to_s=NOW)[0]) == 0
    store.close()


def test_roll_ups_of_a_compaction_that_was_cut_short_are_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TelemetryStore(str(tmp_path))
    store.assign(np.zeros(8, dtype=np.int32))
    store.write([batch((HIS, Quantity.POWER_KW, 1.0, DAY))], at_s=NOW)
    with monkeypatch.context() as stopped:
        stopped.setattr(store._samples, "commit", _stop)
        with pytest.raises(OSError, match="stopped"):
            store.compact(at_s=NOW)
    store.close()
    again = TelemetryStore(str(tmp_path))
    again.assign(np.zeros(8, dtype=np.int32))
    assert again.erase(ErasedSamples.of([(HIS, 0.0, 2e9)]), at_s=NOW) == 1
    assert len(again.minutes(from_s=DAY, to_s=NOW)[0]) == 0
    again.close()


def _stop(*_anything: object, **_more: object) -> None:
    raise OSError("stopped")


def test_files_that_a_stop_has_left_are_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path, "placed")  # the hot files it replaced are deleted by the next compaction
    store.close()
    again = TelemetryStore(str(tmp_path))
    again.assign(np.zeros(2 * BLOCK, dtype=np.int32))
    assert len(list((tmp_path / "samples").rglob("*.parquet"))) > again.size().files
    again.erase(ErasedSamples.of([(HIS, 0.0, 2e9)]), at_s=NOW)
    assert {row for row, _ in rows_on_disk(tmp_path)} == {NEIGHBOUR, FAR}
    assert len(list((tmp_path / "samples").rglob("*.parquet"))) == again.size().files
    again.close()
