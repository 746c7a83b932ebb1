"""One request, one cycle: what its rows are asked to take.

Prediction first, correction after: rows with a command under way count with what they were asked for, all others with
what their meter shows. The difference between the delivery this predicts and the delivery wanted is the extra give;
only that is shared out, so rows keep their part and few setpoints change.
"""

from dataclasses import dataclass, replace

import numpy as np

from numerics.jit import njit
from optimizer.allocate import merit_order
from vpp.dispatch.allocation.duty_cycling import begin_pauses, end_pauses
from vpp.dispatch.allocation.plan_following import follow_plan, forget_plan
from vpp.dispatch.allocation.rebound_release import ReboundRelease, bring_home
from vpp.dispatch.allocation.rotation import rotate
from vpp.dispatch.allocation.tracking_controller import Delivered, Tracking, account, wanted_kw
from vpp.dispatch.columns import CommandTable, RosterTable
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW, Call
from vpp.dispatch.flexibility.fairness import Merit
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan, survey
from vpp.dispatch.flexibility.scheduled_energy import ahead_of
from vpp.dispatch.requests.phases import Phase, PhaseTimes
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.views import EV, commands_of, devices_of, kinds_of, meters_of, read_only, roster_of, rules_of
from vpp.domain.fleet import CLASSES, FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.request import Direction, DispatchRequest
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.state.eligibility import barred_rows

_PENDING_COST = 100.0
_SAME_KW = 1e-9
"""Rounding of kW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything one request's cycle looks at.

    Attributes:
        number: The request's number in the roster's ``owner``.
        portfolio: Rows whose meters count, shape ``(n_resources,)``.
        curve: Their frozen baseline, ``None`` where none was frozen.
        baseline_kw: Of the portfolio now; NaN where none was frozen.
        baseline_rows_kw: Of every row now, NaN where unknown, shape ``(n_resources,)``.
        default_kw: Default value of every row, NaN where we set none, shape ``(n_resources,)``.
        merit: Who is asked first.
        debt_kwh: What each building has deferred, shape ``(n_resources,)``.
        intended_kw: What the re-dispatch plan has every row take now, NaN for no wish, ``None`` without such a plan.
        trusting: A restart is so recent that rows that are not back yet are trusted.
    """

    request: DispatchRequest
    timetable: PhaseTimes
    number: int
    state: FleetState
    portfolio: BoolArray
    curve: BaselineCurve | None
    baseline_kw: float
    baseline_rows_kw: FloatArray
    default_kw: FloatArray
    roster: RosterTable
    commands: CommandTable
    merit: Merit
    debt_kwh: FloatArray
    intended_kw: FloatArray | None
    trusting: bool
    settings: DispatchSettings

    @property
    def sign(self) -> float:
        """1 where net load should fall, -1 where it should rise."""
        return 1.0 if self.request.draft.direction is Direction.UP else -1.0

    @property
    def phase(self) -> Phase:
        """Phase by the timetable."""
        return self.timetable.phase_at(self.state.at_s)

    @property
    def due(self) -> bool:
        """Whether power is due, rather than on its way back."""
        return self.phase in (Phase.RAMPING, Phase.HOLDING)

    @property
    def rebound_cap_kw(self) -> float | None:
        """Cap on net load above baseline after the hold, where there is one."""
        return self.request.draft.rebound_cap_kw if self.sign > 0.0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Result of one request's cycle.

    Attributes:
        setpoint_kw: Power each of its rows should take, NaN for rows it does not use, shape ``(n_resources,)``.
        free_kw: Power each row would take if it were free, shape ``(n_resources,)``.
        hold: ``Hold`` code of every row, shape ``(n_resources,)``.
        lacking_kw: Power due that no row has room for.
    """

    setpoint_kw: FloatArray
    free_kw: FloatArray
    hold: CodeArray
    memory: Tracking
    phase: Phase
    target_kw: float
    measured_kw: float
    baseline_kw: float
    delivered_kw: float
    lacking_kw: float

    def body(self, request_id: str) -> dict[str, object]:
        """Return what goes to the journal every cycle."""
        return {
            "id": request_id,
            "phase": self.phase.value,
            "target_kw": self.target_kw,
            "measured_kw": self.measured_kw,
            "baseline_kw": self.baseline_kw,
            "delivered_kw": self.delivered_kw,
            "memory": self.memory.body(),
        }


def steer(s: Situation, memory: Tracking) -> Control:
    """Return what the request's rows should take now."""
    end_pauses(s.roster, s.number, s.state.at_s, s.settings)
    seen = look(s)
    if np.isnan(memory.fallback_kw):
        memory = replace(memory, fallback_kw=seen.measured_kw)
    baseline = memory.fallback_kw if np.isnan(s.baseline_kw) else s.baseline_kw
    target = s.timetable.target_at(s.state.at_s)
    expected = s.sign * (baseline - seen.expected_kw)
    lacking = 0.0
    if s.due:
        delivered = Delivered(
            believed_kw=s.sign * (baseline - seen.believed_kw), held_kw=s.sign * (baseline - seen.held_kw)
        )
        memory = _accounted(s, memory, target, delivered)
        give, lacking = _work(s, seen, memory, target, expected)
        memory = replace(memory, lacking_kw=lacking)
        gone = np.zeros(len(give), dtype=np.bool_)
    else:
        back = _back(s, seen, memory, expected)
        give, gone, memory = back.give_kw, back.gone, back.memory
    return Control(
        setpoint_kw=_told(s, seen, give, gone),
        free_kw=seen.free_kw,
        hold=seen.hold,
        memory=memory,
        phase=s.phase,
        target_kw=target,
        measured_kw=seen.measured_kw,
        baseline_kw=baseline,
        delivered_kw=s.sign * (baseline - seen.measured_kw),
        lacking_kw=lacking,
    )


