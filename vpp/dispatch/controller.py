"""One request, one cycle: what its rows are asked to take.

Prediction first, correction after: rows with a command under way count with what they were asked for, all others with
what their meter shows. The difference between the delivery this predicts and the delivery wanted is the extra give;
only that is shared out, so rows keep their part and few setpoints change.
"""

from dataclasses import dataclass, replace

import numpy as np

from optimizer.allocate import merit_order
from vpp.dispatch.columns import CommandTable, RosterTable
from vpp.dispatch.kinds import among, of_class
from vpp.dispatch.law import Tracking, account, wanted_kw
from vpp.dispatch.rooms import Hold, Rooms, protected, rooms
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.staging import lots, returned_kw
from vpp.dispatch.timetable import Phase, Timetable
from vpp.domain.fleet import CLASSES, FleetIndex, FleetState
from vpp.domain.request import Direction, DispatchRequest
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE

_NOTHING_KW = 0.05
_PENDING_COST = 100.0
_LAXITY_SCALE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything one request's cycle looks at.

    Attributes:
        number: The request's number in the roster's ``owner``.
        portfolio: Rows whose meters count, shape ``(n_resources,)``.
        baseline_kw: Of the portfolio now; NaN where none was frozen.
        baseline_rows_kw: Of every row now, NaN where unknown, shape ``(n_resources,)``.
        default_kw: Default value of every row, NaN where we set none, shape ``(n_resources,)``.
        settled: Rows whose dispatch value was confirmed by their meter.
        trusting: A restart is so recent that rows that are not back yet are trusted.
    """

    request: DispatchRequest
    timetable: Timetable
    number: int
    state: FleetState
    portfolio: BoolArray
    baseline_kw: float
    baseline_rows_kw: FloatArray
    default_kw: FloatArray
    roster: RosterTable
    commands: CommandTable
    settled: BoolArray
    trusting: bool
    settings: DispatchSettings

    @property
    def sign(self) -> float:
        """1 where net load should fall, -1 where it should rise."""
        return 1.0 if self.request.draft.direction is Direction.UP else -1.0

    @property
    def mine(self) -> BoolArray:
        """Rows that work for this request."""
        return np.asarray(self.roster.owner == self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Result of one request's cycle.

    Attributes:
        setpoint_kw: Power each of its rows should take, NaN for rows it does not use, shape ``(n_resources,)``.
        free_kw: Power each row would take if it were free, shape ``(n_resources,)``.
        kept: Rows whose driver must not be touched.
        lacking_kw: Power due that no row has room for.
    """

    setpoint_kw: FloatArray
    free_kw: FloatArray
    kept: BoolArray
    held: Rooms
    memory: Tracking
    phase: Phase
    target_kw: float
    measured_kw: float
    baseline_kw: float
    delivered_kw: float
    lacking_kw: float


def steer(situation: Situation, memory: Tracking) -> Steering:
    """Return what the request's rows should take now."""
    now_s = situation.state.at_s
    phase = situation.timetable.phase_at(now_s)
    free = free_kw(situation)
    measured = metered_kw(situation, free)
    memory = _first_seen(memory, situation, measured)
    baseline = memory.fallback_kw if np.isnan(situation.baseline_kw) else situation.baseline_kw
    target = situation.timetable.target_at(now_s)
    delivered = situation.sign * (baseline - float(measured[situation.portfolio].sum()))
    due = phase in (Phase.RAMPING, Phase.HOLDING)
    if due:
        holding = phase is Phase.HOLDING
        memory = account(
            memory,
            now_s=now_s,
            target_kw=target,
            delivered_kw=delivered,
            holding=holding,
            settings=situation.settings,
        )
    kept = protected(situation.state, free, ~np.isnan(situation.roster.setpoint_kw), situation.settings)
    held = _rooms(situation, free, kept)
    give = _current_give(situation, free, held)
    expected = _expected_delivery(situation, free, give, baseline)
    lacking = 0.0
    if due:
        wanted = wanted_kw(memory, target)
        change = _share_out(situation, held, give, wanted - expected)
        give = np.where(np.isnan(change), np.nan, np.nan_to_num(give) + change)
        lacking = max(0.0, min(wanted, target) - expected - float(np.nansum(change)))
        gone = _given_back(situation, give)
    else:
        give, gone, memory = _bring_home(situation, give, memory, expected)
    return Steering(
        setpoint_kw=_setpoints(situation, free, give, gone),
        free_kw=free,
        kept=kept,
        held=held,
        memory=memory,
        phase=phase,
        target_kw=target,
        measured_kw=float(measured[situation.portfolio].sum()),
        baseline_kw=baseline,
        delivered_kw=delivered,
        lacking_kw=lacking,
    )


