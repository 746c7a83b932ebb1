"""Erasure of samples in the telemetry store: files written again without them, roll-ups made anew of what is left."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from vpp.domain.telemetry import BoolArray, RowArray
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.storage.telemetry.compaction import HOT, Compactor
from vpp.storage.telemetry.files import BLOCK, DAY_S, ROW_GROUP, WRITING, Columns
from vpp.storage.telemetry.table import Change, File, FileTable

_ROUNDING_S = 1.0
"""Instants are stored as whole seconds: what lies so near to an erased window goes with it."""


class SampleErasure:
    """Erases samples of a store that nobody reads or writes meanwhile; calls block.

    Roll-ups are renewed before the samples go, so that a stop in between leaves an erasure that can be made again.

    Args:
        samples: The samples.
        compactor: Of the same store.
    """

    def __init__(self, samples: FileTable, compactor: Compactor) -> None:
        self._samples = samples
        self._compactor = compactor

    def erase(self, erased: ErasedSamples, area_of_row: RowArray, at_s: float) -> int:
        """Erase samples; return how many.

        Args:
            erased: Rows and times.
            area_of_row: Position of every fleet row's area, shape ``(n_rows,)``.
            at_s: Epoch seconds to stamp the commits with.
        """
        rows, count = erased.rows, 0
        for day in sorted({f.part["day"] for f in self._samples.files()}):
            if not len(erased.rows_in(day * DAY_S - _ROUNDING_S, (day + 1) * DAY_S + _ROUNDING_S)):
                continue
            touched = [f for f in self._samples.files(day=day) if self._holds(f, rows, erased)]
            self._renew_roll_ups(day, touched, erased, area_of_row, at_s)
            change = Change(removed=touched)
            for file in touched:
                left = self._written_again(file, erased)
                count += file.rows - (0 if left is None else left.rows)
                change.added += [] if left is None else [left]
            self._compactor.replace_samples(change, at_s)
        return count

    def _holds(self, file: File, rows: Sequence[int], erased: ErasedSamples) -> bool:
        blocks = {row // BLOCK for row in rows}
        if file.part["block"] not in {HOT, *blocks}:
            return False
        table = self._samples.read(file, filters=[("row", "in", list(rows))])
        return bool(_erased(Columns.from_table(table), erased).any())

    def _renew_roll_ups(
        self, day: int, touched: Sequence[File], erased: ErasedSamples, area_of_row: RowArray, at_s: float
    ) -> None:
        for span in sorted({f.part["span"] for f in touched if f.part["span"] != HOT}):
            blocks = sorted({f.part["block"] for f in touched if f.part["span"] == span})
            left = [(block, self._left_in(day, span, block, erased)) for block in blocks]
            self._compactor.roll_up((day, span), left, area_of_row, at_s)

    def _left_in(self, day: int, span: int, block: int, erased: ErasedSamples) -> Columns:
        files = self._samples.files(day=day, span=span, block=block)
        parts = [Columns.from_table(self._samples.read(file)) for file in files]
        return Columns.joined([part.take(~_erased(part, erased)) for part in parts]).clustered()

    def _written_again(self, file: File, erased: ErasedSamples) -> File | None:
        """Return the file that takes the place of one, ``None`` where nothing is left of it."""
        written = self._samples.write(self._left_of(file, erased), file.part, row_group_size=ROW_GROUP, **WRITING)
        if written.rows:
            return written
        self._samples.delete([written])
        return None

    def _left_of(self, file: File, erased: ErasedSamples) -> Iterator[pa.Table]:
        for table in self._samples.row_groups(file):
            columns = Columns.from_table(table)
            left = columns.take(~_erased(columns, erased))
            if len(left):
                yield left.table()


def _erased(columns: Columns, erased: ErasedSamples) -> BoolArray:
    at_s = columns.at_s.astype(np.float64)
    found = np.zeros(len(columns), dtype=np.bool_)
    for shift_s in (-_ROUNDING_S, 0.0, _ROUNDING_S):
        found |= erased.covers(columns.row, at_s + shift_s)
    return found