def look(s: Situation) -> FlexibilityScan:
    """Return what the request finds in the fleet."""
    # On the way back stored energy has to last until nobody watches any more.
    end_s = s.timetable.end_s if s.due or s.rebound_cap_kw is None else s.timetable.watched_s
    return survey(
        devices_of(s.state.index),
        meters_of(s.state),
        roster_of(s.roster),
        commands_of(s.commands),
        kinds_of(s.settings),
        rules_of(s.settings),
        Call(at_s=s.state.at_s, sign=s.sign, number=s.number, end_s=end_s, trusting=s.trusting),
        read_only(s.portfolio),
        read_only(s.baseline_rows_kw),
        read_only(s.default_kw),
        read_only(s.state.index.nameplate.contract_up_kw if s.sign > 0.0 else s.state.index.nameplate.contract_down_kw),
        read_only(barred_rows(s.state)),
        ahead_of(s.state.index, s.portfolio, s.curve, now_s=s.state.at_s, end_s=end_s),
    )


def class_rows(index: FleetIndex) -> dict[str, BoolArray]:
    """Return the rows of every class by its name, read-only."""
    return {kind.value: index.is_class(kind) for kind in CLASSES}


def _accounted(s: Situation, memory: Tracking, target: float, delivered: Delivered) -> Tracking:
    return account(
        memory,
        now_s=s.state.at_s,
        target_kw=target,
        delivered=delivered,
        holding=s.phase is Phase.HOLDING,
        settings=s.settings,
    )


