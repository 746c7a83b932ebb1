"""Judged windows as columns: what was quoted for each, and what turned out to be deliverable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from numerics.arrays import IntArray
from vpp.domain.request import CITY
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.calendar import DayCalendar, day_number, numbered_day
from vpp.fleet.holidays import CHINA

Names = npt.NDArray[np.str_]
_DTYPES: Mapping[str, type[np.generic]] = {
    "area": np.str_,
    "learnt": np.bool_,
    **dict.fromkeys(("seed", "steps", "direction", "notice", "block"), np.int64),
}
"""Types of columns that are no powers or instants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedWindows:
    """Windows of one direction, area and notice each; columns of shape ``(n,)``, powers in kW.

    Attributes:
        seed: Seed of the city it is of.
        quoted_s: Epoch seconds of the quote.
        start_s: Epoch seconds of the begin.
        steps: Length in quarters of an hour.
        area: Id of the area, or the city's.
        direction: Position in `vpp.planning.calibration.cells.DIRECTIONS`.
        notice: Position in ``NOTICES`` there.
        block: Position in ``BLOCKS`` there.
        learnt: The law it was quoted by was learnt.
        p10_kw: Least p10 of its quarters of an hour, as quoted.
        p50_kw: Least p50.
        p90_kw: Least p90.
        normal10_kw: Least p10 by the normal law.
        normal90_kw: Least p90 by the normal law.
        expected_kw: Least expected power, which is p50 by the normal law.
        deliverable_kw: What the least quarter of an hour could have delivered.
    """

    seed: IntArray
    quoted_s: FloatArray
    start_s: FloatArray
    steps: IntArray
    area: Names
    direction: IntArray
    notice: IntArray
    block: IntArray
    learnt: BoolArray
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    normal10_kw: FloatArray
    normal90_kw: FloatArray
    expected_kw: FloatArray
    deliverable_kw: FloatArray

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def is_city(self) -> BoolArray:
        """Windows of the whole city."""
        return np.asarray(self.area == CITY)

    @property
    def day(self) -> IntArray:
        """Number of the local day in which each begins."""
        return np.asarray(day_number(self.start_s), dtype=np.int64)

    def day_types(self, calendar: DayCalendar = CHINA) -> Names:
        """Return the kind of day in which each begins."""
        days, place = np.unique(self.day, return_inverse=True)
        kinds = [calendar.day_type(numbered_day(int(day))).value for day in days.tolist()]
        return np.array(kinds, dtype=np.str_)[place]

    def chosen(self, these: BoolArray) -> Self:
        """Return some of the windows, shape ``(n,)``."""
        return type(self)(**{one.name: getattr(self, one.name)[these] for one in fields(self)})

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Return the windows of all parts."""
        some = parts or [cls.nothing()]
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in some]) for one in fields(cls)})

    @classmethod
    def nothing(cls) -> Self:
        """Return no windows."""
        return cls(**{one.name: np.zeros(0, dtype=_DTYPES.get(one.name, np.float64)) for one in fields(cls)})

    def write(self, path: Path) -> None:
        """Write a Parquet file; raises OSError."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        columns["area"] = pa.array(self.area.tolist(), type=pa.string()).dictionary_encode()
        pq.write_table(pa.table(columns), path, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote; raises OSError."""
        table = pq.read_table(path)
        columns = {one.name: table.column(one.name).to_numpy() for one in fields(cls) if one.name != "area"}
        return cls(**columns, area=np.array(table.column("area").to_pylist(), dtype=np.str_))
