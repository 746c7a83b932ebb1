"""Read-only views of columns: compiled code meets one type of array only."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Column = TypeVar("Column", bound=npt.NDArray[Any])


def read_only(column: Column) -> Column:
    """Return a view that cannot be written to, so that kernels are compiled for one type of column alone.

    A column that is not contiguous is copied: later writes to it do not show.
    """
    view: Any = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view  # type: ignore[no-any-return]
