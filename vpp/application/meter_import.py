"""Import of metered 15-minute means from the operators' own systems."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from vpp.application.refusals import counting_refusals
from vpp.domain.errors import UnknownIdError
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, IntervalMemory
from vpp.runtime.observability import Metrics
from vpp.telemetry.table_gate import check_means

_PART_VALUES = 4_000_000
"""Values that one part of an import may hold, counting every row of each interval it touches."""


class MeterImport:
    """Stores metered means of some resources, all or none; values the gate refuses are counted.

    Args:
        clock: The only source of time.
        meters: Stores the means.
        index: Returns the fleet as it is.
        metrics: Counts refusals.
        imported: Called after an import with its grid: forecasts have more history, settlements late meters.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        meters: IntervalMemory,
        index: Callable[[], FleetIndex],
        metrics: Metrics,
        imported: Callable[[TimeGrid], None],
    ) -> None:
        self._clock = clock
        self._meters = meters
        self._index = index
        self._metrics = metrics
        self._imported = imported

    async def store(self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray) -> int:
        """Store means, kW, shape ``(len(resource_ids), grid.count)``, NaN where unknown; return the number of values.

        Raises:
            UnknownIdError: A resource is not registered.
            InputError: A value is not plausible.
        """
        index = self._index()
        unknown = next((i for i in resource_ids if i not in index.row_of), None)
        if unknown is not None:
            raise UnknownIdError("resource", unknown)
        rows = np.array([index.row_of[i] for i in resource_ids], dtype=np.int32)
        with counting_refusals(self._metrics, "history"):
            await asyncio.to_thread(check_means, index, grid, rows, mean_kw, now_s=self._clock.now_s())
        count = await asyncio.to_thread(self._store, grid, rows, mean_kw)
        self._imported(grid)
        return count

    def _store(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Store means a part at a time: every interval touched is a frame of the whole fleet in memory."""
        length, count = max(_PART_VALUES // max(len(self._index()), 1), 1), 0
        for first in range(0, grid.count, length):
            part = mean_kw[:, first : first + length]
            known = np.flatnonzero(~np.isnan(part).all(axis=0))
            if len(known):
                begin, end = int(known[0]), int(known[-1]) + 1
                start_s = grid.start_s + grid.step_s * (first + begin)
                some = TimeGrid(start_at=instant(start_s), step_s=grid.step_s, count=end - begin)
                count += self._meters.import_rows(some, rows, part[:, begin:end])
        return count
