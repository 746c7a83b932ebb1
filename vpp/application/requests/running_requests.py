"""Running requests, followed cycle by cycle."""

from collections.abc import Callable, Mapping, Sequence

from vpp.application.delivery.measurement import Measurement
from vpp.application.requests.announcements import Announcements
from vpp.application.requests.quoting import Quoter
from vpp.application.row_alignment import fitted_flags
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.fleet.fleet_state import FleetState

_RETIRED = "retired"
"""Reason of rows that have left the fleet since they were enlisted."""


class RunningRequests:
    """Passes every cycle on to those who follow requests.

    Args:
        engine: Holds requests and the fleet.
        announcements: Publishes transitions.
        measurement: Tracks delivery against the baseline.
        quoter: Learns how well setpoints are kept.
        fell_short: Called when a request begins to fall short, so that a re-dispatch is made for it.

    Attributes:
        progress: Target, baseline, measured and delivered power of the last cycle, by request id.
    """

    def __init__(
        self,
        *,
        engine: DispatchEngine,
        announcements: Announcements,
        measurement: Measurement,
        quoter: Quoter,
        fell_short: Callable[[], None],
    ) -> None:
        self.progress: dict[str, Progress] = {}
        self._engine = engine
        self._announcements = announcements
        self._measurement = measurement
        self._quoter = quoter
        self._fell_short = fell_short
        self._short: set[str] = set()

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Take the outcome of a cycle."""
        self.progress = {p.request_id: p for p in result.progress}
        short = {p.request_id for p in result.progress if p.shortfall is not None}
        if short - self._short:
            self._fell_short()
        self._short = short
        if result.transitions:
            for request in self._engine.book.all():
                self._announcements.publish(request, state.at_s)
        self._measurement.follow(state, result)
        self._quoter.follow(state, result)

    def figures(self, request_id: str) -> dict[str, float] | None:
        """Return a request's progress for the edges, ``None`` while it does not run."""
        progress = self.progress.get(request_id)
        return None if progress is None else progress_body(progress)

    def losses(self, request_id: str) -> Mapping[str, Sequence[str]]:
        """Return ids of the enlisted resources that cannot be called now, by reason."""
        progress, index = self.progress.get(request_id), self._engine.index
        if progress is None:
            return {}
        gone = index.out_of_service
        enlisted = self._measurement.portfolios.get(request_id)
        if len(gone) and enlisted is not None:
            gone = gone[fitted_flags(enlisted, len(index))[gone]]
            lost = {**progress.lost, _RETIRED: gone} if len(gone) else progress.lost
        else:
            lost = progress.lost
        return {why: [index.resources[row].id for row in rows.tolist()] for why, rows in lost.items()}


def progress_body(progress: Progress) -> dict[str, float]:
    """Return how a running request stands; kW."""
    return {
        "target_kw": progress.target_kw,
        "baseline_kw": progress.baseline_kw,
        "measured_kw": progress.measured_kw,
        "delivered_kw": progress.delivered_kw,
        "rows": progress.rows,
        "metered_ratio": progress.metered_ratio,
    }
