"""Urgency: the merit order key of every row, from the energy its plan still owes it.

Urgency is the share of a row's range that it would need on average, from now until the step ends, to be where its plan
wants it by then: 0 at the least it can take, 1 at the most. A row that takes power already counts as a little more
urgent, so that it is not switched for nothing, and so does one that was shed lately. A car planned below the least its
charger can hold is switched on for a part of the step this way: while it charges its urgency falls, while it waits it
rises.

A row that cannot wait any longer has key 0 and is not shed, least laxity first as in Dertouzos (1974).
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.tracking.columns import KEYS, Codes, Floats, Ints

_MOST_URGENT, _LEAST_URGENT = 2.0, -1.2
"""Urgencies beyond these have the keys of these."""


class Wants(NamedTuple):
    """Inputs of urgency; each has shape ``(n,)``.

    Attributes:
        low_kw: Least power, NaN where a row takes no part.
        high_kw: Greatest power.
        due_kwh: Energy at the meter that the plan still owes by the end of the step; negative for stores that should
            give. NaN counts as half the range.
        slack_s: How long the row could wait before it needs ``high_kw`` without pause; infinite without a promise.
        setpoint_kw: Its last setpoint, NaN for none.
        burden: How much it was shed lately, 0 for not at all.
    """

    low_kw: Floats
    high_kw: Floats
    due_kwh: Floats
    slack_s: Floats
    setpoint_kw: Floats
    burden: Floats


class Weights(NamedTuple):
    """How urgency is weighed.

    Attributes:
        margin_s: With less slack than this a row is not shed; covers the time until the next refresh and its commands.
        stay: Urgency of taking power already.
        burden: Urgency per unit of ``Wants.burden``.
        least_s: The step's end counts as no nearer than this, so that its last seconds are not a scramble.
    """

    margin_s: float = 180.0
    stay: float = 0.3
    burden: float = 0.1
    least_s: float = 120.0


@njit()
def keys(chosen: Ints, wants: Wants, weights: Weights, left_s: float, key: Codes) -> None:
    """Write the keys of the rows ``chosen`` into ``key``, shape ``(n,)``.

    Args:
        chosen: Rows, shape ``(r,)``.
        wants: What each row wants.
        weights: How that is weighed.
        left_s: Seconds until the step ends.
        key: 0 for rows that are not shed, then from 1 for the most to 255 for the least urgent.
    """
    per_h = 3600.0 / max(left_s, weights.least_s)
    scale = (KEYS - 2) / (_MOST_URGENT - _LEAST_URGENT)
    for i in chosen:
        low, width = wants.low_kw[i], wants.high_kw[i] - wants.low_kw[i]
        if not width > 0.0:
            key[i] = KEYS - 1
        elif wants.slack_s[i] <= weights.margin_s:
            key[i] = 0
        else:
            due = wants.due_kwh[i] * per_h
            urgency = 0.5 if np.isnan(due) else (due - low) / width
            if wants.setpoint_kw[i] > low + 0.5 * width:
                urgency += weights.stay
            urgency += weights.burden * wants.burden[i]
            urgency = min(max(urgency, _LEAST_URGENT), _MOST_URGENT)
            key[i] = 1 + int((_MOST_URGENT - urgency) * scale)
