"""Tables of a simulated day as Parquet: areas, classes and transformers by the minute, and charging sessions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vpp.domain.telemetry import BoolArray, FloatArray, IdArray
from vpp.fleet.index import FleetIndex
from vpp.lab.simulate.recorder import GroupMinutes
from vpp.lab.twin.delivery_truth import ROUNDING_KW, above_limits_kw
from vpp.lab.twin.truth import SessionTruth, Truth
from vpp.lab.twin.worlds import ACTUAL, ORDINARY, PREPARED

_TIME = pa.timestamp("ms", tz="Asia/Shanghai")
_BATCH = 15
"""Minutes of all transformers that make one row group."""

RATIO_EDGES = np.linspace(0.0, 1.2, 25)
"""Bounds of the bands in which the loading of transformers is counted."""


class TransformerTable:
    """Writes every transformer's true load, minute by minute, and keeps the statistics of the verdict.

    Loads are of the actual world: the fleet's true power and the base load.

    Args:
        index: The fleet.
        path: The file; columns ``time, transformer, load_kw, limit_kw``.
        from_s: Epoch seconds of the first minute that counts.

    Attributes:
        violations: Pairs of transformer and minute above a limit, import or export, where the load of others alone is
            not.
        violations_without: The same in the prepared world.
        ours_minutes: Minutes of every transformer that are ``violations`` and further above than in the prepared world,
            without dispatch, shape ``(n_transformers,)``.
        base_violations: Pairs where the load of others alone is above the limit.
        overload_kw: Greatest kW above its limit of every transformer, shape ``(n_transformers,)``.
        peak_ratio: Greatest load as a share of the limit, shape ``(n_transformers,)``.
        histogram: Minutes of leaf transformers by band of ``RATIO_EDGES``, actual and without, shape ``(2, 24)``.
    """

    def __init__(self, index: FleetIndex, path: Path, *, from_s: float) -> None:
        count = len(index.transformers)
        self.violations = self.violations_without = self.base_violations = 0
        self.ours_minutes = np.zeros(count, dtype=np.int64)
        self.overload_kw: FloatArray = np.full(count, -np.inf)
        self.peak_ratio: FloatArray = np.zeros(count)
        self.histogram = np.zeros((2, len(RATIO_EDGES) - 1), dtype=np.int64)
        self._from_s = from_s
        self._limit_kw, self._export_kw = index.feeders.limit_kw, index.feeders.export_limit_kw
        self._leaf: BoolArray = ~np.isin(np.arange(count), index.feeders.parent)
        self._names = pa.array([t.id for t in index.transformers], type=pa.string())
        self._pending: list[tuple[float, npt.NDArray[np.float32]]] = []
        self._schema = pa.schema(
            {
                "time": _TIME,
                "transformer": pa.dictionary(pa.int32(), pa.string()),
                "load_kw": pa.float32(),
                "limit_kw": pa.float32(),
            }
        )
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["time", "transformer", "limit_kw"],
            column_encoding={"load_kw": "BYTE_STREAM_SPLIT"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, begin_s: float, load_kw: FloatArray, base_kw: FloatArray) -> None:
        """Take a minute's mean loads: in both worlds, shape ``(2, n_transformers)``, and that of others alone."""
        if begin_s < self._from_s:
            return
        above_kw = above_limits_kw(load_kw, self._limit_kw, self._export_kw)
        others = base_kw > self._limit_kw + ROUNDING_KW
        self.base_violations += int(np.count_nonzero(others))
        above_kw[:, others] = np.minimum(above_kw[:, others], 0.0)
        self.violations += int(np.count_nonzero(above_kw[ACTUAL] > 0.0))
        further = above_kw[ACTUAL] > np.maximum(above_kw[PREPARED], 0.0) + ROUNDING_KW
        self.ours_minutes += further
        self.violations_without += int(np.count_nonzero(above_kw[PREPARED] > 0.0))
        np.maximum(self.overload_kw, above_kw[ACTUAL], out=self.overload_kw)
        ratio = np.where(load_kw >= 0.0, load_kw / self._limit_kw, -load_kw / self._export_kw)
        np.maximum(self.peak_ratio, ratio[ACTUAL], out=self.peak_ratio)
        for world in (ACTUAL, PREPARED):
            self.histogram[world] += np.histogram(ratio[world, self._leaf], RATIO_EDGES)[0]
        self._pending.append((begin_s, load_kw[ACTUAL].astype(np.float32)))
        if len(self._pending) == _BATCH:
            self._flush()

    @property
    def violations_ours(self) -> int:
        """Return the sum of ``ours_minutes``."""
        return int(self.ours_minutes.sum())

    def ours(self, index: FleetIndex) -> dict[str, int]:
        """Return the minutes of every transformer that dispatch brought further above its limit."""
        return {index.transformers[i].id: int(self.ours_minutes[i]) for i in np.flatnonzero(self.ours_minutes)}

    def overloads(self, index: FleetIndex) -> dict[str, float]:
        """Return every transformer that was above its limit, and the greatest kW."""
        return {index.transformers[i].id: float(self.overload_kw[i]) for i in np.flatnonzero(self.overload_kw > 0.0)}

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._pending:
            return
        count, minutes = len(self._names), len(self._pending)
        codes = np.tile(np.arange(count, dtype=np.int32), minutes)
        table = pa.table(
            {
                "time": _times(np.repeat([at_s for at_s, _ in self._pending], count)),
                "transformer": pa.DictionaryArray.from_arrays(codes, self._names),
                "load_kw": np.concatenate([load for _, load in self._pending]),
                "limit_kw": np.tile(self._limit_kw.astype(np.float32), minutes),
            },
            schema=self._schema,
        )
        self._writer.write_table(table)
        self._pending.clear()


