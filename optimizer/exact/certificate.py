"""A proof of quality that does not lean on the solver's word: any dual values give a bound.

For ``min c x, L <= A x <= U, l <= x <= u`` and any row weights ``y``, with ``d = c - A'y``::

    c x = y (A x) + d x >= sum_i min(y_i L_i, y_i U_i) + sum_j min(d_j l_j, d_j u_j)

for every feasible ``x`` (weak duality over a box; Bertsimas & Tsitsiklis, Introduction to Linear Optimization, ch. 4).
All variables of the model are bounded on both sides, so the right side is finite whatever ``y`` is.
"""

import numpy as np

from numerics.arrays import FloatArray
from optimizer.exact.matrix import LinearProgram


def lower_bound_cny(program: LinearProgram, row_dual: FloatArray) -> float:
    """Return a cost below which no feasible point lies.

    Args:
        program: The linear program.
        row_dual: Any row weights, positive where the lower side binds, shape ``(rows,)``.
    """
    # A weight that leans on a missing side proves nothing; dropping it keeps the bound valid.
    weight = np.where((row_dual > 0) & np.isinf(program.row_low), 0.0, row_dual)
    weight = np.where((weight < 0) & np.isinf(program.row_high), 0.0, weight)
    side = np.where(weight > 0, program.row_low, program.row_high)
    rows = np.where(weight == 0.0, 0.0, weight * np.where(weight == 0.0, 0.0, side))
    reduced = program.cost - program.transposed_times(weight)
    return float(rows.sum() + np.minimum(reduced * program.low, reduced * program.high).sum())
