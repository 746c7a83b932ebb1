"""Following a regulation signal between two full cycles of the fast loop.

A follower keeps the merit order of the rows that hold one request's reservation. A full cycle brings what these rows
can take and what they would take without the signal (``refresh``); every few seconds it moves the sum of them to the
base point less the signal (``tick``) and returns the rows that change. It narrows like every stage: the range of a row
is what the guard lets through, sessions that must not be reduced have no range, and every transformer's load stays
inside the same share of its limit that the guard aims at.

::

    full cycle ──► refresh(state, reservation) ──────────┐        setpoints_kw: the request's proposal in a full cycle
                                                         ├─► MeritOrder
    signal ──► AgcSignals.due_kw ──► tick(now, asked) ───┘        Followed: rows to move now

Powers are net, load positive; the signal is positive where net load is to fall.
"""

from dataclasses import dataclass, field

import numpy as np

from optimizer.tracking.law import NeutralDrift
from optimizer.tracking.merit_order import MeritOrder, Offers
from optimizer.tracking.two_sided import TwoSided
from optimizer.tracking.urgency import Wants, Weights, keys
from vpp.dispatch.arbitration.guard import clamp
from vpp.dispatch.flexibility.accounted_load import AccountedLoad, no_doubt
from vpp.dispatch.regulation.answer_correction import AnswerCorrection
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.regulation.row_grades import chosen_grade
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import InputError
from vpp.domain.resource import CHARGING, STORING, ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.feeders import FeederTree
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_SAME_KW = 1e-6
"""Rounding of kW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDrift:
    """Energy that stores take or give while they follow, given back slowly; chargers fetch theirs themselves.

    Attributes:
        time_s: Time constant in which it is given back.
        ratio: Bound of the power that may cost, as a share of the reserved power.
        spare_h: Hours of the reserved power that may be taken before any is given back: half of what backs it.
    """

    time_s: float = 3600.0
    ratio: float = 0.02
    spare_h: float = 0.125


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSettings:
    """Settings of a follower.

    Attributes:
        horizon_s: Time in which a row is brought back to what it would have taken without the signal.
        margin_s: A session with less slack than this is not shed; covers refresh and commands.
        stay: Urgency of taking power already (`optimizer.tracking.urgency`).
        shed: Urgency per unit of having been shed lately.
        patience_kw: What a transformer's rows may be apart before they are moved.
        reaction_s: Usual time from a command to the meter that shows it; on top of the age of its sample.
        meter_s: Time constant in which the meters' difference is believed; above the age of their samples.
        correction_ratio: Bound of that correction, as a share of the reserved power: chargers that were throttled make
            good what their sessions' baselines take as taken, and others have to give as much.
        spare_ratio: Power that the rows of the grades in use have together, as a share of the reserved power: the rest
            makes up for rows that fail.
        choice_s: Time between two looks at which grades are needed.
        drift: Energy of stores.
    """

    horizon_s: float = 900.0
    margin_s: float = 240.0
    stay: float = 0.3
    shed: float = 0.05
    patience_kw: float = 40.0
    reaction_s: float = 6.0
    meter_s: float = 120.0
    correction_ratio: float = 0.15
    spare_ratio: float = 1.25
    choice_s: float = 20.0
    drift: StoreDrift = field(default_factory=StoreDrift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Moves of one tick.

    Attributes:
        rows: Rows with a new power, each once, but for those that take no command at present, shape ``(r,)``.
        power_kw: Their powers, net, load positive, shape ``(r,)``.
        wait: Rows to be commanded only when the others have moved: on the way a limit could be passed, ``(r,)``.
        base_kw: Sum of the rows without the signal.
        asked_kw: Change asked, positive where net load is to fall.
        commanded_kw: Change commanded; differs where the live range ends, and by the two small corrections.
        up_kw: Further fall that could be commanded now.
        down_kw: Further rise that could be commanded now.
    """

    rows: RowArray
    power_kw: FloatArray
    wait: BoolArray
    base_kw: float
    asked_kw: float
    commanded_kw: float
    up_kw: float
    down_kw: float

    def __len__(self) -> int:
        return len(self.rows)


