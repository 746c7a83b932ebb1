"""Lease terms of dispatch values: power, source and end of each row's lease."""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.domain.telemetry import FloatArray, RowArray


class Leased(NamedTuple):
    """Dispatch values with their terms; shape ``(len(rows),)`` each.

    Attributes:
        dispatch_kw: Value each row is to hold, NaN for none.
        source: Code of its source, -1 for none.
        until_s: When it ends.
    """

    dispatch_kw: FloatArray
    source: RowArray
    until_s: FloatArray


class RequestTerms(NamedTuple):
    """Terms by request number; the last place is for rows of no request.

    Attributes:
        source: Code of each request as a source.
        last_s: When its last lease ends.
        cap_source: Code of transformers' caps as a source.
    """

    source: RowArray
    last_s: FloatArray
    cap_source: int


@njit()
def leased(  # noqa: PLR0917 - a kernel takes arguments by position
    assigned: AssignmentColumns,
    rows: RowArray,
    guarded_kw: FloatArray,
    lease_s: FloatArray,
    terms: RequestTerms,
    at_s: float,
) -> Leased:
    """Return the dispatch value of each of ``rows`` with its terms.

    Args:
        assigned: Assignment of every row.
        rows: Rows to look at.
        guarded_kw: Setpoint the guard lets through, NaN for rows that are released, shape ``(len(rows),)``.
        lease_s: Length of each row's lease, shape ``(n_resources,)``.
        terms: Of the requests.
        at_s: Epoch seconds.
    """
    count = len(rows)
    owner, held, cap, due = assigned.owner, assigned.setpoint_kw, assigned.cap_kw, assigned.release_due_s
    wanted, source, until = np.full(count, np.nan), np.full(count, -1, dtype=np.int32), np.full(count, at_s)
    for place in range(count):
        row = rows[place]
        capped = not np.isnan(cap[row])
        if not capped and np.isnan(held[row]):
            continue
        wanted[place] = guarded_kw[place]
        source[place] = terms.cap_source if capped and owner[row] < 0 else terms.source[owner[row]]
        until[place] = min(at_s + lease_s[row], terms.last_s[owner[row]])
        if not np.isnan(due[row]):
            until[place] = min(until[place], due[row])
    return Leased(wanted, source, until)
