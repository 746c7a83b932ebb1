"""A request for regulation in a full cycle and between two: who may follow, and what the guard lets through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vpp.dispatch.allocation.request_controller import Control, Situation
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.arbitration.feeder_loads import FeederTree
from vpp.dispatch.arbitration.guard import clamp_rows
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import Hold
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.regulation.follower import Followed, RegulationFollower
from vpp.dispatch.regulation.portfolio import Reservation
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.regulation import FOLLOWING
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray

_AT_HAND = (Hold.NONE, Hold.EMPTY, Hold.PROMISED)
"""Who has nothing to give upwards may still take; who is promised to a driver stays where it is but is counted."""
_ROUNDS = 3
_NOTHING_KW = 1e-9


def reservation_of(s: Situation, seen: FlexibilityScan, shed_s: FloatArray) -> Reservation:
    """Return who holds a request's reservation now.

    Args:
        s: The situation.
        seen: What its survey found.
        shed_s: How long each row was shed lately, shape ``(n_resources,)``.
    """
    roster = s.roster
    mine = roster.owner == s.number
    # Whoever is held for a cap, or goes home from another request, is not moved again.
    open_ = mine | ((roster.owner < 0) & np.isnan(roster.cap_kw) & np.isnan(roster.home_s))
    at_hand = np.isin(seen.hold, [int(why) for why in _AT_HAND])
    return Reservation(
        holding=s.portfolio & s.state.index.is_class(*FOLLOWING) & open_ & at_hand & np.isnan(roster.cap_kw),
        base_kw=seen.free_kw,
        held_kw=np.where(mine, roster.setpoint_kw, np.nan),
        kept=seen.kept,
        pinned=s.commands.retry_s > s.state.at_s,
        burden=shed_s / s.settings.burden_scale_s,
        answered_kw=s.baseline_kw - seen.measured_kw,
    )


def steering_of(
    s: Situation, seen: FlexibilityScan, memory: Tracking, setpoint_kw: FloatArray, asked_kw: float
) -> Control:
    """Return how a request for regulation stands in a full cycle.

    Args:
        s: The situation.
        seen: What its survey found.
        memory: Of the request.
        setpoint_kw: What each of its rows is to be told, NaN for the others, shape ``(n_resources,)``.
        asked_kw: Change that is due, positive where net load is to fall.
    """
    if np.isnan(memory.fallback_kw):
        memory = replace(memory, fallback_kw=seen.measured_kw)
    baseline = memory.fallback_kw if np.isnan(s.baseline_kw) else s.baseline_kw
    return Control(
        setpoint_kw=setpoint_kw,
        free_kw=seen.free_kw,
        hold=seen.hold,
        memory=replace(memory, at_s=s.state.at_s),
        phase=s.phase,
        target_kw=s.sign * asked_kw,
        measured_kw=seen.measured_kw,
        baseline_kw=baseline,
        delivered_kw=s.sign * (baseline - seen.measured_kw),
        lacking_kw=0.0,
    )


def told_in_cycle(follower: RegulationFollower, followed: Followed, reservation: Reservation) -> FloatArray:
    """Return a full cycle's setpoints, NaN for rows that are free, shape ``(n_resources,)``.

    Rows that have to wait for others keep what they hold until the next tick, those that take no command as well.
    """
    held_kw = reservation.held_kw
    everyone = np.arange(len(held_kw), dtype=np.int32)
    told = follower.setpoints_kw(everyone, ~np.isnan(held_kw))
    late = followed.rows[followed.wait]
    told[late] = held_kw[late]
    return np.where(reservation.pinned, held_kw, told)


class Told(NamedTuple):
    """What a tick tells: rows, what each is to take (NaN to be let go), and what it would take if it were free."""

    rows: RowArray
    power_kw: FloatArray
    free_kw: FloatArray


@dataclass(slots=True)
class _Request:
    """What is known of one request between two cycles."""

    number: int
    waiting: RowArray


class BetweenCycles:
    """What may be told between two full cycles, by the picture of the last one.

    The guard's last word of that cycle is the load every transformer is expected to carry; what ticks add to it is
    kept, and no move is let through that would lift a load above what the guard aims at.

    Args:
        index: The fleet.
        settings: How near to a cap is near enough.
        roster: Who holds what; brought up to date.
    """

    def __init__(self, index: FleetIndex, settings: DispatchSettings, roster: RosterTable) -> None:
        self._settings, self._roster = settings, roster
        self._node = index.transformer_code
        self._tree = FeederTree(index)
        self._load_kw: FloatArray = np.zeros(len(index.transformers))
        self._least_kw: FloatArray = np.zeros(len(index.transformers))
        self._state: FleetState | None = None
        self._requests: dict[str, _Request] = {}

    def begin(
        self,
        state: FleetState,
        load_kw: FloatArray,
        followed: Mapping[str, tuple[int, Followed]],
        least_load_kw: FloatArray | None = None,
    ) -> None:
        """Take what a full cycle has come to.

        Args:
            state: Its snapshot.
            load_kw: The most that every transformer is then expected to carry, shape ``(n_transformers,)``.
            followed: Number and moves of every request that is followed.
            least_load_kw: The least, likewise; ``load_kw`` where nothing is in doubt.
        """
        self._state = state
        self._load_kw = load_kw.copy()
        self._least_kw = self._load_kw if least_load_kw is None else least_load_kw.copy()
        self._requests = {
            name: _Request(number=number, waiting=moves.rows[moves.wait]) for name, (number, moves) in followed.items()
        }

    @property
    def state(self) -> FleetState | None:
        """The snapshot of the last full cycle, if anything is followed since."""
        return self._state if self._requests else None

    def tell(self, request_id: str, follower: RegulationFollower, moved: Followed) -> Told:
        """Return what is told now of one request's moves; the rest waits for the next tick."""
        request, state = self._requests[request_id], self._state
        if state is None:
            raise RuntimeError("tell() before begin(): there is no picture to go by")
        rows = np.union1d(moved.rows[~moved.wait], request.waiting).astype(np.int32)
        owner = self._roster.owner[rows]
        rows = rows[((owner == request.number) | (owner < 0)) & np.isnan(self._roster.cap_kw[rows])]
        held = np.where(self._roster.owner[rows] == request.number, self._roster.setpoint_kw[rows], np.nan)
        free = follower.base_kw(rows)
        wanted = follower.setpoints_kw(rows, ~np.isnan(held))
        wanted = clamp_rows(state, rows, wanted, np.zeros(len(rows), dtype=np.bool_), settings=self._settings)
        change = np.nan_to_num(_known(wanted, free) - _known(held, free))
        allowed = self._allowed(rows, change)
        request.waiting = np.union1d(moved.rows[moved.wait], rows[~allowed]).astype(np.int32)
        moved_kw = self._tree.changes_kw(rows[allowed], change[allowed])
        self._load_kw, self._least_kw = self._load_kw + moved_kw, self._least_kw + moved_kw
        told = Told(rows[allowed], wanted[allowed], free[allowed])
        self._enlist(request.number, told, state.at_s)
        return told

    def _allowed(self, rows: RowArray, change_kw: FloatArray) -> BoolArray:
        """Return which moves pass no transformer's cap."""
        allowed = np.ones(len(rows), dtype=np.bool_)
        most = self._tree.limit_kw * self._settings.cap_ratio + _NOTHING_KW
        least = -self._tree.export_kw * self._settings.cap_ratio - _NOTHING_KW
        for _ in range(_ROUNDS):
            moved_kw = self._tree.changes_kw(rows[allowed], change_kw[allowed])
            # What is beyond a cap already is the full cycle's to mend; here it must not get worse.
            over = (self._load_kw + moved_kw > most) & (moved_kw > _NOTHING_KW)
            under = (self._least_kw + moved_kw < least) & (moved_kw < -_NOTHING_KW)
            if not (over.any() or under.any()):
                return allowed
            allowed &= ~((change_kw > 0.0) & self._below(over)[self._node[rows]])
            allowed &= ~((change_kw < 0.0) & self._below(under)[self._node[rows]])
        return np.zeros(len(rows), dtype=np.bool_)

    def _below(self, flagged: BoolArray) -> BoolArray:
        """Return the flagged nodes with all that they feed."""
        spread = flagged.copy()
        for node in reversed(self._tree.children_first):
            parent = self._tree.parent[node]
            spread[node] |= parent >= 0 and spread[parent]
        return spread

    def _enlist(self, number: int, told: Told, at_s: float) -> None:
        """Write who works for the request now, and who does not any more, into the roster."""
        roster, rows = self._roster, told.rows
        leaving, taken = np.isnan(told.power_kw), ~np.isnan(told.power_kw)
        fresh = taken & (roster.owner[rows] != number)
        unknown = rows[fresh & (np.isnan(roster.returning_s[rows]) | np.isnan(roster.free_kw[rows]))]
        roster.free_kw[unknown] = told.free_kw[np.isin(rows, unknown)]
        roster.anchor_kw[unknown] = np.nan
        roster.taken_s[rows[fresh]] = at_s
        roster.home_s[rows[fresh]] = np.nan
        roster.owner[rows[taken]], roster.setpoint_kw[rows[taken]] = number, told.power_kw[taken]
        roster.returning_s[rows[taken]] = np.nan
        left = rows[leaving & (roster.owner[rows] == number)]
        roster.owner[left], roster.returning_s[left] = -1, at_s
        for column in (roster.setpoint_kw, roster.paused_s, roster.taken_s, roster.intended_kw, roster.home_s):
            column[left] = np.nan
        roster.live[rows] = True


def _known(power_kw: FloatArray, otherwise_kw: FloatArray) -> FloatArray:
    return np.where(np.isnan(power_kw), otherwise_kw, power_kw)
