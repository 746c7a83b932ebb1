"""Sharing of a missing or surplus activation among the rows in merit order, and the setpoints that follow."""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from optimizer.allocate import merit_order
from vpp.dispatch.allocation.situation import Situation
from vpp.dispatch.flexibility.device_rows import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.dispatch.views import EV, devices_of
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray

_PENDING_COST = 100.0
_SAME_KW = 1e-9
"""Rounding of kW."""


class _Round(NamedTuple):
    """One round of sharing.

    Attributes:
        at_s: Epoch seconds.
        number: The request.
        more: Activation is missing rather than surplus.
        small: It goes to the rows that modulate best.
        planned: Rows are taken up to their planned activation first.
        stay: Weight of being assigned already.
    """

    at_s: float
    number: int
    more: bool
    small: bool
    planned: bool
    stay: float


def share_out(s: Situation, seen: FlexibilityScan, activated: FloatArray, extra_kw: float) -> FloatArray:
    """Return the change of each row's activation, NaN where it has no part before nor after.

    Args:
        s: The situation.
        seen: The scan.
        activated: Activation of every row, NaN where it is not assigned, shape ``(n_resources,)``.
        extra_kw: What is missing, negative where it is surplus.
    """
    settings, size_kw = s.picture.settings, abs(extra_kw)
    if size_kw <= settings.tracking.deadband_ratio * s.times.target_kw:
        return np.where(np.isnan(activated), np.nan, 0.0)
    rising, sign = extra_kw > 0.0 and s.phase is Phase.RAMPING, float(np.sign(extra_kw))
    small = size_kw <= settings.tracking.trim_ratio * s.times.target_kw and not rising

    def shared(amount_kw: float, after: FloatArray, *, planned: bool) -> FloatArray:
        offer, key = _offers(
            read_only(after),
            read_only(seen.available_kw),
            read_only(seen.settled),
            s.picture.assignments.columns,
            read_only(s.picture.state.connected),
            s.picture.commands.back_off.away_s,
            read_only(s.picture.merit.trim if small else s.picture.merit.bulk),
            _Round(s.at_s, s.number, sign > 0.0, small, planned, settings.merit.weights.stay),
        )
        return merit_order(amount_kw, offer, key)

    share = shared(size_kw, activated, planned=True)
    left_kw = size_kw - known_sum(share)
    if left_kw > NOTHING_KW and not small:
        # The plan's share is used up and is not enough: rows the plan leaves alone must help as well.
        share = share + shared(left_kw, added(activated, sign * share), planned=False)
    coarse_kw = settings.commands.deadband.kw
    return _changes(share, read_only(activated), devices_of(s.picture.state.index).kind, sign, coarse_kw)


def added(activated: FloatArray, change: FloatArray) -> FloatArray:
    """Return activations after a change; NaN counts as nothing where the other is known, ``(n_resources,)``."""
    return _added(read_only(activated), read_only(change))


@njit()
def known_sum(values: FloatArray) -> float:
    """Return the sum of what is not NaN."""
    total = 0.0
    for value in values:
        total += 0.0 if np.isnan(value) else value
    return total


def setpoints_kw(s: Situation, seen: FlexibilityScan, activated: FloatArray, released: BoolArray) -> FloatArray:
    """Return the power each row is to take, NaN where it is free; one whose activation stayed keeps its setpoint.

    While power is due, chargers that are not activated any more are released; stores and buildings stay assigned.

    Args:
        s: The situation.
        seen: The scan.
        activated: Activation of every row, NaN where it is not assigned, shape ``(n_resources,)``.
        released: Rows that are released, shape ``(n_resources,)``.
    """
    return _setpoints(
        read_only(seen.uncontrolled_kw),
        read_only(activated),
        read_only(released),
        read_only(seen.settled),
        s.picture.assignments.columns,
        devices_of(s.picture.state.index).kind,
        s.number,
        s.sign,
        s.due,
    )


@njit()
def _added(activated: FloatArray, change: FloatArray) -> FloatArray:
    total = np.empty(len(activated))
    for row in range(len(activated)):
        total[row] = change[row] if np.isnan(activated[row]) else activated[row] + change[row]
    return total


@njit()
def _offers(  # noqa: PLR0917 - a kernel takes arguments by position
    activated: FloatArray,
    available: FloatArray,
    settled: BoolArray,
    assigned: AssignmentColumns,
    connected: BoolArray,
    away_s: FloatArray,
    cost: FloatArray,
    sharing: _Round,
) -> tuple[FloatArray, FloatArray]:
    """Return how much each row can be activated more, or less, and in which order rows are taken.

    Assigned rows are activated first and released last; for small corrections those with a command under way come last.
    In large ones that go by a re-dispatch plan a row below its planned activation is taken before all
    others, up to it, and one above it is lowered before them. A row whose charging pauses is not disturbed before the
    pause is over.
    """
    owner, paused_s, goal = assigned.owner, assigned.paused_s, assigned.planned_kw
    at_s, number, more, small, planned, stay = sharing
    count = len(activated)
    offer, key = np.zeros(count), np.empty(count)
    for row in range(count):
        mine = owner[row] == number
        present = 0.0 if np.isnan(activated[row]) else activated[row]
        if more:
            offer[row] = max(available[row] - present, 0.0)
        elif connected[row] and at_s >= away_s[row] and np.isnan(paused_s[row]):
            offer[row] = present
        key[row] = cost[row] - stay if mine else cost[row]
        if small:
            key[row] += _PENDING_COST if mine and not settled[row] else 0.0
            continue
        if not more:
            key[row] = -key[row]
        beyond = goal[row] - present if more else present - goal[row]
        if planned and beyond > NOTHING_KW:
            offer[row], key[row] = min(offer[row], beyond), key[row] - _PENDING_COST
    return offer, key


@njit()
def _changes(share: FloatArray, activated: FloatArray, kind: CodeArray, sign: float, coarse_kw: float) -> FloatArray:
    for row in range(len(share)):
        if kind[row] == EV and share[row] < coarse_kw:
            share[row] = 0.0
        share[row] = np.nan if np.isnan(activated[row]) and share[row] == 0.0 else sign * share[row]
    return share


@njit()
def _setpoints(  # noqa: PLR0917 - a kernel takes arguments by position
    uncontrolled: FloatArray,
    activated: FloatArray,
    released: BoolArray,
    settled: BoolArray,
    assigned: AssignmentColumns,
    kind: CodeArray,
    number: int,
    sign: float,
    due: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> FloatArray:
    held, owner = assigned.setpoint_kw, assigned.owner
    setpoint = np.full(len(uncontrolled), np.nan)
    for row in range(len(uncontrolled)):
        if released[row] or np.isnan(activated[row]):
            continue
        commanded = not np.isnan(held[row])
        if due and kind[row] == EV and activated[row] <= NOTHING_KW and commanded and settled[row]:
            continue
        inside = sign * (uncontrolled[row] - held[row])
        same = commanded and inside >= 0.0 and abs(inside - activated[row]) < _SAME_KW
        setpoint[row] = held[row] if same and owner[row] == number else uncontrolled[row] - sign * activated[row]
    return setpoint
