"""Requests in force as the planner needs them: targets on its steps, storage to leave alone, rebound to recover."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.application.row_alignment import fitted_flags
from vpp.application.standing.wanted_reserve import nothing_wanted
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.request import CITY, DispatchRequest, Product
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import STEP_S, STEPS_PER_DAY
from vpp.fleet.fleet_state import FleetState
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.ports import Clock
from vpp.state.eligibility import part_rows

_AT_ONCE_S = 6.0 * 3600.0
"""Time before its ramp from which a request is planned for; earlier plans would be superseded anyway."""
_LONGEST_RECOVERY_S = 12.0 * 3600.0
"""Longest recovery that is planned for."""
_RETURN_RATIO = 0.75
"""Share of the rebound cap that recovers as energy: nine tenths, less the losses of charging and discharging."""
_SAMPLES = 15
"""Instants a ramp's mean over a step is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitments:
    """Commitments out of the book of requests (`vpp.application.loops.slow_loop.PlannedCommitments`).

    Attributes:
        book: All requests.
        portfolios: Enlisted rows by request id, shape ``(n_resources,)`` each.
        clock: The only source of time.
        wanted: Returns the reserve that is worth its price on the steps of a plan.
    """

    book: RequestBook
    portfolios: Mapping[str, BoolArray]
    clock: Clock
    wanted: Callable[[TimeGrid], ReserveDemand] = nothing_wanted

    def kept_until_s(self) -> float | None:
        """Return epoch seconds until which the plan of storage and V2G is the baseline of a request."""
        running = self.book.running(self.clock.now_s())
        return max((self.book.timetable(request.id).watched_s for request in running), default=None)

    def upcoming(self, state: FleetState) -> Sequence[Commitment]:
        """Return every committed request whose watch is not over and whose ramp is near, on the rows enlisted for it.

        Requests for regulation are none of them: their signal takes as much as it gives, and storage stays on the plan.
        """
        grid = TimeGrid(start_at=instant(floor_s(state.at_s, STEP_S)), count=STEPS_PER_DAY)
        return tuple(
            _commitment(request, self.book.timetable(request.id), self._rows(request, state), grid)
            for request in self.book.running(state.at_s)
            if request.draft.product is not Product.REGULATION
            and self.book.timetable(request.id).ramp_s - state.at_s <= _AT_ONCE_S
        )

    def recoveries(self, now_s: float) -> Sequence[EnergyRecovery]:
        """Return the energy still to be recovered at ``now_s`` from requests on the whole city with a rebound cap."""
        found = (self._recovery(request) for request in self.book.given(now_s))
        return tuple(one for one in found if one is not None and now_s < one.until_s)

    def reserve(self, grid: TimeGrid) -> ReserveDemand:
        """Return the reserve that is worth its price on the steps of a plan."""
        return self.wanted(grid)

    def is_recovering(self, request: DispatchRequest, now_s: float) -> bool:
        """Return whether energy of a request is still to be recovered at ``now_s``."""
        recovery = self._recovery(request)
        return recovery is not None and now_s < recovery.until_s

    def _recovery(self, request: DispatchRequest) -> EnergyRecovery | None:
        """Return what a request leaves to be recovered, ``None`` for one on a part of the city or without a cap."""
        times, draft = self.book.timetable(request.id), request.draft
        cap_kw = draft.rebound_cap_kw
        if cap_kw is None or draft.area != CITY:
            return None
        given_kws = max(times.end_s - times.start_s, 0.0) * times.target_kw
        until_s = times.watched_s + min(given_kws / max(_RETURN_RATIO * cap_kw, 1e-9), _LONGEST_RECOVERY_S)
        return EnergyRecovery(direction=draft.direction, from_s=times.watched_s, until_s=until_s, cap_kw=cap_kw)

    def _rows(self, request: DispatchRequest, state: FleetState) -> BoolArray:
        enlisted = self.portfolios.get(request.id)
        return part_rows(request.draft, state.index) if enlisted is None else fitted_flags(enlisted, len(state))


def _commitment(request: DispatchRequest, times: PhaseTimes, rows: BoolArray, grid: TimeGrid) -> Commitment:
    starts_s = grid.starts_s()
    watched = (starts_s >= times.end_s) & (starts_s < times.watched_s)
    return Commitment(
        rows=rows,
        direction=request.draft.direction,
        grid=grid,
        target_kw=_means(times, grid),
        tolerance_ratio=request.draft.tolerance_ratio,
        rebound_cap_kw=request.draft.rebound_cap_kw,
        watched=watched,
    )


def _means(times: PhaseTimes, grid: TimeGrid) -> FloatArray:
    offsets = (np.arange(_SAMPLES) + 0.5) * grid.step_s / _SAMPLES
    instants = grid.starts_s()[:, None] + offsets
    due = np.array([times.target_at(at_s) for at_s in instants.ravel().tolist()])
    return np.asarray(due.reshape(instants.shape).mean(axis=1))