def free_kw(s: Situation) -> FloatArray:
    """Return the power each row would take if it were free, shape ``(n_resources,)``.

    A row that is free shows it on its meter. A commanded building follows the shape of its baseline from where it was;
    a store follows its schedule; a car that draws less than it may would draw no more if it were let go.
    """
    index, state, roster = s.state.index, s.state, s.roster
    measured = np.where(np.isnan(state.power_kw), np.nan_to_num(s.baseline_rows_kw), state.power_kw)
    noted = ~np.isnan(roster.free_kw) & (~np.isnan(roster.setpoint_kw) | ~np.isnan(roster.returning_s))
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = s.baseline_rows_kw / roster.anchor_kw
    shape = np.where(np.isfinite(shape) & (shape > 0.0), np.clip(shape, 0.5, 2.0), 1.0)
    building = of_class(index, ResourceClass.HVAC, ResourceClass.INDUSTRY)
    remembered = np.where(building, roster.free_kw * shape, roster.free_kw)
    charger = of_class(index, ResourceClass.EV)
    tapering = charger & s.settled & (measured < roster.setpoint_kw - _NOTHING_KW - 0.05 * np.abs(roster.setpoint_kw))
    remembered = np.where(tapering, np.minimum(measured, remembered), remembered)
    free = np.where(noted, remembered, measured)
    scheduled = of_class(index, *s.settings.plan_classes) & ~np.isnan(s.default_kw)
    able = np.clip(s.default_kw, state.available_min_kw, state.available_max_kw)
    free = np.where(scheduled, np.where(np.isnan(able), s.default_kw, able), free)
    absent = of_class(index, *CHARGING) & ~state.plugged & state.connected & (np.abs(measured) < _NOTHING_KW)
    return np.where(absent, 0.0, free)


def metered_kw(s: Situation, free: FloatArray) -> FloatArray:
    """Return what the meters show; a row without meter counts as told for a while, then as free.

    Delivered power comes from meters only, so a commanded row that was lost is not credited for long.
    """
    state, roster = s.state, s.roster
    commanded = ~np.isnan(roster.setpoint_kw)
    unknown = np.isnan(state.power_kw)
    power = np.where(
        unknown, np.where(commanded, _asked_kw(s, free), np.nan_to_num(s.baseline_rows_kw)), state.power_kw
    )
    lost = (state.at_s - roster.lost_s > s.settings.lost_trust_s) & (not s.trusting)
    # Nor is one whose lease ended while it was away: settlement takes its baseline, and the last meter value is old.
    usual = np.where(np.isnan(s.baseline_rows_kw), power, s.baseline_rows_kw)
    return np.where(lost, np.where(commanded, free, usual), power)


def _first_seen(memory: Tracking, s: Situation, measured: FloatArray) -> Tracking:
    if not np.isnan(memory.fallback_kw):
        return memory
    return replace(memory, fallback_kw=float(measured[s.portfolio].sum()))


def _asked_kw(s: Situation, free: FloatArray) -> FloatArray:
    """Return what each commanded row will take once it obeys; a charger's value is a ceiling."""
    asked = np.fmin(s.roster.setpoint_kw, s.roster.cap_kw)
    ceiling = of_class(s.state.index, ResourceClass.EV) & (s.sign > 0)
    return np.where(ceiling, np.minimum(asked, free), asked)


def _rooms(s: Situation, free: FloatArray, kept: BoolArray) -> Rooms:
    held = rooms(
        s.state,
        direction=s.request.draft.direction,
        free_kw=free,
        roster=s.roster,
        commands=s.commands,
        end_s=s.timetable.end_s,
        kept=kept,
        settings=s.settings,
    )
    open_ = s.portfolio & (s.mine | (s.roster.owner < 0))
    return replace(held, room_kw=np.where(open_, held.room_kw, 0.0))


def _current_give(s: Situation, free: FloatArray, held: Rooms) -> FloatArray:
    """Return what each of the request's rows gives, within what it may; NaN for rows it has none of or must let go."""
    give = np.maximum(s.sign * (free - s.roster.setpoint_kw), 0.0)
    let_go = among(held.hold, (Hold.REFUSED, Hold.IGNORED))
    if not s.trusting:
        let_go |= held.hold == Hold.PROMISED
        let_go |= of_class(s.state.index, *CHARGING) & ~s.state.plugged & s.state.connected
    away = among(held.hold, (Hold.DISCONNECTED, Hold.UNREACHABLE)) & (s.commands.limited_s <= s.state.at_s)
    if s.trusting:
        away[:] = False
    movable = held.hold == Hold.NONE
    give = np.where(movable, np.minimum(give, held.room_kw), give)
    return np.where(s.mine & ~let_go & ~away, give, np.nan)


