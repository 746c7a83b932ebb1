"""The last word of a cycle: all voices merged, each device's range kept, and every transformer's cap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vpp.dispatch.arbitration.assignment import resting_kw
from vpp.dispatch.arbitration.cap_release import lift_caps, within_reach
from vpp.dispatch.arbitration.feeder_loads import FeederTree
from vpp.dispatch.arbitration.guard import above_caps, clamp_rows, guard
from vpp.dispatch.arbitration.proposals import Authority, Proposal, merge, voice
from vpp.dispatch.code_sets import of_class
from vpp.dispatch.columns import CommandTable, RosterTable
from vpp.dispatch.flexibility.accounted_load import AccountedLoad, no_doubt
from vpp.dispatch.flexibility.flexibility_scan import protected
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.views import Column, meters_of, read_only, rules_of
from vpp.domain.fleet import CLASSES, FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray

CAP = "cap"
_PLAN = "plan"
_UNMET_COST = 0.5
"""What is left of a promise counts for, beside the costs of cutting a class: less than between two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one request asks for.

    Attributes:
        name: Its id.
        number: Its number in the roster's ``owner``.
        setpoint_kw: Power each of its rows should take, NaN for the others, shape ``(n_resources,)``.
        free_kw: Power each row would take if it were free, as it sees it, shape ``(n_resources,)``.
    """

    name: str
    number: int
    authority: Authority
    setpoint_kw: FloatArray
    free_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What is left to be sent when everybody has spoken; shape ``(len(rows),)`` each.

    Attributes:
        rows: Rows looked at; nothing is wanted of the others and nothing is in force in them.
        wanted_kw: Setpoint, NaN where none is needed.
        now_kw: Power taken without a change, the most it may be.
        least_kw: And the least.
        free_kw: Power taken if nobody dispatched it.
        kept: The driver must not be touched.
        leaving: The row is being let go; ``wanted_kw`` is where it returns to.
        urgent: Does not wait for the outcome of an earlier command.
        load_kw: Expected net load of every transformer, the most it may be, shape ``(n_transformers,)``.
        least_load_kw: And the least.
    """

    rows: RowArray
    wanted_kw: FloatArray
    now_kw: FloatArray
    least_kw: FloatArray
    free_kw: FloatArray
    kept: BoolArray
    leaving: BoolArray
    urgent: BoolArray
    load_kw: FloatArray
    least_load_kw: FloatArray


