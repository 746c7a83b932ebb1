"""Shadow quotes: standard windows quoted every quarter of an hour for nobody, and judged once they are over.

::

    snapshot ──► standard windows ──► journal ──► book: open ──► judged ──► law of errors ──► quotes
        └──► kept for two hours ──► hindsight, with the meters' means ──┘

They disturb nobody and cost a part of a second of one thread. Windows in which a request ran, or soon after one, are
left out: nobody knows what its rows could have given. What finished requests delivered counts besides.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import structlog

from vpp.application.delivery.settlement import was_ramped
from vpp.application.loops.forecaster import Forecaster
from vpp.application.loops.quarter_hours import every_quarter_hour
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.quoting import Quoter
from vpp.application.row_alignment import fitted_rows
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import areas_overlap
from vpp.domain.errors import VppError
from vpp.domain.performance import Performance
from vpp.domain.request import CITY, DispatchRequest, QuoteCalibration, QuoteRecord, RequestState
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.fleet_state import FleetState
from vpp.planning.calibration.cells import BLOCKS, DIRECTIONS, LENGTH_STEPS, NOTICES
from vpp.planning.calibration.hindsight import SeenWindow, hindsight_of
from vpp.planning.calibration.past_snapshot import PastSnapshot
from vpp.planning.calibration.request_outcome import known_request
from vpp.planning.calibration.standard_windows import standard_windows
from vpp.planning.calibration.window_book import NOT_SEEN, KnownRequest, KnownWindow, WindowBook
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.ports import Journal
from vpp.record.state_codec import StateTree
from vpp.runtime.observability import Metrics

_log = structlog.get_logger(__name__)
WINDOWS = "quote.windows"
AFTER_S = 150.0
"""Time after a quarter of an hour's begin: its plan is in force by then, and the meters' means before it are final."""
_RECOVERING_S = 2.0 * SECONDS_PER_HOUR
"""Time after a request's watch in which its rows are not yet what they would have been."""
_SNAPSHOTS = max(LENGTH_STEPS) + 3
_LEAST_SHOWN = 200
"""Windows after which the share that was kept is shown as a metric."""
UNDER_DISPATCH, NOT_METERED = "under_dispatch", "not_metered"