def _work(
    s: Situation, seen: FlexibilityScan, memory: Tracking, target: float, expected: float
) -> tuple[FloatArray, float]:
    """Return the gives that make up for what is missing, and what cannot be made up for."""
    wanted = wanted_kw(memory, target)
    give = seen.give_kw
    if s.intended_kw is not None:
        devices, holding = devices_of(s.state.index), s.phase is Phase.HOLDING
        most_kw = s.settings.plan_step_ratio * s.timetable.target_kw if holding else 0.0
        give, moved_kw = follow_plan(
            s.roster, seen, s.intended_kw, devices=devices, sign=s.sign, at_s=s.state.at_s, most_kw=most_kw
        )
        expected += moved_kw
    else:
        forget_plan(s.roster)
    change = _share_out(s, seen, give, wanted - expected)
    give = _sum(give, change)
    lacking = max(0.0, min(wanted, target) - expected - _known_sum(read_only(change)))
    if lacking > s.settings.deadband_ratio * s.timetable.target_kw and s.sign > 0.0:
        lacking = max(0.0, lacking - _pause(s, seen, give, lacking))
    elif s.phase is Phase.HOLDING and s.settings.rotation_ratio > 0.0:
        give = rotate(s.state, s.roster, seen, give, cost=s.merit.bulk, number=s.number, settings=s.settings)
    return give, lacking


def _pause(s: Situation, seen: FlexibilityScan, give: FloatArray, lacking_kw: float) -> float:
    return begin_pauses(s.state, s.roster, seen, give, lacking_kw=lacking_kw, number=s.number, settings=s.settings)


def _back(s: Situation, seen: FlexibilityScan, memory: Tracking, expected: float) -> ReboundRelease:
    """Return the gives of the rows on their way back; where net load is above its cap, rows give again."""
    cap_kw = s.rebound_cap_kw
    home = bring_home(
        s.state,
        s.roster,
        seen,
        memory,
        request_id=s.request.id,
        number=s.number,
        timetable=s.timetable,
        expected_kw=expected,
        cap_kw=cap_kw,
        debt_kwh=s.debt_kwh,
        settings=s.settings,
    )
    if cap_kw is None or home.excess_kw <= 0.0:
        return home
    return replace(home, give_kw=_sum(home.give_kw, _share_out(s, seen, home.give_kw, home.excess_kw)))


def _sum(give: FloatArray, change: FloatArray) -> FloatArray:
    return _summed(read_only(give), read_only(change))


@njit()
def _summed(give: FloatArray, change: FloatArray) -> FloatArray:
    total = np.empty(len(give))
    for row in range(len(give)):
        total[row] = change[row] if np.isnan(give[row]) else give[row] + change[row]
    return total


def _share_out(s: Situation, seen: FlexibilityScan, give: FloatArray, extra_kw: float) -> FloatArray:
    """Return the change of each row's give, NaN where it has no part before nor after."""
    size_kw = abs(extra_kw)
    if size_kw <= s.settings.deadband_ratio * s.timetable.target_kw:
        return np.where(np.isnan(give), np.nan, 0.0)
    rising, sign = extra_kw > 0.0 and s.phase is Phase.RAMPING, float(np.sign(extra_kw))
    small = size_kw <= s.settings.trim_ratio * s.timetable.target_kw and not rising

    def shared(amount_kw: float, after: FloatArray, *, planned: bool) -> FloatArray:
        room, key = _offers(
            read_only(after),
            read_only(seen.room_kw),
            read_only(seen.settled),
            read_only(s.roster.owner),
            read_only(s.roster.paused_s),
            read_only(s.roster.intended_kw),
            read_only(s.state.connected),
            read_only(s.commands.away_s),
            s.state.at_s,
            read_only(s.merit.trim if small else s.merit.bulk),
            s.number,
            sign > 0.0,
            small,
            planned,
            s.settings.stay_weight,
        )
        return merit_order(amount_kw, room, key)

    share = shared(size_kw, give, planned=True)
    left_kw = size_kw - _known_sum(share)
    if left_kw > NOTHING_KW and not small:
        # The plan's share is used up and is not enough: what it left alone must help as well.
        share = share + shared(left_kw, _sum(give, sign * share), planned=False)
    return _changes(share, read_only(give), devices_of(s.state.index).kind, sign, s.settings.resend_kw)