class RegulationFollower:
    """Follower of one request's signal.

    Args:
        capacity_kw: Power reserved in each direction.
        tree: The transformers above the fleet.
        index: The fleet.
        dispatch: Settings of the guard.
        settings: Of the follower.

    Raises:
        InputError: No capacity.
    """

    def __init__(
        self,
        *,
        capacity_kw: float,
        tree: FeederTree,
        index: FleetIndex,
        dispatch: DispatchSettings,
        settings: FollowSettings | None = None,
    ) -> None:
        if not capacity_kw > 0.0:
            raise InputError("capacity_kw", capacity_kw, "a power above 0")
        s = self._settings = settings or FollowSettings()
        self._aim_ratio, self._tree = dispatch.caps.aim_ratio, tree
        self._capacity_kw, self._grade, self._offered_kw = capacity_kw, 0, (0.0, 0.0)
        self._chosen_s = float("-inf")
        self._halves = TwoSided(index.is_class(*STORING) & (index.nameplate.p_min_kw < 0.0))
        both = len(self._halves)
        self._order = MeritOrder(
            node=self._halves.spread(index.transformer_code.astype(np.int64)),
            parent=tree.parent.astype(np.int64),
            patience_kw=s.patience_kw,
        )
        self._offers = Offers(
            low_kw=np.full(both, np.nan),
            high_kw=np.full(both, np.nan),
            floor_kw=self._halves.spread(index.nameplate.floor_kw),
            key=np.full(both, 255, dtype=np.uint8),
        )
        self._correction = AnswerCorrection(
            time_s=s.meter_s, most_kw=s.correction_ratio * capacity_kw, reaction_s=s.reaction_s
        )
        self._drift = NeutralDrift(
            time_s=s.drift.time_s, most_kw=s.drift.ratio * capacity_kw, spare_kwh=s.drift.spare_h * capacity_kw
        )
        self._ahead_kwh = np.zeros(len(index))
        self._ev = index.is_class(ResourceClass.EV)
        self._stores = index.is_class(*STORING)
        self._taking = np.zeros(len(index), dtype=np.bool_)
        self._pinned = np.zeros(len(index), dtype=np.bool_)
        self._top_kw = np.full(len(index), np.nan)
        self._width_kw = np.zeros(len(index))
        self._base_rows_kw = np.full(len(index), np.nan)
        self._base_kw = self._bias_kw = 0.0
        self._seen_s = self._ticked_s = float("nan")
        self._stored_kw = 0.0

    @property
    def power_kw(self) -> FloatArray:
        """Power commanded to every row that takes part, NaN elsewhere, shape ``(n_resources,)``."""
        return np.where(self._taking, self._halves.power_kw(self._order.power_kw), np.nan)

    def setpoints_kw(self, rows: RowArray, held: BoolArray) -> FloatArray:
        """Return the setpoints of ``rows``, NaN for those that are to be free, shape ``(len(rows),)``.

        A charger that may take all it would take is free, and so is a store that stays on its plan, unless it was
        commanded already: so it stays assigned and needs no release for every change of sign.

        Args:
            rows: Rows, shape ``(r,)``.
            held: Which of them have a setpoint of this request, shape ``(r,)``.
        """
        setpoint = self._halves.setpoint_kw(rows.astype(np.int64), self._order)
        at_top = self._ev[rows] & (setpoint >= self._top_kw[rows] - _SAME_KW)
        at_rest = ~self._ev[rows] & ~held & (np.abs(setpoint - self._base_rows_kw[rows]) <= _SAME_KW)
        return np.where(self._taking[rows] & ~at_top & ~at_rest, setpoint, np.nan)

    def base_kw(self, rows: RowArray) -> FloatArray:
        """Return the power of ``rows`` without the signal, NaN for those that take no part, shape ``(len(rows),)``."""
        return self._base_rows_kw[rows]

    @property
    def range_kw(self) -> tuple[float, float]:
        """How far net load can fall and rise from the base point now: what can be declared."""
        low, high = self._order.range_kw
        return self._base_kw - low, high - self._base_kw

    def refresh(self, state: FleetState, reservation: Reservation) -> None:
        """Take the snapshot of a full cycle, and the rows that hold the reservation in it."""
        base_kw, held_kw, pinned = reservation.base_kw, reservation.held_kw, reservation.pinned
        taking = self._able(state, reservation.holding, base_kw)
        low, high = self._ranges(state, taking, base_kw, reservation.kept)
        low, high = np.where(pinned & taking, state.power_kw, low), np.where(pinned & taking, state.power_kw, high)
        low, high = self._chosen(state.at_s, (low, high), base_kw, pinned, reservation.grade)
        elapsed_s = 0.0 if np.isnan(self._seen_s) else max(state.at_s - self._seen_s, 0.0)
        self._seen_s = state.at_s
        self._remember(state, taking, elapsed_s)
        self._meet(taking, np.where(np.isnan(held_kw), base_kw, held_kw))
        self._pinned = pinned
        self._taking, self._top_kw, self._width_kw = taking, high, np.where(taking, high - low, 0.0)
        self._base_rows_kw = np.where(taking, base_kw, np.nan)
        self._base_kw = float(np.where(pinned, base_kw, np.clip(base_kw, low, high))[taking].sum())
        accounted = reservation.accounted
        self._limit(no_doubt(state.power_kw) if accounted is None else accounted, taking)
        self._halves.put(np.arange(len(state)), low, high, self._offers.low_kw, self._offers.high_kw)
        self._key(state, reservation.shed)
        self._order.refresh(self._offers)
        self._measure(state, taking, reservation, elapsed_s)

    def tick(self, now_s: float, asked_kw: float) -> Followed:
        """Move the rows to the base point less ``asked_kw``, and return those that change.

        Args:
            now_s: Epoch seconds.
            asked_kw: Change asked, positive where net load is to fall.
        """
        elapsed_s = 0.0 if np.isnan(self._ticked_s) else max(now_s - self._ticked_s, 0.0)
        self._ticked_s = now_s
        self._bias_kw = self._drift.update(above_base_kw=self._stored_kw, elapsed_s=elapsed_s)
        self._correction.due(now_s, asked_kw - self._bias_kw)
        target_kw = self._base_kw - asked_kw + self._bias_kw + self._correction.value_kw
        moves = self._halves.joined(self._order.tick(target_kw), self._order)
        low, high = self._order.range_kw
        # What a row that is pinned does is known by its meter: nothing is asked of it, now or in a later tick.
        commanded = ~self._pinned[moves.rows]
        return Followed(
            rows=moves.rows[commanded].astype(np.int32),
            power_kw=moves.power_kw[commanded],
            wait=moves.wait[commanded],
            base_kw=self._base_kw,
            asked_kw=asked_kw,
            commanded_kw=self._base_kw - moves.total_kw,
            up_kw=moves.total_kw - low,
            down_kw=high - moves.total_kw,
        )

    def _able(self, state: FleetState, holding: BoolArray, base_kw: FloatArray) -> BoolArray:
        """Return the rows that take part: there, freshly metered, no roof, no charger with nothing to throttle."""
        index = state.index
        metered = (state.quality == Quality.GOOD) | (state.quality == Quality.SUBSTITUTED)
        known = holding & state.connected & metered & ~np.isnan(base_kw) & ~np.isnan(state.power_kw)
        absent = index.is_class(*CHARGING) & ~state.plugged
        idle = index.is_class(ResourceClass.EV) & ~(base_kw > index.nameplate.floor_kw)
        return np.asarray(known & ~absent & ~idle & ~index.is_class(ResourceClass.PV))

    def _ranges(
        self, state: FleetState, taking: BoolArray, base_kw: FloatArray, kept: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power as the guard would let them through, NaN for rows that take no part.

        A charger is throttled between the least it can hold and what it takes by itself, never stopped: a signal that
        turns every few minutes would stop and start it all day. A session that must not be reduced stays where it is.
        """
        index, ev = state.index, state.index.is_class(ResourceClass.EV)
        least = np.where(ev, index.nameplate.floor_kw, index.nameplate.p_min_kw)
        most = np.where(ev, np.minimum(index.nameplate.p_max_kw, base_kw), index.nameplate.p_max_kw)
        low = clamp(state, np.where(taking, least, np.nan), kept)
        high = clamp(state, np.where(taking, most, np.nan), kept)
        # The guard's range of a charger that is kept is its default, which is a ceiling; it takes what it takes.
        stay = np.where(ev, np.where(taking, base_kw, np.nan), np.clip(base_kw, np.fmin(low, high), high))
        return np.where(kept, stay, np.fmin(low, high)), np.where(kept, stay, high)

    def _chosen(
        self,
        now_s: float,
        ranges: tuple[FloatArray, FloatArray],
        base_kw: FloatArray,
        pinned: BoolArray,
        grade: CodeArray | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return ``ranges``, least and greatest powers, with rows of a grade that is not needed left at their base."""
        low, high = ranges
        if grade is None or not grade.any():
            return low, high
        if not now_s < self._chosen_s + self._settings.choice_s:
            self._chosen_s = now_s
            self._choose(low, high, np.clip(base_kw, low, high), grade)
        left = np.flatnonzero((grade > self._grade) & ~pinned & ~np.isnan(low))
        base = np.clip(base_kw[left], low[left], high[left])
        low[left] = high[left] = base
        return low, high

    def _choose(self, low: FloatArray, high: FloatArray, base: FloatArray, grade: CodeArray) -> None:
        """Choose the highest grade whose rows are moved."""
        need_kw = self._settings.spare_ratio * self._capacity_kw
        cut_kw, raise_kw = np.nan_to_num(base - low), np.nan_to_num(high - base)
        least = min(self._grade + self._held_back, int(grade.max()))
        self._grade = chosen_grade(grade, cut_kw, raise_kw, need_kw=need_kw, at_least=least)
        used = grade <= self._grade
        self._offered_kw = (float(cut_kw[used].sum()), float(raise_kw[used].sum()))

    @property
    def _held_back(self) -> bool:
        """Whether limits above the rows in use keep them from what would be enough without these."""
        pairs = zip(self._offered_kw, self.range_kw, strict=True)
        return any(offered > self._capacity_kw > reached for offered, reached in pairs)

    def _meet(self, taking: BoolArray, power_kw: FloatArray) -> None:
        """Take rows that join as being where they are already, so that only those that move are commanded."""
        joining = np.flatnonzero(taking & ~self._taking)
        ids = self._halves.halves_of(joining)
        self._order.believe(ids, self._halves.part_kw(ids, power_kw))

    def _remember(self, state: FleetState, taking: BoolArray, elapsed_s: float) -> None:
        """Add up by how much each row is ahead of its base; a row that left starts at 0."""
        apart_kw = state.power_kw - self._base_rows_kw
        self._ahead_kwh += np.where(np.isnan(apart_kw), 0.0, apart_kw) * elapsed_s / SECONDS_PER_HOUR
        self._ahead_kwh[~taking] = 0.0

    def _limit(self, accounted: AccountedLoad, taking: BoolArray) -> None:
        """Set the limits the guard aims at, and the flow through the nodes without the rows of the order.

        What is in doubt counts with its most against import and with its least against export.
        """
        tree, ratio = self._tree, self._aim_ratio
        most_kw = np.where(taking, 0.0, accounted.most_kw)
        lower = -ratio * tree.export_limit_kw
        if accounted.doubtful:
            lower = lower + tree.load_kw(most_kw) - tree.load_kw(np.where(taking, 0.0, accounted.least_kw))
        self._order.limit(lower_kw=lower, upper_kw=ratio * tree.limit_kw, fixed_kw=tree.own_kw(most_kw))

    def _key(self, state: FleetState, shed: FloatArray) -> None:
        """Write the keys of all halves."""
        s, spread = self._settings, self._halves.spread
        due = self._base_rows_kw * s.horizon_s / SECONDS_PER_HOUR - self._ahead_kwh
        slack = state.laxity_s(np.maximum(state.index.nameplate.p_max_kw, 1e-9))
        wants = Wants(
            self._offers.low_kw,
            self._offers.high_kw,
            spread(due),
            spread(slack),
            self._order.power_kw,
            spread(np.asarray(shed, dtype=np.float64)),
        )
        weights = Weights(margin_s=s.margin_s, stay=s.stay, burden=s.shed)
        keys(np.arange(len(self._halves), dtype=np.int64), wants, weights, s.horizon_s, self._offers.key)

    def _measure(self, state: FleetState, taking: BoolArray, reservation: Reservation, elapsed_s: float) -> None:
        """Compare the answer with the change that was due then, and note what stores took."""
        own_kw, answered_kw = self._base_kw - float(state.power_kw[taking].sum()), reservation.answered_kw
        at_s = self._read_s(state) if np.isnan(reservation.answered_at_s) else reservation.answered_at_s
        self._correction.answered(at_s, own_kw if np.isnan(answered_kw) else answered_kw, elapsed_s)
        stores = taking & self._stores
        self._stored_kw = float((state.power_kw - self._base_rows_kw)[stores].sum())

    def _read_s(self, state: FleetState) -> float:
        """Return when the rows' meters were read, in the mean weighted by their ranges; now without any."""
        whole_kw = float(self._width_kw.sum())
        return float(self._width_kw @ np.nan_to_num(state.power_at_s)) / whole_kw if whole_kw > 0.0 else state.at_s
