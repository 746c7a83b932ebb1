"""Arbitration of a cycle: all proposals merged, each device's range kept, and every transformer's cap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from numerics.views import read_only
from vpp.dispatch.arbitration.cap_release import lift_caps, within_reach
from vpp.dispatch.arbitration.feeder_loads import FeederLoads
from vpp.dispatch.arbitration.guard import above_caps, clamp_rows, guard
from vpp.dispatch.arbitration.proposals import Authority, Proposal, merge, preference
from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.dispatch.flexibility.flexibility_scan import protected
from vpp.dispatch.rows.assignments import NOBODY, Assignments
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.rows.row_columns import Column
from vpp.dispatch.settings import CapMargins
from vpp.dispatch.views import devices_of, meters_of
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import CLASSES, FleetIndex

CAP = "cap"
"""Source of setpoints that hold a transformer's cap; stands in journals."""
_PLAN, _RELEASE, _PROMISE = "plan", "release", "promise"
_NOTICED_KW = 0.05
"""Less than this below what a session would take is no broken promise."""
_UNMET_COST = 0.5
"""Cost of an unmet promise beside the costs of cutting a class: less than between two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedSetpoints:
    """Setpoints of one request.

    Attributes:
        name: Its id.
        number: Its number, the ``owner`` of its rows.
        authority: Its authority.
        setpoint_kw: Power each of its rows is to take, NaN for the others, shape ``(n_resources,)``.
        uncontrolled_kw: Power each row would take undispatched, as the request sees it, shape ``(n_resources,)``.
    """

    name: str
    number: int
    authority: Authority
    setpoint_kw: FloatArray
    uncontrolled_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Arbitrated:
    """Setpoints of a cycle; shape ``(len(rows),)`` each.

    Attributes:
        rows: Rows looked at; nothing is wanted of the others and nothing is in force in them.
        setpoint_kw: Setpoint, NaN where none is needed.
        uncontrolled_kw: Power taken undispatched.
        leaving: The row is being released; ``setpoint_kw`` is where it returns to.
        urgent: Does not wait for the outcome of an earlier command.
        loads: Of every transformer.
        below_promise: Rows whose session must not be reduced and yet takes less, for a transformer's cap, rising; shape
            ``(n,)``.
    """

    rows: RowArray
    setpoint_kw: FloatArray
    uncontrolled_kw: FloatArray
    leaving: BoolArray
    urgent: BoolArray
    loads: FeederLoads
    below_promise: RowArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cycle:
    """Inputs of a cycle's arbitration; arrays of shape ``(n_resources,)``."""

    state: FleetState
    requested: Sequence[RequestedSetpoints]
    default_kw: FloatArray
    accounted: AccountedLoad
    known_load_kw: FloatArray
    commands: CommandColumns


class _Seen(NamedTuple):
    """Uncontrolled power of some rows, and which of them have a session that only a cap may reduce."""

    uncontrolled_kw: FloatArray
    kept: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    """Setpoints of some rows before the caps; power now is the most and the least each may take without a change."""

    setpoint_kw: FloatArray
    most_now_kw: FloatArray
    least_now_kw: FloatArray
    leaving: BoolArray


