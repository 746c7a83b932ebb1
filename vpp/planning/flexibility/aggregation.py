"""Groups of rows that every sum treats alike: a question about a city costs as much as one about its feeders.

A group is one combination of transformer, area, class, operator and adapter. All that a quote or a declaration sums
over rows is summed into groups once; areas, caps, merit order and correlated loss are then sums over groups.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray, IntArray
from vpp.domain.telemetry import BoolArray
from vpp.fleet.index import FleetIndex

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """Group of every row, and the properties of every group.

    Attributes:
        of_row: Group of every row, shape ``(n_resources,)``.
        node: Transformer of every group, shape ``(n_groups,)``; so are the other columns.
        area: Area.
        class_code: Position in ``CLASSES``.
        operator: Operator.
        adapter: Position in ``ADAPTERS``.
    """

    of_row: Codes
    node: IntArray
    area: IntArray
    class_code: IntArray
    operator: IntArray
    adapter: IntArray

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def of(cls, index: FleetIndex) -> "Aggregation":
        """Return the groups of a fleet."""
        columns = _columns(index)
        sizes = [int(column.max(initial=0)) + 1 for column in columns]
        key = np.zeros(len(index), dtype=np.int64)
        for column, size in zip(columns, sizes, strict=True):
            key = key * size + column
        _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
        return cls._built(columns, first, of_row)

    @classmethod
    def single(cls, index: FleetIndex) -> "Aggregation":
        """Return one group a row, for questions about single rows."""
        rows = np.arange(len(index))
        return cls._built(_columns(index), rows, rows)

    @classmethod
    def _built(
        cls, columns: tuple[IntArray, ...], first: npt.NDArray[np.intp], of_row: npt.NDArray[np.intp]
    ) -> "Aggregation":
        node, area, class_code, operator, adapter = (column[first] for column in columns)
        return cls(
            of_row=of_row.astype(np.int32),
            node=node,
            area=area,
            class_code=class_code,
            operator=operator,
            adapter=adapter,
        )

    def inside(self, chosen: BoolArray) -> BoolArray:
        """Return the groups that hold any of the rows ``chosen``, shape ``(n_groups,)``."""
        return np.asarray(np.bincount(self.of_row[chosen], minlength=len(self)) > 0)


def _columns(index: FleetIndex) -> tuple[IntArray, ...]:
    codes = (index.transformer_code, index.area_code, index.class_code, index.operator_code, index.adapter_code)
    return tuple(code.astype(np.int64) for code in codes)


def summed(values: FloatArray, code: IntArray, count: int) -> FloatArray:
    """Return the sums of ``values`` over equal ``code`` along the first axis, shape ``(count, ...)``."""
    total = np.zeros((count, *values.shape[1:]))
    if not len(values):
        return total
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    total[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return total