class ShadowQuotes:
    """Quotes standard windows, judges them, and keeps both in the journal.

    Args:
        picture: The fleet as it is known.
        quoter: Knows eligible rows and response rates, and quotes by what is learnt here.
        forecaster: Forecasts the load.
        requests: All requests.
        performance: Returns the measurement of a request.
        journal: Holds every window and what became of it.
        metrics: Shows how much was kept.
        metered_until_s: Returns epoch seconds until which every interval is final.

    Attributes:
        book: Windows that wait to be judged, and what was learnt from those that were.
    """

    def __init__(
        self,
        *,
        picture: OperatingPicture,
        quoter: Quoter,
        forecaster: Forecaster,
        requests: RequestBook,
        performance: Callable[[str], Performance | None],
        journal: Journal,
        metrics: Metrics,
        metered_until_s: Callable[[], float],
    ) -> None:
        self.book: WindowBook = quoter.windows
        self._picture = picture
        self._quoter = quoter
        self._forecaster = forecaster
        self._requests = requests
        self._performance = performance
        self._journal = journal
        self._metrics = metrics
        self._metered_until_s = metered_until_s
        self._snapshots: dict[float, PastSnapshot] = {}

    def resume(self, state: StateTree) -> None:
        """Go on from the book of earlier runs."""
        self.book.load(state)
        self.show()

    async def run(self) -> None:
        """Quote and judge every quarter of an hour until cancelled; a turn that fails is logged, and the next comes."""
        await every_quarter_hour(self._picture.clock, self.turn, after_s=AFTER_S, failed="shadow quotes failed")

    async def turn(self) -> None:
        """Judge the windows that are over, and quote new ones; nothing before the first plan."""
        state, schedule = self._picture.state(), self._picture.schedule
        if not len(state) or schedule is None:
            return
        body = await asyncio.to_thread(self._body, state, schedule)
        self._journal.append(WINDOWS, state.at_s, body)
        self.book.follow(body)
        self.show()

    def show(self) -> None:
        """Show the share of p10 that was kept, by notice and block."""
        for notice, name in enumerate(NOTICES):
            for number, block in enumerate(BLOCKS):
                kept = self.book.tally.pooled(notice, number)
                ratio = kept.ratio[0] if kept.windows >= _LEAST_SHOWN else float("nan")
                self._metrics.observe_quotes_kept(name, block, ratio)

    def record(self) -> QuoteCalibration:
        """Return how quotes were kept so far."""
        records = [
            QuoteRecord(
                area=area,
                direction=DIRECTIONS[cell.direction],
                notice=NOTICES[cell.notice],
                block=BLOCKS[cell.block],
                windows=kept.windows,
                kept_ratio=kept.ratio,
                since_at=instant(kept.since_s),
                learnt=self.book.calibration.learns(cell.direction, cell.level),
            )
            for area, cell, kept in self.book.tally.rows()
        ]
        return QuoteCalibration(records=tuple(records), left_out=dict(self.book.left_out))

    def _body(self, state: FleetState, schedule: Schedule) -> Mapping[str, object]:
        """Return one entry of the journal; blocks."""
        eligible = self._quoter.countable(state, schedule)
        basis = self._quoter.quotes.basis(
            state=state,
            forecast=self._forecaster.current(state),
            schedule=schedule,
            delivery_ratio=partial(self._quoter.delivery_ratio, state),
            eligible=eligible,
        )
        self._keep(PastSnapshot.of(state, floor_s(state.at_s, STEP_S), eligible))
        over_s = min(self._metered_until_s(), floor_s(state.at_s, STEP_S))
        return {
            "passable": True,
            "at_s": state.at_s,
            "known": [self._known(start_s, steps, basis).body() for start_s, steps in self.book.due(over_s)],
            "requests": [one.body() for one in self._finished(state.at_s)],
            "settled_s": state.at_s,
            "quoted": standard_windows(basis, self.book.calibration, state.at_s).body(),
        }

    def _keep(self, snapshot: PastSnapshot) -> None:
        self._snapshots[snapshot.start_s] = snapshot
        for start_s in sorted(self._snapshots)[:-_SNAPSHOTS]:
            del self._snapshots[start_s]

    def _known(self, start_s: float, steps: int, basis: FlexibilityBasis) -> KnownWindow:
        """Return what a window could have delivered, NaN for areas in which nobody can tell."""
        grid = TimeGrid(start_at=instant(start_s), count=steps)
        snapshots = [self._snapshots.get(start_s + STEP_S * step) for step in range(steps + 1)]
        seen = [snapshot for snapshot in snapshots if snapshot is not None]
        if len(seen) < len(snapshots):
            return _left_out(grid, NOT_SEEN)
        index = seen[0].state.index
        window = SeenWindow(
            snapshots=seen,
            metered_kw=fitted_rows(self._picture.meters.read(grid), len(index)),
            delivery_ratio=fitted_rows(basis.delivery_ratio, len(index)),
        )
        if not window.is_metered:
            return _left_out(grid, NOT_METERED)
        groups = basis.groups if index is basis.inputs.state.index else Aggregation.of(index)
        found = hindsight_of(window, groups, basis.inputs.policy)
        areas = (*(area.id for area in index.areas), CITY)
        under = self._under_dispatch(areas, grid)
        found.least_kw[:, under] = np.nan
        found.class_kw[:, under[:-1]] = np.nan
        return KnownWindow(
            start_s=start_s,
            steps=steps,
            areas=areas,
            deliverable_kw=found.least_kw,
            class_kw=found.class_kw if steps == LENGTH_STEPS[0] else None,
            left_out=UNDER_DISPATCH if under.any() else "",
        )

    def _under_dispatch(self, areas: Sequence[str], grid: TimeGrid) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return the areas in which a request ran in the window, or ended shortly before it, shape ``(A,)``."""
        under = np.zeros(len(areas), dtype=np.bool_)
        for request in self._requests.all():
            times = self._requests.timetable(request.id)
            if times.ramp_s < grid.end_s and times.watched_s + _RECOVERING_S > grid.start_s and was_ramped(request):
                under |= np.array([areas_overlap(area, request.draft.area) for area in areas])
        return under

    def _finished(self, now_s: float) -> list[KnownRequest]:
        """Return what became of the quotes of the requests that were settled since the last turn."""
        since_s = self.book.settled_s or now_s
        settled = [request for request in self._requests.all() if since_s < _settled_s(request) <= now_s]
        return [one for one in map(self._outcome, settled) if one is not None]

    def _outcome(self, request: DispatchRequest) -> KnownRequest | None:
        """Return what became of a request's quote; ``None`` where it cannot be said, or measured any more."""
        try:
            return known_request(request, self._performance(request.id))
        except VppError as error:
            _log.warning("request not counted among the quotes kept", request=request.id, why=str(error))
            return None


def _left_out(grid: TimeGrid, why: str) -> KnownWindow:
    """Return a window of which nothing is known."""
    nothing: FloatArray = np.zeros((len(DIRECTIONS), 0))
    return KnownWindow(start_s=grid.start_s, steps=grid.count, areas=(), deliverable_kw=nothing, left_out=why)


def _settled_s(request: DispatchRequest) -> float:
    """Return epoch seconds of a request's settlement, 0 before it."""
    return request.history[-1].at.timestamp() if request.state is RequestState.SETTLED else 0.0