class Arbiter:
    """Arbitration, cycle by cycle.

    Args:
        index: The fleet.
        assignments: State of the rows; caps that bind are noted in it.
        caps: How near to a limit is aimed.
        cut_cost: Merit order of classes for being cut, cheapest first.
    """

    def __init__(
        self,
        index: FleetIndex,
        assignments: Assignments,
        *,
        caps: CapMargins,
        cut_cost: Mapping[ResourceClass, float],
    ) -> None:
        self._index, self._assignments, self._caps = index, assignments, caps
        self._cut_order = np.array([cut_cost[kind] for kind in CLASSES])[index.class_code]
        self._tree = index.feeders

    def arbitrate(
        self,
        state: FleetState,
        requested: Sequence[RequestedSetpoints],
        *,
        rows: RowArray,
        default_kw: FloatArray,
        accounted: AccountedLoad,
        commands: CommandColumns,
    ) -> Arbitrated:
        """Return the setpoints that may be sent; only near a cap is the whole fleet looked at.

        Args:
            state: The snapshot.
            requested: Setpoints of the running requests.
            rows: Rows that anything is wanted of or in force in.
            default_kw: Default value of every row, NaN where there is none, shape ``(n_resources,)``.
            accounted: Load every row is accounted with.
            commands: Commands of every row, read-only.
        """
        cycle = _Cycle(
            state=state,
            requested=requested,
            default_kw=default_kw,
            accounted=accounted,
            known_load_kw=self._tree.load_kw(accounted.known_kw),
            commands=commands,
        )
        seen = self._see(cycle, rows)
        merged = self._merge(cycle, rows, seen)
        loads = self._loads(cycle, merged, rows)
        over = above_caps(self._tree, loads.most_kw, self._caps, loads.least_kw)
        if not len(over) and np.isnan(self._assignments.columns.cap_kw[rows]).all():
            return Arbitrated(
                rows=rows,
                setpoint_kw=merged.setpoint_kw,
                uncontrolled_kw=seen.uncontrolled_kw,
                leaving=merged.leaving,
                urgent=seen.kept,
                loads=loads,
            )
        looked_at = np.zeros(len(state), dtype=np.bool_)
        looked_at[rows] = True
        for node in over:
            looked_at[self._tree.rows_under(int(node))] = True
        found = self._under_caps(cycle, np.flatnonzero(looked_at).astype(np.int32))
        everyone = np.arange(len(state), dtype=np.int32)
        while found is None:
            # A row that feeds in less may lift another node above its cap, whose rows have not been looked at.
            found = self._under_caps(cycle, everyone)
        return found

    def _loads(self, cycle: _Cycle, merged: _Merged, rows: RowArray) -> FeederLoads:
        """Return the loads of every transformer once the setpoints have taken effect."""
        most, least = cycle.accounted.most_kw, cycle.accounted.least_kw
        expected = np.where(np.isnan(merged.setpoint_kw), merged.most_now_kw, merged.setpoint_kw)
        change = self._tree.changes_kw(rows, expected - most[rows])
        if not cycle.accounted.doubtful:
            load = cycle.known_load_kw + change
            return FeederLoads(cycle.known_load_kw, load, load)
        load = self._tree.load_kw(most) + change
        expected = np.where(np.isnan(merged.setpoint_kw), merged.least_now_kw, merged.setpoint_kw)
        lower = self._tree.load_kw(least) + self._tree.changes_kw(rows, expected - least[rows])
        return FeederLoads(cycle.known_load_kw, load, lower)

    def _see(self, cycle: _Cycle, rows: RowArray) -> _Seen:
        """Return the uncontrolled power of each of ``rows``, as its request sees it, and the sessions not to reduce."""
        held, state = self._assignments.columns, cycle.state
        uncontrolled = self._assignments.resting_kw(rows, cycle.accounted.most_kw)
        for request in cycle.requested:
            mine = held.owner[rows] == request.number
            uncontrolled[mine] = request.uncontrolled_kw[rows[mine]]
        uncontrolled = within_reach(uncontrolled, state.available_min_kw[rows])
        kept = protected(
            devices_of(self._index),
            meters_of(state),
            state.at_s,
            read_only(rows),
            read_only(uncontrolled),
            read_only(~np.isnan(held.setpoint_kw[rows]) | ~np.isnan(held.cap_kw[rows])),
        )
        return _Seen(uncontrolled, kept)

    def _merge(self, cycle: _Cycle, rows: RowArray, seen: _Seen) -> _Merged:
        """Return the setpoints of ``rows`` by all proposals together, inside each device."""
        index, accounted, state = self._index, cycle.accounted, cycle.state
        staying = np.isnan(self._assignments.columns.returning_s[rows])
        low = index.nameplate.p_min_kw[rows]
        proposals = self._proposals(cycle, rows, seen.kept)
        power = merge(proposals, low, np.maximum(index.nameplate.p_max_kw[rows], low)).power_kw
        # A row that is being released is judged at the power it will return to, so that a cap can keep it a while.
        connected = state.connected[rows]
        leaving = (cycle.commands.in_force.limited_s[rows] > state.at_s) & np.isnan(power) & connected
        wanted = np.where(connected, np.where(leaving, seen.uncontrolled_kw, power), np.nan)
        return _Merged(
            setpoint_kw=clamp_rows(state, rows, wanted, seen.kept),
            most_now_kw=np.where(staying, accounted.most_kw[rows], seen.uncontrolled_kw),
            least_now_kw=np.where(staying, accounted.least_kw[rows], seen.uncontrolled_kw),
            leaving=leaving,
        )

    def _under_caps(self, cycle: _Cycle, rows: RowArray) -> Arbitrated | None:
        """Let the guard cut among ``rows``; caps that bind are noted. ``None`` where others would have to be cut."""
        state, accounted, seen = cycle.state, cycle.accounted, self._see(cycle, rows)
        kept = _spread(seen.kept, rows, np.zeros(len(state), dtype=np.bool_))
        uncontrolled = _spread(seen.uncontrolled_kw, rows, accounted.most_kw)
        # Within a class, sessions whose promise is kept are cut before those whose is not.
        order = self._cut_order + np.where(state.need_kwh > 0.0, _UNMET_COST, 0.0)
        urgent = seen.kept
        if lift_caps(
            self._assignments,
            self._tree,
            state,
            accounted=accounted,
            uncontrolled_kw=uncontrolled,
            kept=kept,
            order=order,
            caps=self._caps,
        ):
            seen = self._see(cycle, rows)
        merged = self._merge(cycle, rows, seen)
        result = guard(
            state,
            self._tree,
            wanted_kw=_spread(merged.setpoint_kw, rows, np.full(len(state), np.nan)),
            now_kw=_spread(merged.most_now_kw, rows, accounted.most_kw),
            least_kw=_spread(merged.least_now_kw, rows, accounted.least_kw) if accounted.doubtful else None,
            kept=kept,
            fixed=~state.connected | (state.at_s < cycle.commands.back_off.blocked_s),
            order=order,
            caps=self._caps,
        )
        if np.count_nonzero(result.capped) > np.count_nonzero(result.capped[rows]):
            return None
        capped = np.flatnonzero(result.capped)
        self._assignments.cap(capped, result.power_kw[capped], uncontrolled[capped])
        return Arbitrated(
            rows=rows,
            setpoint_kw=result.power_kw[rows],
            uncontrolled_kw=self._noted_kw(rows, seen.uncontrolled_kw),
            leaving=merged.leaving & ~result.capped[rows],
            urgent=urgent | result.capped[rows],
            loads=FeederLoads(cycle.known_load_kw, result.load_kw, result.least_load_kw),
            below_promise=self._below_promise(kept, result.power_kw, uncontrolled),
        )

    def _below_promise(self, kept: BoolArray, power_kw: FloatArray, uncontrolled_kw: FloatArray) -> RowArray:
        """Return the kept sessions that a cap holds below what they would take undispatched."""
        below = power_kw < uncontrolled_kw - _NOTICED_KW
        return np.flatnonzero(kept & ~np.isnan(self._assignments.columns.cap_kw) & below).astype(np.int32)

    def _noted_kw(self, rows: RowArray, uncontrolled_kw: FloatArray) -> FloatArray:
        """Return uncontrolled powers, as noted when the cap first bound for rows that are held for a cap alone."""
        held = self._assignments.columns
        noted = ~np.isnan(held.cap_kw[rows]) & (held.owner[rows] == NOBODY) & ~np.isnan(held.uncontrolled_kw[rows])
        return np.where(noted, held.uncontrolled_kw[rows], uncontrolled_kw)

    def _proposals(self, cycle: _Cycle, rows: RowArray, kept: BoolArray) -> list[Proposal]:
        """Return the proposals for ``rows``, by their places in it."""
        held = self._assignments.columns
        setpoint, cap = held.setpoint_kw[rows], held.cap_kw[rows]
        due = ~np.isnan(held.release_due_s[rows])
        promised = kept & self._index.is_class(ResourceClass.EV)[rows] & (~np.isnan(setpoint) | ~np.isnan(cap))
        limit = preference(CAP, Authority.TRANSFORMER_CAP, np.where(np.isnan(cap), np.nan, np.fmin(setpoint, cap)))
        return [
            preference(_PLAN, Authority.TARIFF, cycle.default_kw[rows]),
            *(preference(one.name, one.authority, one.setpoint_kw[rows]) for one in cycle.requested),
            preference(_RELEASE, Authority.PEAK_SHAVING, np.where(due, setpoint, np.nan)),
            preference(_PROMISE, Authority.PROMISE, np.where(promised, self._index.nameplate.default_kw[rows], np.nan)),
            replace(limit, high_kw=cap[limit.rows]),
        ]


def _spread(values: Column, rows: RowArray, others: Column) -> Column:
    """Return ``others`` with ``values`` in ``rows``."""
    whole = others.copy()
    whole[rows] = values
    return whole
