"""Telemetry store: all samples of the retention period in columnar files of a Delta table, queried with DuckDB.

A write goes into a small file of its own ("hot"). ``compact`` moves hot samples into files of 8,192 fleet rows and one
hour, sorted by device; ``merge_days`` joins the hours of a day that is over. Of several samples for one device,
quantity and second the one that was written last counts, whenever it comes. Roll-ups by minute and area are kept in a
second table and made anew wherever a compaction changes samples.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from vpp.domain.telemetry import FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.storage.telemetry.files import BLOCK, DAY_S, ROW_GROUP, SCHEMA, WRITING, Columns, day_of, minute_sums
from vpp.storage.telemetry.table import Change, File, FileTable

_HOT = -1
_WHOLE_DAY = 24
_HOUR_S = 3600
_PARTS = ("day", "span", "block")
"""Partition columns: UTC day since 1970; hour of day, 24 for all of it, -1 for hot; block of fleet rows, -1 for all."""
_ROLLUP = pa.schema(
    [
        pa.field("minute", pa.int64(), nullable=False),
        pa.field("area", pa.int32(), nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("power_kw", pa.float64(), nullable=False),
        pa.field("devices", pa.int32(), nullable=False),
    ]
)
_ROLLUP_WRITING: Mapping[str, Any] = {"compression": "zstd", "compression_level": 3}
_SUB_BLOCKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    """Size of the store: files, samples (``rows``) and bytes, and the number of hot files."""

    files: int
    rows: int
    size_bytes: int
    hot_files: int


class TelemetryStore:
    """Samples by device and time; implements ``vpp.ports.TelemetryHistory``.

    Calls block and may come from any thread; writing calls take turns. Only one process may write.

    Args:
        url: Folder, or URL of an object store.
        options: Of the object store, as `deltalake` takes them.

    Raises:
        ConfigurationError: There is no table at ``url`` and none can be made.
    """

    def __init__(self, url: str, *, options: Mapping[str, str] | None = None) -> None:
        root = url.rstrip("/")
        self._samples = FileTable(f"{root}/samples", schema=SCHEMA, partition_by=_PARTS, options=options)
        self._minutes = FileTable(f"{root}/minutes", schema=_ROLLUP, partition_by=_PARTS[:2], options=options)
        self._area_of_row: RowArray = np.zeros(0, dtype=np.int32)
        self._retired: list[tuple[FileTable, list[File]]] = []
        self._turn = threading.Lock()
        self._database = duckdb.connect()
        self._database.execute("SET parquet_metadata_cache = true")

    @property
    def mark(self) -> int:
        """The highest mark that was written; samples written with it or before are durable."""
        return self._samples.mark()

    def assign(self, area_of_row: RowArray) -> None:
        """Take the position of every fleet row's area, shape ``(n_resources,)``, for roll-ups made from now on."""
        self._area_of_row = area_of_row

    def size(self) -> StoreSize:
        """Return the size of the samples."""
        files = self._samples.files()
        return StoreSize(
            files=len(files),
            rows=sum(f.rows for f in files),
            size_bytes=sum(f.size for f in files),
            hot_files=len(self._samples.files(span=_HOT)),
        )

    def rollup_bytes(self) -> int:
        """Return the bytes of the roll-ups."""
        return sum(f.size for f in self._minutes.files())

    def close(self) -> None:
        """Close the query engine."""
        self._database.close()

    def write(self, batches: Sequence[TelemetryBatch], *, at_s: float, mark: int | None = None) -> int:
        """Make samples durable, all or none, together with ``mark``; return the number of samples kept.

        Raises:
            OSError: They could not be written; writing them again is safe.
        """
        columns = Columns.joined([Columns.of(batch) for batch in batches])
        days = day_of(columns.at_s)
        with self._turn:
            change = Change(
                added=[
                    self._file(columns.take(days == day), day=int(day), span=_HOT, block=_HOT)
                    for day in np.unique(days)
                ]
            )
            if change.added or mark is not None:
                self._samples.commit(change, at_s=at_s, mark=mark)
        return len(columns)

    def compact(self, *, at_s: float) -> int:
        """Move hot samples to their hours and renew the roll-ups of these; return the number of samples."""
        count = 0
        with self._turn:
            self._delete_retired()
            for day in sorted({f.part["day"] for f in self._samples.files(span=_HOT)}):
                count += self._compact_day(day, at_s)
        return count

    def merge_days(self, *, before_s: float, at_s: float) -> int:
        """Join the hours of every day that ended before ``before_s`` into one file a block; return how many days."""
        last = int(before_s) // DAY_S
        days = {f.part["day"] for f in self._samples.files() if 0 <= f.part["span"] < _WHOLE_DAY}
        with self._turn:
            for day in sorted(day for day in days if day < last):
                self._merge_day(day, at_s)
        return sum(day < last for day in days)

    def retain(self, *, from_s: float, at_s: float) -> int:
        """Delete every day that ended before ``from_s``; return the number of samples."""
        first = int(from_s) // DAY_S
        with self._turn:
            forgotten = [f for f in self._samples.files() if f.part["day"] < first]
            self._replace(self._samples, Change(removed=forgotten), at_s)
            old = [f for f in self._minutes.files() if f.part["day"] < first]
            self._replace(self._minutes, Change(removed=old), at_s)
        return sum(f.rows for f in forgotten)

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

    def _file(self, columns: Columns, **part: int) -> File:
        table = columns.clustered().table()
        return self._samples.write([table], part, row_group_size=ROW_GROUP, **WRITING)

    def _compact_day(self, day: int, at_s: float) -> int:
        hot = self._samples.files(day=day, span=_HOT)
        fresh = Columns.joined([Columns.from_table(self._samples.read(f)) for f in hot]).clustered()
        change = Change(removed=list(hot))
        merged = bool(self._samples.files(day=day, span=_WHOLE_DAY))
        sums: dict[int, list[tuple[int, Columns]]] = {}
        for block, samples in _by_block(fresh):
            for span, part in _by_span(samples, whole=merged):
                before = self._samples.files(day=day, span=span, block=block)
                old = [Columns.from_table(self._samples.read(f)) for f in before]
                together = Columns.joined([*old, part]).clustered() if old else part
                change.added.append(self._file(together, day=day, span=span, block=block))
                change.removed += before
                sums.setdefault(span, []).append((block, together))
        # Roll-ups first: after a stop in between the next compaction makes them again.
        for span, blocks in sums.items():
            self._roll_up(day, span, blocks, at_s)
        self._replace(self._samples, change, at_s)
        return len(fresh)

    def _roll_up(self, day: int, span: int, blocks: Sequence[tuple[int, Columns]], at_s: float) -> None:
        before = self._minutes.files(day=day, span=span)
        touched = [block for block, _ in blocks]
        tables = [_rollup_table(block, samples, self._area_of_row) for block, samples in blocks]
        for file in before:
            old = self._minutes.read(file)
            kept = ~np.isin(old.column("block").to_numpy(), touched)
            tables.append(old.filter(pa.array(kept)))
        table = pa.concat_tables(tables).combine_chunks()
        added = [self._minutes.write([table], {"day": day, "span": span}, **_ROLLUP_WRITING)]
        self._replace(self._minutes, Change(added=added, removed=before), at_s)

    def _merge_day(self, day: int, at_s: float) -> None:
        hours = [f for f in self._samples.files(day=day) if 0 <= f.part["span"] < _WHOLE_DAY]
        change = Change(removed=list(hours))
        for block in sorted({f.part["block"] for f in hours}):
            before = self._samples.files(day=day, span=_WHOLE_DAY, block=block)
            change.removed += before
            sources = [*before, *(f for f in hours if f.part["block"] == block)]
            tables = self._merged(sources, block)
            part = {"day": day, "span": _WHOLE_DAY, "block": block}
            change.added.append(self._samples.write(tables, part, row_group_size=ROW_GROUP, **WRITING))
        rolled = [f for f in self._minutes.files(day=day) if f.part["span"] != _WHOLE_DAY]
        whole = self._minutes.files(day=day, span=_WHOLE_DAY)
        if rolled:
            table = pa.concat_tables([self._minutes.read(f) for f in [*whole, *rolled]]).combine_chunks()
            added = [self._minutes.write([table], {"day": day, "span": _WHOLE_DAY}, **_ROLLUP_WRITING)]
            self._replace(self._minutes, Change(added=added, removed=[*whole, *rolled]), at_s)
        self._replace(self._samples, change, at_s)

    def _merged(self, sources: Sequence[File], block: int) -> Iterator[pa.Table]:
        """Iterate a block's samples of a day, some fleet rows at a time, so that memory stays bounded."""
        width = BLOCK // _SUB_BLOCKS
        for first in range(block * BLOCK, (block + 1) * BLOCK, width):
            wanted = [("row", ">=", first), ("row", "<", first + width)]
            parts = [Columns.from_table(self._samples.read(f, filters=wanted)) for f in sources]
            columns = Columns.joined(parts).clustered()
            if len(columns):
                yield columns.table()

    def _replace(self, table: FileTable, change: Change, at_s: float) -> None:
        if change.added or change.removed:
            table.commit(change, at_s=at_s)
            self._retired.append((table, change.removed))

    def _delete_retired(self) -> None:
        """Delete the files that the compaction before this one replaced: no query reads them any more."""
        retired, self._retired = self._retired, []
        for table, files in retired:
            table.delete(files)

    def _covering(self, from_s: int, to_s: int, *, block: int | None) -> list[File]:
        return [
            f
            for f in self._samples.files()
            if (block is None or f.part["block"] in {block, _HOT})
            and _overlaps(f.part["day"], f.part["span"], from_s, to_s)
        ]

    def _columns(self, files: Sequence[File], wanted: str) -> Columns:
        """Return the samples that satisfy an SQL condition, clustered; of repeated ones that of the later file."""
        hot = [f for f in files if f.part["span"] == _HOT]
        placed = [f for f in files if f.part["span"] != _HOT]
        cursor = self._database.cursor()
        found = []
        for group in ([placed] if placed else []) + [[f] for f in hot]:
            source = self._source(cursor, self._samples, group, "samples")
            query = f"SELECT row, quantity, at_s, value FROM {source} WHERE {wanted}"  # noqa: S608 - numbers only
            found.append(_from_numpy(cursor.execute(query).fetchnumpy()))
        return Columns.joined(found).clustered()

    def _hot_minutes(self, from_s: int, to_s: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        hot = [f for f in self._covering(from_s, to_s, block=_HOT) if f.part["span"] == _HOT]
        parts = [Columns.from_table(self._samples.read(f)) for f in hot]
        return minute_sums(Columns.joined(parts).clustered(), self._area_of_row)

    def _source(self, cursor: Any, table: FileTable, files: Sequence[File], name: str) -> str:  # noqa: ANN401 - of DuckDB
        """Return the source for FROM: DuckDB's own reader for a folder, Arrow's for an object store."""
        paths = [table.path(f) for f in files]
        if table.is_local:
            quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            return f"read_parquet([{quoted}], hive_partitioning = false)"
        cursor.register(name, ds.dataset(paths, filesystem=table.filesystem, format="parquet", partitioning=None))
        return name


def _by_block(samples: Columns) -> Iterator[tuple[int, Columns]]:
    blocks = samples.row // BLOCK
    edges = np.flatnonzero(np.diff(blocks)) + 1
    for part in np.split(np.arange(len(samples)), edges) if len(samples) else ():
        yield int(blocks[part[0]]), samples.take(part)


def _by_span(samples: Columns, *, whole: bool) -> Iterator[tuple[int, Columns]]:
    if whole:
        yield _WHOLE_DAY, samples
        return
    hours = samples.at_s % DAY_S // _HOUR_S
    for hour in np.unique(hours):
        yield int(hour), samples.take(hours == hour)


def _rollup_table(block: int, samples: Columns, area_of_row: RowArray) -> pa.Table:
    keys, values = minute_sums(samples, area_of_row)
    return pa.Table.from_arrays(
        [
            keys[:, 0],
            keys[:, 1].astype(np.int32),
            np.full(len(keys), block, dtype=np.int32),
            values[:, 0],
            values[:, 1].astype(np.int32),
        ],
        schema=_ROLLUP,
    )


def _overlaps(day: int, span: int, from_s: int, to_s: int) -> bool:
    start_s, length_s = day * DAY_S, DAY_S
    if 0 <= span < _WHOLE_DAY:
        start_s, length_s = start_s + span * _HOUR_S, _HOUR_S
    return start_s < to_s and start_s + length_s > from_s


def _from_numpy(found: Mapping[str, Any]) -> Columns:
    return Columns(
        row=np.asarray(found["row"], dtype=np.int32),
        quantity=np.asarray(found["quantity"], dtype=np.int8),
        at_s=np.asarray(found["at_s"], dtype=np.int64),
        value=np.asarray(found["value"], dtype=np.int64),
    )
