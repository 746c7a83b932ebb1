"""Series of a fleet: rows followed one by one, and cohorts of rows followed together.

Buildings and plants have days of their own and are followed row by row. Which charger has a car is decided by few
people, so chargers of a large fleet are followed as cohorts behind their transformer, photovoltaics as one sky per
area, both per kW of nameplate. A city of 276,000 rows is some 18,000 series.
"""

from dataclasses import dataclass

import numpy as np

from forecasts.cohorts import SeriesCode, widening
from forecasts.row_powers import Membership
from numerics.arrays import FloatTable, IntArray
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.index import FleetIndex

ONE_BY_ONE_ROWS = 20_000
"""Fleets up to this size are followed row by row altogether."""
_CLASS_CODES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSeries:
    """Assignment of rows to series; single rows come first, then cohorts.

    Attributes:
        of_row: Series of every row, -1 for storage, which is planned, shape ``(n_resources,)``.
        weight: Factor from a series' value to a row's: its nameplate in a cohort, else 1, shape ``(n_resources,)``.
        single: Rows of the first series, one each.
        class_code: Class of every series, shape ``(k,)``.
        chargers: Which series are cohorts of chargers, shape ``(k,)``.
        widening: Square root of a cohort's effective number of rows, 1 for single rows: rows of a cohort err together,
            so each is given that much more spread than its share, shape ``(k,)``.
    """

    of_row: SeriesCode
    weight: FloatTable
    single: IntArray
    class_code: IntArray
    chargers: BoolArray
    widening: FloatArray

    def __len__(self) -> int:
        return len(self.class_code)

    @property
    def membership(self) -> Membership:
        """Series and weight of every row."""
        return Membership(self.of_row, self.weight)

    @classmethod
    def of(cls, index: FleetIndex) -> "LoadSeries":
        """Return the series of a fleet."""
        n = len(index)
        planned = index.is_class(ResourceClass.STORAGE)
        steady = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        alone = ~planned & (steady if n > ONE_BY_ONE_ROWS else np.ones(n, dtype=np.bool_))
        together = ~planned & ~alone
        single = np.flatnonzero(alone)
        place = np.where(index.is_class(ResourceClass.PV), index.area_code, index.transformer_code).astype(np.int64)
        key = place * _CLASS_CODES + index.class_code
        keys, cohort = np.unique(key[together], return_inverse=True)
        of_row = np.full(n, -1, dtype=np.int32)
        of_row[single] = np.arange(len(single))
        of_row[together] = len(single) + cohort
        nameplate = np.maximum(index.nameplate.p_max_kw, -index.nameplate.p_min_kw)
        weight = np.where(together, nameplate, 1.0)
        class_code = np.concatenate([index.class_code[single].astype(np.int64), keys % _CLASS_CODES])
        chargers = np.isin(class_code, np.unique(index.class_code[index.is_class(*CHARGING)]))
        chargers[: len(single)] = False
        return cls(
            of_row=of_row,
            weight=weight.astype(np.float32),
            single=single,
            class_code=class_code,
            chargers=chargers,
            widening=widening(of_row, weight, len(class_code)),
        )