def _expected_delivery(s: Situation, free: FloatArray, give: FloatArray, baseline: float) -> float:
    """Return the delivery a moment from now, with everything under way as far as it can have taken effect."""
    metered = metered_kw(s, free)
    taking = ~np.isnan(give)
    asked = free - s.sign * np.where(taking, give, 0.0)
    # What a slow plant will only take in minutes cannot be counted on now: others help until it is there.
    reach_kw = s.state.index.ramp_kw_per_min * (s.settings.horizon_s / SECONDS_PER_MINUTE)
    asked_soon = metered + np.clip(asked - metered, -reach_kw, reach_kw)
    lost = (s.state.at_s - s.roster.lost_s > s.settings.lost_trust_s) & (not s.trusting)
    changed = np.abs(asked - s.roster.setpoint_kw) > _NOTHING_KW
    pending = taking & ~lost & (s.commands.failures == 0) & (~s.settled | changed)
    leaving = (s.mine & ~taking) | (~np.isnan(s.roster.returning_s) & ~taking)
    expected = np.where(pending, asked_soon, np.where(leaving, free, metered))
    return s.sign * (baseline - float(expected[s.portfolio].sum()))


def _share_out(s: Situation, held: Rooms, give: FloatArray, extra_kw: float) -> FloatArray:
    """Return the change of each row's give, NaN where it has no part before nor after."""
    size_kw = abs(extra_kw)
    if size_kw <= s.settings.deadband_ratio * s.timetable.target_kw:
        return np.where(np.isnan(give), np.nan, 0.0)
    giving = np.nan_to_num(give)
    rising = extra_kw > 0.0 and s.timetable.phase_at(s.state.at_s) is Phase.RAMPING
    small = size_kw <= s.settings.trim_ratio * s.timetable.target_kw and not rising
    cost = _cost(s, small=small)
    if extra_kw > 0.0:
        share = merit_order(extra_kw, np.maximum(held.room_kw - giving, 0.0), cost)
    else:
        reachable = s.state.connected & (s.commands.failures == 0)
        share = -merit_order(size_kw, np.where(reachable, giving, 0.0), cost if small else -cost)
    coarse = of_class(s.state.index, ResourceClass.EV) & (np.abs(share) < s.settings.resend_kw)
    share = np.where(coarse, 0.0, share)
    return np.where(np.isnan(give) & (share == 0.0), np.nan, share)


def _cost(s: Situation, *, small: bool) -> FloatArray:
    """Return the merit order: class first, then rows that take part already, then the sessions with most slack."""
    by_class = s.settings.trim_cost if small else s.settings.bulk_cost
    cost = np.array([by_class[kind] for kind in CLASSES])[s.state.index.class_code]
    laxity = s.state.laxity_s(s.state.index.p_max_kw)
    lax = np.maximum(laxity, 0.0)
    haste = np.where(np.isfinite(lax), _LAXITY_SCALE_S / (_LAXITY_SCALE_S + np.where(np.isfinite(lax), lax, 0.0)), 0.0)
    cost = cost + 0.4 * haste - 0.5 * s.mine
    underway = s.mine & ~s.settled
    return cost + _PENDING_COST * underway if small else cost


def _given_back(s: Situation, give: FloatArray) -> BoolArray:
    """Return chargers that give nothing any more; stores and buildings stay at hand for the next correction."""
    charger = of_class(s.state.index, ResourceClass.EV)
    return np.asarray(charger & (give <= _NOTHING_KW) & ~np.isnan(s.roster.setpoint_kw) & s.settled)


def _bring_home(
    s: Situation, give: FloatArray, memory: Tracking, expected: float
) -> tuple[FloatArray, BoolArray, Tracking]:
    """Let the rows return in stages; ``expected`` delivery below 0 is net load above the baseline."""
    if np.isnan(memory.release_kw):
        memory = replace(memory, release_kw=float(np.nansum(give)))
    cap_kw = s.request.draft.rebound_cap_kw
    headroom = np.inf if cap_kw is None or s.sign < 0 else max(0.0, cap_kw + expected)
    back, gone = returned_kw(
        give,
        lots(s.request.id, len(give)),
        held_kw=memory.release_kw,
        timetable=s.timetable,
        now_s=s.state.at_s,
        headroom_kw=headroom,
    )
    return give - back, gone, memory


def _setpoints(s: Situation, free: FloatArray, give: FloatArray, gone: BoolArray) -> FloatArray:
    """Return powers from gives; a row whose give did not change keeps its very setpoint."""
    fresh = free - s.sign * give
    held = s.roster.setpoint_kw
    same = np.abs(np.maximum(s.sign * (free - held), 0.0) - give) < 1e-9  # noqa: PLR2004 - rounding of kW
    inside = s.sign * (free - held) >= 0.0
    return np.where(gone, np.nan, np.where(s.mine & same & inside, held, fresh))


def class_rows(index: FleetIndex) -> dict[str, BoolArray]:
    """Return the rows of every class by its name."""
    return {kind.value: of_class(index, kind) for kind in CLASSES}
