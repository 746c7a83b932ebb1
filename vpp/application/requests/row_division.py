"""Division of rows between two requests: an even part of every area, class and size."""

import numpy as np

from vpp.domain.telemetry import BoolArray
from vpp.fleet.fleet_state import FleetState

_ROUNDING = 1e-9


def even_part(rows: BoolArray, ratio: float, state: FleetState) -> BoolArray:
    """Return which of some rows make up a part of them, shape ``(n_resources,)``.

    Rows are put in order of area, class and present power, and every ``1/ratio``-th is taken (systematic sampling,
    Cochran 1977, chapter 8), so that the part has that share of every kind, to within one row.

    Args:
        rows: Rows to be divided, shape ``(n_resources,)``.
        ratio: Share of them that is taken, 0 to 1.
        state: The snapshot.
    """
    chosen = np.flatnonzero(rows)
    index = state.index
    keys = (np.abs(np.nan_to_num(state.power_kw[chosen])), index.class_code[chosen], index.area_code[chosen])
    ordered = chosen[np.lexsort(keys)]
    reached = np.floor(np.arange(len(ordered) + 1) * ratio + _ROUNDING)
    part = np.zeros(len(rows), dtype=np.bool_)
    part[ordered[np.diff(reached) > 0.0]] = True
    return part
