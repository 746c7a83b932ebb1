"""Compaction of the telemetry store: hot samples into hours, hours into days, and the roll-ups beside them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vpp.domain.telemetry import RowArray
from vpp.storage.telemetry.files import BLOCK, DAY_S, ROW_GROUP, WRITING, Columns, minute_sums
from vpp.storage.telemetry.table import Change, File, FileTable

PARTITIONS = ("day", "span", "block")
"""Partition columns: UTC day since 1970; span of it; block of fleet rows, -1 for all."""
HOT = -1
"""Span (and block) of a file as it was written."""
WHOLE_DAY = 24
"""Span of a file of one day; lower ones are hours of the day."""
HOUR_S = 3600
ROLLUP = pa.schema(
    [
        pa.field("minute", pa.int64(), nullable=False),
        pa.field("area", pa.int32(), nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("power_kw", pa.float64(), nullable=False),
        pa.field("devices", pa.int32(), nullable=False),
    ]
)
"""Metered net power by minute since 1970, area and block, and the number of devices that reported."""
_ROLLUP_WRITING: Mapping[str, Any] = {"compression": "zstd", "compression_level": 3}
_SUB_BLOCKS = 4


class Compactor:
    """Rewrites the files of two tables; calls block and must not overlap.

    Replaced files are deleted one compaction later, when no query reads them any more.

    Args:
        samples: The samples, partitioned by ``PARTITIONS``.
        minutes: Their roll-ups, partitioned by day and span.
    """

    def __init__(self, samples: FileTable, minutes: FileTable) -> None:
        self._samples = samples
        self._minutes = minutes
        self._retired: list[tuple[FileTable, list[File]]] = []

    def hot_file(self, columns: Columns, day: int) -> File:
        """Write samples of one day as they come; the file is not part of the table yet."""
        return self._file(columns, day=day, span=HOT, block=HOT)

    def compact(self, area_of_row: RowArray, at_s: float) -> int:
        """Move hot samples to their hours and renew the roll-ups of these; return the number of samples.

        Args:
            area_of_row: Position of every fleet row's area, shape ``(n_resources,)``.
            at_s: Epoch seconds to stamp the commits with.
        """
        self.delete_replaced()
        days = sorted({f.part["day"] for f in self._samples.files(span=HOT)})
        return sum(self._compact_day(day, area_of_row, at_s) for day in days)

    def merge_days(self, *, before_s: float, at_s: float) -> int:
        """Join the hours of every day that ended before ``before_s`` into one file a block; return how many days."""
        last = int(before_s) // DAY_S
        days = sorted({f.part["day"] for f in self._samples.files() if 0 <= f.part["span"] < WHOLE_DAY})
        over = [day for day in days if day < last]
        for day in over:
            self._merge_day(day, at_s)
        return len(over)

    def retain(self, *, from_s: float, at_s: float) -> int:
        """Delete every day that ended before ``from_s``; return the number of samples."""
        first = int(from_s) // DAY_S
        deleted = [f for f in self._samples.files() if f.part["day"] < first]
        self._replace(self._samples, Change(removed=deleted), at_s)
        self._replace(self._minutes, Change(removed=[f for f in self._minutes.files() if f.part["day"] < first]), at_s)
        return sum(f.rows for f in deleted)

    def roll_up(
        self, part: tuple[int, int], blocks: Sequence[tuple[int, Columns]], area_of_row: RowArray, at_s: float
    ) -> None:
        """Make the roll-ups of a day and span anew for some blocks, from all samples of each; others stay."""
        day, span = part
        before = self._minutes.files(day=day, span=span)
        touched = [block for block, _ in blocks]
        tables = [_rollup_table(block, samples, area_of_row) for block, samples in blocks]
        for file in before:
            old = self._minutes.read(file)
            kept = ~np.isin(old.column("block").to_numpy(), touched)
            tables.append(old.filter(pa.array(kept)))
        table = pa.concat_tables(tables).combine_chunks()
        added = [self._minutes.write([table], {"day": day, "span": span}, **_ROLLUP_WRITING)]
        self._replace(self._minutes, Change(added=added, removed=before), at_s)

    def replace_samples(self, change: Change, at_s: float) -> None:
        """Commit a change of the samples, ``at_s`` epoch seconds; what it removes is deleted later."""
        self._replace(self._samples, change, at_s)

    def delete_replaced(self) -> None:
        """Delete the files that were replaced before this call: no query reads them any more."""
        retired, self._retired = self._retired, []
        for table, files in retired:
            table.delete(files)

    def _file(self, columns: Columns, **part: int) -> File:
        table = columns.clustered().table()
        return self._samples.write([table], part, row_group_size=ROW_GROUP, **WRITING)

    def _compact_day(self, day: int, area_of_row: RowArray, at_s: float) -> int:
        hot = self._samples.files(day=day, span=HOT)
        fresh = Columns.joined([Columns.from_table(self._samples.read(f)) for f in hot]).clustered()
        change = Change(removed=list(hot))
        merged = bool(self._samples.files(day=day, span=WHOLE_DAY))
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
            self.roll_up((day, span), blocks, area_of_row, at_s)
        self._replace(self._samples, change, at_s)
        return len(fresh)

    def _merge_day(self, day: int, at_s: float) -> None:
        hours = [f for f in self._samples.files(day=day) if 0 <= f.part["span"] < WHOLE_DAY]
        change = Change(removed=list(hours))
        for block in sorted({f.part["block"] for f in hours}):
            before = self._samples.files(day=day, span=WHOLE_DAY, block=block)
            change.removed += before
            sources = [*before, *(f for f in hours if f.part["block"] == block)]
            tables = self._merged(sources, block)
            part = {"day": day, "span": WHOLE_DAY, "block": block}
            change.added.append(self._samples.write(tables, part, row_group_size=ROW_GROUP, **WRITING))
        rolled = [f for f in self._minutes.files(day=day) if f.part["span"] != WHOLE_DAY]
        whole = self._minutes.files(day=day, span=WHOLE_DAY)
        if rolled:
            table = pa.concat_tables([self._minutes.read(f) for f in [*whole, *rolled]]).combine_chunks()
            added = [self._minutes.write([table], {"day": day, "span": WHOLE_DAY}, **_ROLLUP_WRITING)]
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


def _by_block(samples: Columns) -> Iterator[tuple[int, Columns]]:
    blocks = samples.row // BLOCK
    edges = np.flatnonzero(np.diff(blocks)) + 1
    for part in np.split(np.arange(len(samples)), edges) if len(samples) else ():
        yield int(blocks[part[0]]), samples.take(part)


def _by_span(samples: Columns, *, whole: bool) -> Iterator[tuple[int, Columns]]:
    if whole:
        yield WHOLE_DAY, samples
        return
    hours = samples.at_s % DAY_S // HOUR_S
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
        schema=ROLLUP,
    )