class Arbiter:
    """Has it in every cycle.

    Args:
        index: The fleet.
        settings: How near to a cap is near enough.
        roster: Caps that bind are noted in it.
        commands: What is in force.
    """

    def __init__(
        self, index: FleetIndex, settings: DispatchSettings, roster: RosterTable, commands: CommandTable
    ) -> None:
        self._index, self._settings = index, settings
        self._roster, self._commands = roster, commands
        self._default_kw = np.full(len(index), np.nan)
        self._reckoned = no_doubt(np.zeros(len(index)))
        self._known_load_kw = np.zeros(len(index.transformers))
        self._cut_order = np.array([settings.bulk_cost[kind] for kind in CLASSES])[index.class_code]
        self._tree = FeederTree(index)

    def loads_kw(self, power_kw: FloatArray) -> FloatArray:
        """Return the net load of every transformer, shape ``(n_transformers,)``."""
        return self._tree.loads_kw(power_kw)

    def speak(
        self,
        state: FleetState,
        asked: Sequence[Asked],
        *,
        rows: RowArray,
        default_kw: FloatArray,
        reckoned: AccountedLoad,
        known_load_kw: FloatArray,
    ) -> Finish:
        """Return what may be sent; only near a cap is the whole fleet looked at, and the guard cuts where it must.

        Args:
            state: The snapshot.
            asked: What the running requests ask for.
            rows: Rows that anything is wanted of or in force in.
            default_kw: Default value of every row, NaN where there is none, shape ``(n_resources,)``.
            reckoned: What every row counts for.
            known_load_kw: Net load of every transformer by what is known of the rows, shape ``(n_transformers,)``.
        """
        self._default_kw, self._reckoned, self._known_load_kw = default_kw, reckoned, known_load_kw
        finish = self._merged(state, asked, rows, self._seen(state, asked, rows))
        load, least = self._loads(finish, rows)
        over = above_caps(self._tree, load, self._settings, least)
        if not len(over) and np.isnan(self._roster.cap_kw[rows]).all():
            return replace(finish, load_kw=load, least_load_kw=least)
        looked_at = np.zeros(len(state), dtype=np.bool_)
        looked_at[rows] = True
        for node in over:
            looked_at[self._tree.rows_under(int(node))] = True
        found = self._under_caps(state, asked, np.flatnonzero(looked_at).astype(np.int32))
        everyone = np.arange(len(state), dtype=np.int32)
        while found is None:
            # Who feeds in less may lift another node above its cap, whose rows have not been looked at.
            found = self._under_caps(state, asked, everyone)
        return found

    def _loads(self, finish: Finish, rows: RowArray) -> tuple[FloatArray, FloatArray]:
        """Return the most and the least every transformer may then carry, shape ``(n_transformers,)`` each."""
        most, least = self._reckoned.most_kw, self._reckoned.least_kw
        expected = np.where(np.isnan(finish.wanted_kw), finish.now_kw, finish.wanted_kw)
        change = self._tree.changes_kw(rows, expected - most[rows])
        if not self._reckoned.doubtful:
            load = self._known_load_kw + change
            return load, load
        load = self._tree.loads_kw(most) + change
        expected = np.where(np.isnan(finish.wanted_kw), finish.least_kw, finish.wanted_kw)
        return load, self._tree.loads_kw(least) + self._tree.changes_kw(rows, expected - least[rows])

    def _seen(self, state: FleetState, asked: Sequence[Asked], rows: RowArray) -> tuple[FloatArray, BoolArray]:
        """Return the power each of ``rows`` would take if it were free, and who must not be touched."""
        free = within_reach(self._free(rows, self._reckoned.most_kw, asked), state.available_min_kw[rows])
        return free, self._kept(state, rows, free)

    def _free(self, rows: RowArray, shown: FloatArray, asked: Sequence[Asked]) -> FloatArray:
        """Return the power each of ``rows`` would take if it were free, as the request it works for sees it."""
        free = resting_kw(self._roster, rows, shown)
        owner = self._roster.owner[rows]
        for request in asked:
            mine = owner == request.number
            free[mine] = request.free_kw[rows[mine]]
        return free

    def _kept(self, state: FleetState, rows: RowArray, free: FloatArray) -> BoolArray:
        """Return which of ``rows`` have a driver who must not be touched."""
        commanded = ~np.isnan(self._roster.setpoint_kw[rows]) | ~np.isnan(self._roster.cap_kw[rows])
        return protected(
            read_only(self._index.class_code),
            read_only(self._index.nameplate.default_kw),
            meters_of(state),
            rules_of(self._settings),
            state.at_s,
            read_only(rows),
            read_only(free),
            read_only(commanded),
        )

    def _merged(
        self,
        state: FleetState,
        asked: Sequence[Asked],
        rows: RowArray,
        seen: tuple[FloatArray, BoolArray],
    ) -> Finish:
        """Return what all voices together want of ``rows``, inside each device."""
        index, roster, reckoned = self._index, self._roster, self._reckoned
        free, kept = seen
        staying = np.isnan(roster.returning_s[rows])
        low = index.nameplate.p_min_kw[rows]
        power = merge(self._proposals(asked, rows, kept), low, np.maximum(index.nameplate.p_max_kw[rows], low)).power_kw
        # A row that is being let go is judged at the power it will return to, so that a cap can keep it a while.
        connected = state.connected[rows]
        leaving = (self._commands.limited_s[rows] > state.at_s) & np.isnan(power) & connected
        wanted = np.where(connected, np.where(leaving, free, power), np.nan)
        return Finish(
            rows=rows,
            wanted_kw=clamp_rows(state, rows, wanted, kept, settings=self._settings),
            now_kw=np.where(staying, reckoned.most_kw[rows], free),
            least_kw=np.where(staying, reckoned.least_kw[rows], free),
            free_kw=free,
            kept=kept,
            leaving=leaving,
            urgent=kept,
            load_kw=np.zeros(0),
            least_load_kw=np.zeros(0),
        )

    def _under_caps(self, state: FleetState, asked: Sequence[Asked], rows: RowArray) -> Finish | None:
        """Let the guard cut among ``rows``; caps that bind are noted. ``None`` where others would have to be cut."""
        settings, seen, reckoned = self._settings, self._seen(state, asked, rows), self._reckoned
        kept_rows, shown = seen[1], reckoned.most_kw
        kept = _spread(kept_rows, rows, np.zeros(len(state), dtype=np.bool_))
        free = _spread(seen[0], rows, shown)
        # Within a class, whoever has what was promised waits for those who have not.
        order = self._cut_order + np.where(state.need_kwh > 0.0, _UNMET_COST, 0.0)
        if lift_caps(
            self._roster,
            self._tree,
            state,
            shown_kw=shown,
            least_kw=reckoned.least_kw,
            free_kw=free,
            kept=kept,
            order=order,
            settings=settings,
        ):
            seen = self._seen(state, asked, rows)
        finish = self._merged(state, asked, rows, seen)
        result = guard(
            state,
            self._tree,
            wanted_kw=_spread(finish.wanted_kw, rows, np.full(len(state), np.nan)),
            now_kw=_spread(finish.now_kw, rows, shown),
            least_kw=_spread(finish.least_kw, rows, reckoned.least_kw) if reckoned.doubtful else None,
            kept=kept,
            fixed=~state.connected | (state.at_s < self._commands.blocked_s),
            order=order,
            settings=settings,
        )
        if np.count_nonzero(result.capped) > np.count_nonzero(result.capped[rows]):
            return None
        self._note_caps(np.flatnonzero(result.capped), result.power_kw, free)
        roster, capped = self._roster, result.capped[rows]
        noted = ~np.isnan(roster.cap_kw[rows]) & (roster.owner[rows] < 0) & ~np.isnan(roster.free_kw[rows])
        return replace(
            finish,
            wanted_kw=result.power_kw[rows],
            free_kw=np.where(noted, roster.free_kw[rows], finish.free_kw),
            leaving=finish.leaving & ~capped,
            urgent=kept_rows | capped,
            load_kw=result.load_kw,
            least_load_kw=result.least_load_kw,
        )

    def _note_caps(self, capped: IdArray, power_kw: FloatArray, free: FloatArray) -> None:
        roster = self._roster
        fresh = capped[np.isnan(roster.cap_kw[capped])]
        unknown = fresh[np.isnan(roster.setpoint_kw[fresh]) & np.isnan(roster.returning_s[fresh])]
        roster.free_kw[unknown] = free[unknown]
        roster.cap_kw[capped] = power_kw[capped]
        roster.returning_s[capped] = np.nan
        roster.live[capped] = True

    def _proposals(self, asked: Sequence[Asked], rows: RowArray, kept: BoolArray) -> list[Proposal]:
        """Return the voices for ``rows``, which they know by their places."""
        roster = self._roster
        told, cap = roster.setpoint_kw[rows], roster.cap_kw[rows]
        voices = [voice(_PLAN, Authority.TARIFF, self._default_kw[rows])]
        voices += [voice(request.name, request.authority, request.setpoint_kw[rows]) for request in asked]
        voices.append(voice("home", Authority.PEAK_SHAVING, np.where(np.isnan(roster.home_s[rows]), np.nan, told)))
        commanded = ~np.isnan(told) | ~np.isnan(cap)
        promised = kept & of_class(self._index, ResourceClass.EV)[rows] & commanded
        voices.append(
            voice("promise", Authority.PROMISE, np.where(promised, self._index.nameplate.default_kw[rows], np.nan))
        )
        limit = voice(CAP, Authority.TRANSFORMER_CAP, np.where(np.isnan(cap), np.nan, np.fmin(told, cap)))
        voices.append(replace(limit, high_kw=cap[limit.rows]))
        return voices


def _spread(values: Column, rows: RowArray, others: Column) -> Column:
    """Return ``others`` with ``values`` in ``rows``."""
    whole = others.copy()
    whole[rows] = values
    return whole