@njit()
def _known_sum(values: FloatArray) -> float:
    total = 0.0
    for value in values:
        total += 0.0 if np.isnan(value) else value
    return total


@njit()
def _offers(  # noqa: PLR0917 - a kernel takes arguments by position
    give: FloatArray,
    room: FloatArray,
    settled: BoolArray,
    owner: RowArray,
    paused_s: FloatArray,
    intended: FloatArray,
    connected: BoolArray,
    away_s: FloatArray,
    at_s: float,
    cost: FloatArray,
    number: int,
    more: bool,  # noqa: FBT001 - a kernel takes arguments by position
    small: bool,  # noqa: FBT001 - a kernel takes arguments by position
    planned: bool,  # noqa: FBT001 - a kernel takes arguments by position
    stay: float,
) -> tuple[FloatArray, FloatArray]:
    """Return how much each row can give more, or less, and in which order they are asked.

    Rows that take part already are asked first and let go last; for small corrections those under way come last. In
    large ones that go by a re-dispatch plan (``planned``) whoever gives less than it intends is asked before all
    others, up to what it intends, and whoever gives more is let go before them. Whose charging pauses is not disturbed
    before the pause is over.
    """
    count = len(give)
    offer, key = np.zeros(count), np.empty(count)
    for row in range(count):
        mine = owner[row] == number
        giving = 0.0 if np.isnan(give[row]) else give[row]
        if more:
            offer[row] = max(room[row] - giving, 0.0)
        elif connected[row] and at_s >= away_s[row] and np.isnan(paused_s[row]):
            offer[row] = giving
        key[row] = cost[row] - stay if mine else cost[row]
        if small:
            key[row] += _PENDING_COST if mine and not settled[row] else 0.0
            continue
        if not more:
            key[row] = -key[row]
        beyond = intended[row] - giving if more else giving - intended[row]
        if planned and beyond > NOTHING_KW:
            offer[row], key[row] = min(offer[row], beyond), key[row] - _PENDING_COST
    return offer, key


@njit()
def _changes(share: FloatArray, give: FloatArray, kind: CodeArray, sign: float, coarse_kw: float) -> FloatArray:
    for row in range(len(share)):
        if kind[row] == EV and share[row] < coarse_kw:
            share[row] = 0.0
        share[row] = np.nan if np.isnan(give[row]) and share[row] == 0.0 else sign * share[row]
    return share


def _told(s: Situation, seen: FlexibilityScan, give: FloatArray, gone: BoolArray) -> FloatArray:
    """Return powers from gives; a row whose give did not change keeps its very setpoint."""
    return _setpoints(
        read_only(seen.free_kw),
        read_only(give),
        read_only(gone),
        read_only(seen.settled),
        read_only(s.roster.setpoint_kw),
        read_only(s.roster.owner),
        devices_of(s.state.index).kind,
        s.number,
        s.sign,
        s.due,
    )


@njit()
def _setpoints(  # noqa: PLR0917 - a kernel takes arguments by position
    free: FloatArray,
    give: FloatArray,
    gone: BoolArray,
    settled: BoolArray,
    held: FloatArray,
    owner: RowArray,
    kind: CodeArray,
    number: int,
    sign: float,
    due: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> FloatArray:
    """While power is due, chargers that give nothing any more are let go; stores and buildings stay at hand."""
    told = np.full(len(free), np.nan)
    for row in range(len(free)):
        if gone[row] or np.isnan(give[row]):
            continue
        commanded = not np.isnan(held[row])
        if due and kind[row] == EV and give[row] <= NOTHING_KW and commanded and settled[row]:
            continue
        inside = sign * (free[row] - held[row])
        same = commanded and inside >= 0.0 and abs(inside - give[row]) < _SAME_KW
        told[row] = held[row] if same and owner[row] == number else free[row] - sign * give[row]
    return told
