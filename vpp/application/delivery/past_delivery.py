"""Delivery of the past: baselines and session means are read from the journal when they are asked for.

Both are as large as the fleet, one a request and one an interval; a service that has run for months has hundreds, and
needs those of requests that still run or were not settled yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vpp.application.cycle_record import array_of, baseline_of
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.recovery import minutes_of, resumed
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.domain.errors import AuditError, ConflictError
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.ports import Journal
from vpp.settlement.tracking import MinuteSeries, TrackedIntervals


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDelivery:
    """Entries of the journal in which the delivery of earlier runs stands.

    Attributes:
        journal: Where they are.
        baselines: Entry of every request's last frozen baseline, by request id.
        session_means: Entry of every interval's session means, by epoch seconds of its start.
        cycles: Cycles of every request by id: instant, target, baseline, measured power; shape ``(n_cycles, 4)`` each.
        minutes: Minute series of requests that this run has tracked and released, by id.
        forgotten: What stays known of forgotten requests.
    """

    journal: Journal
    baselines: dict[str, int] = field(default_factory=dict)
    session_means: dict[float, int] = field(default_factory=dict)
    cycles: dict[str, FloatArray] = field(default_factory=dict)
    minutes: dict[str, MinuteSeries] = field(default_factory=dict)
    forgotten: ForgottenCalls = field(default_factory=ForgottenCalls)

    def forget(self, request_ids: Iterable[str], means_from_s: float) -> None:
        """Drop requests, and session means of intervals before ``means_from_s``, epoch seconds."""
        for request_id in request_ids:
            self.baselines.pop(request_id, None)
            self.cycles.pop(request_id, None)
            self.minutes.pop(request_id, None)
        for start_s in [start_s for start_s in self.session_means if start_s < means_from_s]:
            del self.session_means[start_s]

    def baseline(self, request_id: str) -> Baseline:
        """Return the frozen baseline of a request; blocks.

        Raises:
            ConflictError: Its entry was pruned, or cannot be read.
        """
        sequence = self.baselines[request_id]
        return baseline_of(self._bodies({sequence}, f"the baseline of request {request_id}")[sequence])

    def means_on(self, grid: TimeGrid) -> Mapping[float, FloatArray]:
        """Return the session means of those intervals of a grid that have any, by start in epoch seconds; blocks.

        Raises:
            ConflictError: An entry was pruned, or cannot be read.
        """
        entry_of = {s: self.session_means[s] for s in grid.starts_s().tolist() if s in self.session_means}
        bodies = self._bodies(set(entry_of.values()), "session means", (SESSIONS,))
        return {start_s: array_of(bodies[sequence]["mean_kw"]) for start_s, sequence in entry_of.items()}

    def tracked(self, request_id: str, baseline: Baseline, direction: Direction) -> TrackedIntervals | None:
        """Return what was tracked of a request, its minutes only; ``None`` before its first cycle."""
        count, cycles = len(baseline.power_kw), self.cycles.get(request_id)
        if request_id in self.minutes:
            return resumed(baseline.grid, count, self.minutes[request_id])
        if cycles is None or not len(cycles):
            return None
        figures = np.asarray(cycles, dtype=np.float64)
        return resumed(baseline.grid, count, minutes_of(baseline.grid, figures, direction))

    def _bodies(self, wanted: AbstractSet[int], what: str, kinds: Sequence[str] = ()) -> dict[int, Any]:
        """Return the bodies of some entries, of ``kinds``, in one pass: they may stand in one large segment."""
        if not wanted:
            return {}
        entries = self.journal.entries(kinds, after=min(wanted) - 1, until=max(wanted))
        try:
            bodies: dict[int, Any] = {entry.sequence: entry.body for entry in entries if entry.sequence in wanted}
        except AuditError as error:
            raise ConflictError(f"{what} cannot be read: {error}") from error
        gone = min(wanted - bodies.keys(), default=0)
        if gone:
            raise ConflictError(f"{what} stood in entry {gone} of the journal, which was pruned")
        return bodies
