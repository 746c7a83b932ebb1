"""Slack of charging sessions, by which a cap decides whose promise yields last."""

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState

_ENDLESS_S = 1e9
"""Slack of a session without a promise, finite so that it can be sorted by."""


def greatest_kw_of(state: FleetState, rows: RowArray) -> FloatArray:
    """Return the greatest power of each charger, its nameplate's or its default's, kW, shape ``(len(rows),)``."""
    nameplate = state.index.nameplate
    return np.fmin(nameplate.p_max_kw[rows], nameplate.default_kw[rows])


def slack_of(state: FleetState, rows: RowArray) -> FloatArray:
    """Return each session's slack at its greatest power, seconds, finite, negative if too late; ``(len(rows),)``."""
    return np.clip(state.laxity_of(rows, greatest_kw_of(state, rows)), -_ENDLESS_S, _ENDLESS_S)


def is_hurried(state: FleetState, rows: RowArray, slack_s: FloatArray) -> BoolArray:
    """Return which of the kept sessions among ``rows`` are short of time, shape ``(len(rows),)``.

    A session that may be shed is kept for nothing else. One that opted out, or is owed nothing by any time, charges
    later at most, whereas one that is short of time leaves with less than was promised.

    Args:
        state: The snapshot.
        rows: Rows, the kept ones among them.
        slack_s: ``slack_of`` them.
    """
    return state.sheddable[rows] | (slack_s < 2.0 * state.index.limits.promise_margin_s[rows])
