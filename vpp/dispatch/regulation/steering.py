"""Control of a request for regulation in a full cycle: rows that hold its reservation, and their setpoints."""

from dataclasses import replace

import numpy as np

from vpp.dispatch.allocation.situation import Control, Situation
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.flexibility.unavailability import Unavailability
from vpp.dispatch.regulation.follower import Followed, RegulationFollower
from vpp.dispatch.regulation.power_estimate import EstimatedPower
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.rows.assignments import NOBODY
from vpp.domain.regulation import FOLLOWING
from vpp.domain.telemetry import CodeArray, FloatArray

_AT_HAND = (Unavailability.NONE, Unavailability.EMPTY, Unavailability.PROMISED)
"""A row with nothing available upwards may still take; one promised to a driver stays where it is but is counted."""


def reservation_of(
    s: Situation,
    seen: FlexibilityScan,
    shed_s: FloatArray,
    accounted: AccountedLoad | None,
    *,
    estimate: EstimatedPower,
    grade: CodeArray,
) -> Reservation:
    """Return the rows that hold a request's reservation now.

    Args:
        s: The situation.
        seen: Its scan.
        shed_s: How long each row was shed lately, shape ``(n_resources,)``.
        accounted: Load every row is accounted with.
        estimate: Power of every row now.
        grade: Grade of every row, shape ``(n_resources,)``.
    """
    held, state = s.picture.assignments.columns, s.picture.state
    mine = held.owner == s.number
    # A row that is held for a cap, or waits for its release from another request, is not moved again.
    open_ = mine | ((held.owner == NOBODY) & np.isnan(held.cap_kw) & np.isnan(held.release_due_s))
    at_hand = np.isin(seen.unavailability, [int(why) for why in _AT_HAND])
    following = s.portfolio.rows & state.index.is_class(*FOLLOWING)
    answered_kw = estimated_change_kw(s, seen, estimate)
    return Reservation(
        holding=following & open_ & at_hand & np.isnan(held.cap_kw),
        base_kw=seen.uncontrolled_kw,
        held_kw=np.where(mine, held.setpoint_kw, np.nan),
        kept=seen.kept,
        # A driver short of time is released, whether the device has answered or not.
        pinned=(s.picture.commands.back_off.retry_s > state.at_s) | (mine & estimate.silent & ~seen.kept),
        shed=shed_s / s.picture.settings.merit.shed_scale_s,
        answered_kw=answered_kw,
        accounted=accounted,
        answered_at_s=np.nan if np.isnan(answered_kw) else state.at_s,
        grade=grade,
    )


def estimated_change_kw(s: Situation, seen: FlexibilityScan, estimate: EstimatedPower) -> float:
    """Return the change of net load by the estimate, positive where it fell; NaN without a frozen baseline.

    Rows that are lost, or whose meter cannot be believed, count as in what is settled.
    """
    state, rows = s.picture.state, s.portfolio.rows
    counted = rows & state.connected
    since_kw = float(estimate.ahead_kw @ counted)
    return s.portfolio.baseline_kw - seen.measured_kw - since_kw


def regulation_control(
    s: Situation, seen: FlexibilityScan, memory: Tracking, setpoint_kw: FloatArray, asked_kw: float
) -> Control:
    """Return the control of a request for regulation in a full cycle.

    Args:
        s: The situation.
        seen: Its scan.
        memory: Of the request.
        setpoint_kw: Setpoint of each of its rows, NaN for the others, shape ``(n_resources,)``.
        asked_kw: Change that is due, positive where net load is to fall.
    """
    if np.isnan(memory.fallback_kw):
        memory = replace(memory, fallback_kw=seen.measured_kw)
    baseline = memory.fallback_kw if np.isnan(s.portfolio.baseline_kw) else s.portfolio.baseline_kw
    return Control(
        setpoint_kw=setpoint_kw,
        uncontrolled_kw=seen.uncontrolled_kw,
        unavailability=seen.unavailability,
        memory=replace(memory, at_s=s.at_s),
        phase=s.phase,
        target_kw=s.sign * asked_kw,
        measured_kw=seen.measured_kw,
        baseline_kw=baseline,
        delivered_kw=s.sign * (baseline - seen.measured_kw),
        lacking_kw=0.0,
    )


def cycle_setpoints_kw(follower: RegulationFollower, followed: Followed, reservation: Reservation) -> FloatArray:
    """Return a full cycle's setpoints, NaN for rows that are free, shape ``(n_resources,)``.

    They enter arbitration as one proposal with the authority of regulation. Rows that have to wait for others keep what
    they hold until the next tick, and so do those that take no command at present.
    """
    held_kw = reservation.held_kw
    everyone = np.arange(len(held_kw), dtype=np.int32)
    setpoint = follower.setpoints_kw(everyone, ~np.isnan(held_kw))
    late = followed.rows[followed.wait]
    setpoint[late] = held_kw[late]
    return np.where(reservation.pinned, held_kw, setpoint)
