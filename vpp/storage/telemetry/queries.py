"""Queries on the telemetry store: history of a device, power by minute, and latest values, by DuckDB."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vpp.domain.telemetry import FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.storage.telemetry.compaction import HOT, HOUR_S, WHOLE_DAY
from vpp.storage.telemetry.files import BLOCK, DAY_S, Columns, minute_sums
from vpp.storage.telemetry.table import File, FileTable


class TelemetryQueries:
    """Queries on samples and roll-ups; calls block and may come from any thread.

    Args:
        samples: The samples.
        minutes: Their roll-ups.
    """

    def __init__(self, samples: FileTable, minutes: FileTable) -> None:
        self._samples = samples
        self._minutes = minutes
        self._area_of_row: RowArray = np.zeros(0, dtype=np.int32)
        self._database = duckdb.connect()
        self._database.execute("SET parquet_metadata_cache = true")

    def assign(self, area_of_row: RowArray) -> None:
        """Take the position of every fleet row's area, shape ``(n_resources,)``, for samples that are still hot."""
        self._area_of_row = area_of_row

    def close(self) -> None:
        """Close the query engine."""
        self._database.close()

    def history(self, row: int, *, from_s: float, to_s: float, quantity: Quantity | None = None) -> TelemetryBatch:
        """Return the samples of one device in ``[from_s, to_s)``, by quantity and time."""
        files = self._covering(int(from_s), int(to_s), block=row // BLOCK)
        wanted = f"row = {int(row)} AND at_s >= {int(np.ceil(from_s))} AND at_s < {int(np.ceil(to_s))}"
        if quantity is not None:
            wanted += f" AND quantity = {int(quantity)}"
        return self._columns(files, wanted).batch()

    def minutes(
        self, *, from_s: float, to_s: float, area: int | None = None, step_s: int = 60
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        """Return metered net power of an area, or of the city, load positive, by minute or by a longer step.

        Args:
            from_s: Epoch seconds of the first minute.
            to_s: Epoch seconds of the end.
            area: Position of the area; the city if none is named.
            step_s: Length of a step, a multiple of 60; longer ones hold the mean of their minutes.

        Returns:
            Epoch seconds at the start of every step that has samples, net power of the devices that reported in kW, and
            their mean number, shape ``(k,)`` each.
        """
        first, last = int(from_s) // 60, -(-int(to_s) // 60)
        keys, values = self._hot_minutes(int(from_s), int(to_s))
        parts = [f"SELECT minute, area, power_kw, devices FROM hot WHERE minute >= {first} AND minute < {last}"]  # noqa: S608 - numbers only
        files = [
            f for f in self._minutes.files() if from_s < (f.part["day"] + 1) * DAY_S and to_s > f.part["day"] * DAY_S
        ]
        cursor = self._database.cursor()
        cursor.register(
            "hot",
            pa.table({"minute": keys[:, 0], "area": keys[:, 1], "power_kw": values[:, 0], "devices": values[:, 1]}),
        )
        if files:
            source = self._source(cursor, self._minutes, files, "rolled")
            parts.append(
                f"SELECT minute, area, power_kw, devices FROM {source} WHERE minute >= {first} AND minute < {last}"  # noqa: S608 - numbers only
            )
        chosen = "" if area is None else f"WHERE area = {int(area)}"
        per_step = int(step_s) // 60
        table = cursor.execute(
            f"SELECT (minute // {per_step}) * {per_step * 60} AS start_s, avg(p) AS p, avg(n) AS n FROM ("  # noqa: S608 - numbers only
            f" SELECT minute, sum(power_kw) AS p, sum(devices) AS n FROM ({' UNION ALL '.join(parts)}) {chosen}"
            " GROUP BY minute) GROUP BY start_s ORDER BY start_s"
        ).fetchnumpy()
        return (
            np.asarray(table["start_s"], dtype=np.float64),
            np.asarray(table["p"], dtype=np.float64),
            np.rint(np.asarray(table["n"], dtype=np.float64)).astype(np.int64),
        )

    def latest(self, *, since_s: float, to_s: float) -> TelemetryBatch:
        """Return the last sample of every device and quantity in ``[since_s, to_s)``."""
        files = self._covering(int(since_s), int(to_s), block=None)
        if not files:
            return TelemetryBatch.of([])
        cursor = self._database.cursor()
        source = self._source(cursor, self._samples, files, "samples")
        found = cursor.execute(
            "SELECT row, quantity, max(at_s) AS at_s, arg_max(value, at_s) AS value"  # noqa: S608 - numbers only
            f" FROM {source} WHERE at_s >= {int(since_s)} AND at_s < {int(np.ceil(to_s))} GROUP BY row, quantity"
        ).fetchnumpy()
        return _from_numpy(found).clustered().batch()

    def _covering(self, from_s: int, to_s: int, *, block: int | None) -> list[File]:
        return [
            f
            for f in self._samples.files()
            if (block is None or f.part["block"] in {block, HOT})
            and _overlaps(f.part["day"], f.part["span"], from_s, to_s)
        ]

    def _columns(self, files: Sequence[File], wanted: str) -> Columns:
        """Return the samples that satisfy an SQL condition, clustered; of repeated ones that of the later file."""
        hot = [f for f in files if f.part["span"] == HOT]
        placed = [f for f in files if f.part["span"] != HOT]
        cursor = self._database.cursor()
        found = []
        for group in ([placed] if placed else []) + [[f] for f in hot]:
            source = self._source(cursor, self._samples, group, "samples")
            query = f"SELECT row, quantity, at_s, value FROM {source} WHERE {wanted}"  # noqa: S608 - numbers only
            found.append(_from_numpy(cursor.execute(query).fetchnumpy()))
        return Columns.joined(found).clustered()

    def _hot_minutes(self, from_s: int, to_s: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        hot = [f for f in self._covering(from_s, to_s, block=HOT) if f.part["span"] == HOT]
        parts = [Columns.from_table(self._samples.read(f)) for f in hot]
        return minute_sums(Columns.joined(parts).clustered(), self._area_of_row)

    def _source(self, cursor: Any, table: FileTable, files: Sequence[File], name: str) -> str:  # noqa: ANN401 - of DuckDB
        """Return the source for FROM: DuckDB's own reader for a folder, Arrow's for an object store."""
        paths = [table.path(f) for f in files]
        if table.is_local:
            quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            return f"read_parquet([{quoted}], hive_partitioning = false)"
        import pyarrow.dataset as ds  # noqa: PLC0415 - loads pandas, an eighth of all imports, which only this needs

        cursor.register(name, ds.dataset(paths, filesystem=table.filesystem, format="parquet", partitioning=None))
        return name


def _overlaps(day: int, span: int, from_s: int, to_s: int) -> bool:
    start_s, length_s = day * DAY_S, DAY_S
    if 0 <= span < WHOLE_DAY:
        start_s, length_s = start_s + span * HOUR_S, HOUR_S
    return start_s < to_s and start_s + length_s > from_s


def _from_numpy(found: Mapping[str, Any]) -> Columns:
    return Columns(
        row=np.asarray(found["row"], dtype=np.int32),
        quantity=np.asarray(found["quantity"], dtype=np.int8),
        at_s=np.asarray(found["at_s"], dtype=np.int64),
        value=np.asarray(found["value"], dtype=np.int64),
    )
