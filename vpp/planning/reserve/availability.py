"""Power that could be called now under a standing commitment, and the rows it would come from."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.standing import StandingTerms
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.planning.flexibility.deliverable import deliverable
from vpp.planning.flexibility.error_law import NORMAL, ErrorLaw
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """Power that could be called.

    Attributes:
        power_kw: Least power of a longest call that begins now, with nine chances in ten.
        rows: Rows it would come from, shape ``(k,)``.
        row_kw: Expected power of each, shape ``(k,)``.
    """

    power_kw: float
    rows: IntArray
    row_kw: FloatArray


def available_now(basis: FlexibilityBasis, terms: StandingTerms, *, now_s: float, law: ErrorLaw = NORMAL) -> Available:
    """Return what a call of the longest length that begins with this quarter of an hour would find.

    Args:
        basis: Basis of the fleet.
        terms: Of the commitment.
        now_s: Epoch seconds.
        law: Quantiles of the error of quotes.
    """
    grid = basis.inputs.grid
    first = grid.index_at(now_s)
    steps = max(round(terms.call_h / grid.step_h), 1)
    window = Window(first=first, last=min(first + steps, grid.count))
    chosen = basis.groups.inside(basis.inputs.state.index.in_area(terms.area))
    found = deliverable(
        basis,
        direction=terms.direction,
        window=window,
        chosen=chosen,
        committed_kw=np.zeros(grid.count),
        # The ramp of a call is agreed with it: what counts is power that is held, however fast it comes.
        now_s=grid.start_s - SECONDS_PER_DAY,
        law=law,
    )
    parts = [
        (basis.cars.members.rows, basis.cars.members.group, found.envelope.cars_kw),
        (basis.stores.members.rows, basis.stores.members.group, found.envelope.stores_kw),
        (basis.loads.members.rows, basis.loads.members.group, found.envelope.loads_kw),
    ]
    rows = np.concatenate([rows for rows, _, _ in parts]).astype(np.int64)
    kept = np.concatenate([np.maximum(power[:, 0], 0.0) * found.share[group] for _, group, power in parts])
    gives = kept > 0.0
    return Available(power_kw=float(found.p10_kw.min(initial=np.inf)), rows=rows[gives], row_kw=kept[gives])
