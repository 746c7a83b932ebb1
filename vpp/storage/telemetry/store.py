"""Telemetry store: all samples of the retention period in columnar files of a Delta table, queried with DuckDB.

A write goes into a small file of its own ("hot"). ``compact`` moves hot samples into files of 8,192 fleet rows and one
hour, sorted by device; ``merge_days`` joins the hours of a day that is over. Of several samples for one device,
quantity and second the one that was written last counts, whenever it comes. Roll-ups by minute and area are kept in a
second table and made anew wherever a compaction changes samples.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vpp.domain.telemetry import FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.storage.telemetry.compaction import HOT, PARTITIONS, ROLLUP, Compactor
from vpp.storage.telemetry.erasure import SampleErasure
from vpp.storage.telemetry.files import SCHEMA, Columns, day_of
from vpp.storage.telemetry.queries import TelemetryQueries
from vpp.storage.telemetry.table import Change, FileTable


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
        self._samples = FileTable(f"{root}/samples", schema=SCHEMA, partition_by=PARTITIONS, options=options)
        self._minutes = FileTable(f"{root}/minutes", schema=ROLLUP, partition_by=PARTITIONS[:2], options=options)
        self._compactor = Compactor(self._samples, self._minutes)
        self._queries = TelemetryQueries(self._samples, self._minutes)
        self._area_of_row: RowArray = np.zeros(0, dtype=np.int32)
        self._turn = threading.Lock()

    @property
    def mark(self) -> int:
        """The highest mark that was written; samples written with it or before are durable."""
        return self._samples.mark()

    def assign(self, area_of_row: RowArray) -> None:
        """Take the position of every fleet row's area, shape ``(n_resources,)``, for roll-ups made from now on."""
        self._area_of_row = area_of_row
        self._queries.assign(area_of_row)

    def size(self) -> StoreSize:
        """Return the size of the samples."""
        files = self._samples.files()
        return StoreSize(
            files=len(files),
            rows=sum(f.rows for f in files),
            size_bytes=sum(f.size for f in files),
            hot_files=len(self._samples.files(span=HOT)),
        )

    def rollup_bytes(self) -> int:
        """Return the bytes of the roll-ups."""
        return sum(f.size for f in self._minutes.files())

    def close(self) -> None:
        """Close the query engine."""
        self._queries.close()

    def write(self, batches: Sequence[TelemetryBatch], *, at_s: float, mark: int | None = None) -> int:
        """Make samples durable, all or none, together with ``mark``; return the number of samples kept.

        Raises:
            OSError: They could not be written; writing them again is safe.
        """
        columns = Columns.joined([Columns.of(batch) for batch in batches])
        days = day_of(columns.at_s)
        with self._turn:
            change = Change(
                added=[self._compactor.hot_file(columns.take(days == day), int(day)) for day in np.unique(days)]
            )
            if change.added or mark is not None:
                self._samples.commit(change, at_s=at_s, mark=mark)
        return len(columns)

    def compact(self, *, at_s: float) -> int:
        """Move hot samples to their hours and renew the roll-ups of these; return the number of samples."""
        with self._turn:
            return self._compactor.compact(self._area_of_row, at_s)

    def merge_days(self, *, before_s: float, at_s: float) -> int:
        """Join the hours of every day that ended before ``before_s`` into one file a block; return how many days."""
        with self._turn:
            return self._compactor.merge_days(before_s=before_s, at_s=at_s)

    def retain(self, *, from_s: float, at_s: float) -> int:
        """Delete every day that ended before ``from_s``; return the number of samples."""
        with self._turn:
            return self._compactor.retain(from_s=from_s, at_s=at_s)

    def erase(self, erased: ErasedSamples, *, at_s: float) -> int:
        """Erase samples and what roll-ups say of them, in files as in the table; return how many.

        Nobody may read meanwhile: replaced files are deleted at once, and so are all that are no part of the tables.
        """
        with self._turn:
            # A compaction that was cut short has made roll-ups of samples that are still hot.
            self._compactor.compact(self._area_of_row, at_s)
            count = SampleErasure(self._samples, self._compactor).erase(erased, self._area_of_row, at_s)
            self._compactor.delete_replaced()
            self._samples.sweep()
            self._minutes.sweep()
            return count

    def history(self, row: int, *, from_s: float, to_s: float, quantity: Quantity | None = None) -> TelemetryBatch:
        """Return the samples of one device in ``[from_s, to_s)``, by quantity and time."""
        return self._queries.history(row, from_s=from_s, to_s=to_s, quantity=quantity)

    def minutes(
        self, *, from_s: float, to_s: float, area: int | None = None, step_s: int = 60
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        """Return metered net power by minute or a longer step; see ``TelemetryQueries.minutes``."""
        return self._queries.minutes(from_s=from_s, to_s=to_s, area=area, step_s=step_s)

    def latest(self, *, since_s: float, to_s: float) -> TelemetryBatch:
        """Return the last sample of every device and quantity in ``[since_s, to_s)``."""
        return self._queries.latest(since_s=since_s, to_s=to_s)
