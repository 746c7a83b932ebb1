"""Reservation of a request for regulation: rows that hold it, and what each would take without the signal."""

from typing import NamedTuple

from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray


class Reservation(NamedTuple):
    """Rows that hold a request's reservation; shape ``(n_resources,)`` each, powers load positive.

    Attributes:
        holding: Rows that may be moved.
        base_kw: Power of each without the signal: its plan, for chargers its uncontrolled power; NaN leaves the row
            out.
        held_kw: Setpoint of each for the request, NaN for none.
        kept: Sessions that must not be reduced.
        pinned: Rows that take no command at present, or have not answered theirs: their meters count, others make up
            for them.
        shed: Lately shed time in units of its scale, 0 for none.
        answered_kw: Change of net load as it is settled, positive where it fell; NaN where it is not known, then the
            rows' own meters against their base count.
        accounted: Load every row is accounted with; ``None`` for its meter.
        answered_at_s: Epoch seconds of ``answered_kw`` where it is an estimate of that instant, NaN where it is read
            from the meters, each at its own time.
        grade: Rows of a higher grade are moved only while those of lower ones are not enough; ``None`` for one grade.
    """

    holding: BoolArray
    base_kw: FloatArray
    held_kw: FloatArray
    kept: BoolArray
    pinned: BoolArray
    shed: FloatArray
    answered_kw: float = float("nan")
    accounted: AccountedLoad | None = None
    answered_at_s: float = float("nan")
    grade: CodeArray | None = None
