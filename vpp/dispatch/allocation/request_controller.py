"""Control of one request in one cycle.

Prediction first, correction after: rows with a command under way count at their setpoint, all others at their meter.
The difference between the delivery this predicts and the delivery wanted is missing or surplus activation; only that is
shared out, so rows keep their part and few setpoints change.
"""

from dataclasses import replace

import numpy as np

from numerics.views import read_only
from vpp.dispatch.allocation.duty_cycling import begin_pauses, end_pauses
from vpp.dispatch.allocation.merit_sharing import added, known_sum, setpoints_kw, share_out
from vpp.dispatch.allocation.plan_following import follow_plan
from vpp.dispatch.allocation.rebound_release import ReboundRelease, Releasing, release_rows
from vpp.dispatch.allocation.rotation import rotate
from vpp.dispatch.allocation.situation import Control, Situation, look
from vpp.dispatch.allocation.tracking_controller import Delivered, Tracking, account, wanted_kw
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.views import devices_of
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE


def control(s: Situation, memory: Tracking) -> Control:
    """Return the setpoints of the request's rows in this cycle, and how it stands."""
    settings = s.picture.settings
    end_pauses(s.picture.assignments, s.number, s.at_s, settings.allocation.duty)
    seen = look(s)
    if np.isnan(memory.fallback_kw):
        memory = replace(memory, fallback_kw=seen.measured_kw)
    baseline = memory.fallback_kw if np.isnan(s.portfolio.baseline_kw) else s.portfolio.baseline_kw
    target = s.times.target_at(s.at_s)
    expected = s.sign * (baseline - seen.expected_kw)
    lacking = 0.0
    if s.due:
        delivered = Delivered(
            believed_kw=s.sign * (baseline - seen.believed_kw), held_kw=s.sign * (baseline - seen.held_kw)
        )
        memory = _accounted(s, memory, target, delivered)
        activated, lacking = _activate(s, seen, memory, target, expected)
        memory = replace(memory, lacking_kw=lacking)
        released = np.zeros(len(activated), dtype=np.bool_)
    else:
        back = _release(s, seen, memory, expected)
        activated, released, memory = back.activated_kw, back.released, back.memory
    return Control(
        setpoint_kw=setpoints_kw(s, seen, activated, released),
        uncontrolled_kw=seen.uncontrolled_kw,
        unavailability=seen.unavailability,
        memory=memory,
        phase=s.phase,
        target_kw=target,
        measured_kw=seen.measured_kw,
        baseline_kw=baseline,
        delivered_kw=s.sign * (baseline - seen.measured_kw),
        lacking_kw=lacking,
    )


def _accounted(s: Situation, memory: Tracking, target: float, delivered: Delivered) -> Tracking:
    settings = s.picture.settings
    return account(
        memory,
        now_s=s.at_s,
        target_kw=target,
        delivered=delivered,
        holding=s.phase is Phase.HOLDING,
        law=settings.tracking,
        outage_most_s=settings.requests.phases.ramp_minutes * SECONDS_PER_MINUTE,
    )


def _activate(
    s: Situation, seen: FlexibilityScan, memory: Tracking, target: float, expected: float
) -> tuple[FloatArray, float]:
    """Return the activations that make up for what is missing, and what cannot be made up for."""
    settings, assignments = s.picture.settings, s.picture.assignments
    activated, moved_kw = _planned(s, seen)
    expected += moved_kw
    wanted = wanted_kw(memory, target)
    change = share_out(s, seen, activated, wanted - expected)
    activated = added(activated, change)
    lacking = max(0.0, min(wanted, target) - expected - known_sum(read_only(change)))
    if lacking > settings.tracking.deadband_ratio * s.times.target_kw and s.sign > 0.0:
        paused_kw = begin_pauses(
            s.picture.state,
            assignments,
            seen,
            activated,
            missing_kw=lacking,
            number=s.number,
            duty=settings.allocation.duty,
        )
        lacking = max(0.0, lacking - paused_kw)
    elif s.phase is Phase.HOLDING and settings.allocation.rotation.ratio > 0.0:
        activated = rotate(
            s.picture.state,
            assignments.columns,
            seen,
            activated,
            cost=s.picture.merit.bulk,
            number=s.number,
            rotation=settings.allocation.rotation,
            least_kw=settings.commands.deadband.kw,
        )
    return activated, lacking


def _planned(s: Situation, seen: FlexibilityScan) -> tuple[FloatArray, float]:
    """Return the activations after what a re-dispatch plan has changed, and by how much their sum rose."""
    if s.picture.planned_kw is None:
        s.picture.assignments.drop_plan()
        return seen.activated_kw, 0.0
    holding = s.phase is Phase.HOLDING
    return follow_plan(
        s.picture.assignments,
        seen,
        s.picture.planned_kw,
        devices=devices_of(s.picture.state.index),
        sign=s.sign,
        at_s=s.at_s,
        most_kw=s.picture.settings.allocation.plan_step_ratio * s.times.target_kw if holding else 0.0,
    )


def _release(s: Situation, seen: FlexibilityScan, memory: Tracking, expected: float) -> ReboundRelease:
    """Return the staged release; where net load is above its rebound cap, rows are activated again."""
    releasing = Releasing(request_id=s.request.id, number=s.number, times=s.times, cap_kw=s.rebound_cap_kw)
    back = release_rows(
        s.picture.state,
        s.picture.assignments.columns,
        seen,
        memory,
        releasing=releasing,
        expected_kw=expected,
        debt_kwh=s.picture.debt_kwh,
        rebound=s.picture.settings.allocation.rebound,
    )
    if releasing.cap_kw is None or back.excess_kw <= 0.0:
        return back
    change = share_out(s, seen, back.activated_kw, back.excess_kw)
    return replace(back, activated_kw=added(back.activated_kw, change))
