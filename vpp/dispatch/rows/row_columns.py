"""Columns of the fleet's rows: growth with the fleet, and read-only views for readers that do not own them.

A table is a named tuple of arrays of shape ``(n_resources,)``, or of such tuples. Its owner alone holds the arrays that
can be written; numba compiles once for the read-only views and once for the owner's.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from numerics.views import read_only

Column = TypeVar("Column", bound=npt.NDArray[Any])
Columns = TypeVar("Columns", bound=tuple[Any, ...])


def repeated(blank: Columns, count: int) -> Columns:
    """Return a table of ``count`` rows that are all like ``blank``, a table with columns of shape ``(1,)``."""
    table: Any = type(blank)
    rows: Columns = table(*(repeated(one, count) if isinstance(one, tuple) else np.repeat(one, count) for one in blank))
    return rows


def grown(columns: Columns, blank: Columns, count: int) -> Columns:
    """Return a table lengthened to ``count`` rows, those that join like ``blank``; existing rows keep their values."""
    return _joined(columns, repeated(blank, max(0, count - _length(columns))))


def refilled(columns: Columns, blank: Columns, rows: npt.NDArray[np.int32]) -> None:
    """Make ``rows`` of a table that its owner can write like ``blank``."""
    for column, one in zip(columns, blank, strict=True):
        if isinstance(column, tuple):
            refilled(column, one, rows)
        else:
            column[rows] = one[0]


def views(columns: Columns) -> Columns:
    """Return the table with read-only columns over the same memory."""
    table: Any = type(columns)
    seen: Columns = table(*(views(one) if isinstance(one, tuple) else read_only(one) for one in columns))
    return seen


def tree_of(columns: tuple[Any, ...]) -> dict[str, Any]:
    """Return a table as nested mappings of its columns by name."""
    table: Any = columns
    return {
        name: tree_of(one) if isinstance(one, tuple) else one for name, one in zip(table._fields, columns, strict=True)
    }


def put_tree(columns: tuple[Any, ...], tree: Mapping[str, Any]) -> None:
    """Write what ``tree_of`` returned into the first rows of a table, as many as both have."""
    table: Any = columns
    for name, one in zip(table._fields, columns, strict=True):
        if isinstance(one, tuple):
            put_tree(one, tree[name])
        else:
            count = min(len(one), len(tree[name]))
            one[:count] = tree[name][:count]


def _joined(first: Columns, second: Columns) -> Columns:
    table: Any = type(first)
    both: Columns = table(
        *(
            _joined(one, other) if isinstance(one, tuple) else np.concatenate((one, other))
            for one, other in zip(first, second, strict=True)
        )
    )
    return both


def _length(columns: tuple[Any, ...]) -> int:
    first = columns[0]
    return _length(first) if isinstance(first, tuple) else len(first)