def write_intervals(path: Path, minutes: GroupMinutes, truth: Truth) -> None:
    """Write one row a minute and area; minutes that were not metered are left out.

    Columns: ``time, area``; the net loads ``baseline_kw, measured_kw`` of the service; the true ones of three worlds,
    ``actual_kw, prepared_kw, ordinary_kw``, of which the second also has its former name ``counterfactual_kw``; and
    regulation, positive up: ``target_kw, delivered_kw``.
    """
    worlds_kw = [true_minutes(minutes.start_s, truth, world) for world in (ACTUAL, PREPARED, ORDINARY)]
    columns = _columns(minutes, worlds_kw) | {"counterfactual_kw": worlds_kw[PREPARED], "target_kw": minutes.target_kw}
    _write_minutes(path, "area", minutes, columns)


def write_classes(path: Path, minutes: GroupMinutes, truth: Truth) -> None:
    """Write one row a minute and resource class of the whole city; minutes that were not metered are left out.

    Columns: ``time, class``; the net loads ``baseline_kw, measured_kw`` of the service; the true ones of three worlds,
    ``actual_kw, prepared_kw, ordinary_kw``; and regulation as settled, positive up: ``delivered_kw``. What was truly
    delivered is ``prepared_kw`` less ``actual_kw``.
    """
    worlds_kw = [_at_minutes(minutes.start_s, truth, truth.class_kw[world]) for world in (ACTUAL, PREPARED, ORDINARY)]
    _write_minutes(path, "class", minutes, _columns(minutes, worlds_kw))


def _columns(minutes: GroupMinutes, worlds_kw: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """Return what both tables have, each of shape ``(n_minutes, n_groups)``."""
    return {
        "baseline_kw": minutes.baseline_kw,
        "measured_kw": minutes.measured_kw,
        "actual_kw": worlds_kw[ACTUAL],
        "prepared_kw": worlds_kw[PREPARED],
        "ordinary_kw": worlds_kw[ORDINARY],
        "delivered_kw": minutes.delivered_kw,
    }


def _write_minutes(path: Path, name: str, minutes: GroupMinutes, columns: Mapping[str, FloatArray]) -> None:
    seen = np.isfinite(minutes.measured_kw[:, 0]) & np.isfinite(columns["prepared_kw"][:, 0])
    table = {
        "time": _times(np.repeat(minutes.start_s[seen], len(minutes.groups))),
        name: pa.array(list(minutes.groups) * int(seen.sum())).dictionary_encode(),
        **{name: values[seen].ravel() for name, values in columns.items()},
    }
    pq.write_table(pa.table(table), path, compression="zstd")


def true_minutes(start_s: FloatArray, truth: Truth, world: int) -> FloatArray:
    """Return the true net load of the city and every area in a world, NaN outside the record.

    Shape ``(len(start_s), n_areas + 1)``.
    """
    by_area = np.concatenate((truth.city_kw[world][:, None], truth.area_kw[world]), axis=1)
    return _at_minutes(start_s, truth, by_area)


def _at_minutes(start_s: FloatArray, truth: Truth, samples_kw: FloatArray) -> FloatArray:
    """Return samples by the minutes they began at, NaN in others, shape ``(len(start_s), n_groups)``."""
    at = np.searchsorted(truth.start_s, start_s)
    known = at < len(truth.start_s)
    known[known] = truth.start_s[at[known]] == start_s[known]
    table = np.full((len(start_s), samples_kw.shape[1]), np.nan)
    table[known] = samples_kw[at[known]]
    return table


def write_sessions(path: Path, sessions: SessionTruth, index: FleetIndex, *, from_s: float, until_s: float) -> int:
    """Write the sessions that ended in ``(from_s, until_s]`` and return their number.

    Columns: ``id, arrive_at, depart_at, need_kwh, promised_kwh, delivered_kwh``; energies are at the plug, net where
    cars feed in.
    """
    chosen = np.flatnonzero(sessions.finished & (sessions.depart_s > from_s) & (sessions.depart_s <= until_s))
    rows, numbers = sessions.rows[chosen].tolist(), sessions.numbers[chosen].tolist()
    table: Mapping[str, Any] = {
        "id": [f"{index.resources[row].id}:{number}" for row, number in zip(rows, numbers, strict=True)],
        "arrive_at": _times(sessions.arrive_s[chosen]),
        "depart_at": _times(sessions.depart_s[chosen]),
        "need_kwh": sessions.need_kwh[chosen],
        "promised_kwh": sessions.promised_kwh[chosen],
        "delivered_kwh": sessions.delivered_kwh[ACTUAL, chosen],
    }
    pq.write_table(pa.table(table), path, compression="zstd")
    return len(chosen)


def _times(at_s: FloatArray) -> pa.Array:
    milliseconds: IdArray = np.rint(np.asarray(at_s) * 1000.0).astype(np.int64)
    return pa.array(milliseconds, type=pa.int64()).cast(_TIME)
