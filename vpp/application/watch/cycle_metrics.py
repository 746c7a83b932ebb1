"""Metrics of every cycle: fleet, requests, tracking, commands, telemetry quality, leadership."""

from collections.abc import Callable, Sequence
from types import MappingProxyType

from vpp.application.loops.device_plane import DevicePlane
from vpp.application.watch.device_troubles import DeviceTroubles, labels_of
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.domain.request import Product
from vpp.fleet.fleet_state import FleetState
from vpp.runtime.observability import Metrics
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.verdict import Verdict

_INGEST = "ingest"
"""Label of what the service refused itself, beside those of the adapters."""
_ALWAYS_SHOWN = MappingProxyType({("ocpp", "unauthorized"): 0, ("ocpp", "crash"): 0})
"""Counts that an alert watches: one that appears at 25 has not risen for it."""


class CycleMetrics:
    """Shows each cycle.

    Args:
        metrics: Where it is shown.
        engine: Holds requests and commands.
        plane: Counts what the links refused and repaired.
        ingest: Counts what the gate refused and repaired.
        troubles: Counts devices by trouble.
        unsettled: Returns how many requests could not be settled.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        engine: DispatchEngine,
        plane: DevicePlane,
        ingest: Ingest,
        troubles: DeviceTroubles,
        unsettled: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._engine = engine
        self._plane = plane
        self._ingest = ingest
        self._troubles = troubles
        self._unsettled = unsettled

    def observe(self, state: FleetState, result: CycleResult) -> None:
        """Show a cycle."""
        self._metrics.observe_fleet(state)
        self._observe_requests(result.progress)
        self._observe_telemetry(result.progress)
        self._observe_commands(result)

    def _observe_requests(self, running: Sequence[Progress]) -> None:
        metrics, book = self._metrics, self._engine.book
        metrics.observe_requests(book.all())
        metrics.set_requests_unsettled(self._unsettled())
        # A signal asks for nothing half of the time: as a share of that, no deviation means anything.
        steady = [p for p in running if book.get(p.request_id).draft.product is not Product.REGULATION]
        metrics.observe_tracking(sum(p.target_kw for p in steady), sum(p.delivered_kw for p in steady))

    def _observe_telemetry(self, running: Sequence[Progress]) -> None:
        metrics, plane, ingest = self._metrics, self._plane, self._ingest
        dropped = {(_INGEST, reason): count for reason, count in ingest.dropped.items()}
        metrics.observe_rejected({**_ALWAYS_SHOWN, **plane.rejected, **dropped})
        metrics.observe_samples(({verdict.word: 0 for verdict in Verdict} | dict(ingest.dropped)).items())
        repaired = {(_INGEST, kind): count for kind, count in ingest.healed.items()}
        metrics.observe_healed({**plane.repaired, **repaired}.items())
        metrics.observe_troubles(labels_of(self._troubles.counts))
        metrics.observe_metered(_metered_ratio(running))

    def _observe_commands(self, result: CycleResult) -> None:
        metrics, outbox = self._metrics, self._engine.outbox
        metrics.observe_ledger(outbox.ledger().by_reason)
        metrics.set_leader_epoch(outbox.epoch)
        metrics.set_leader_deposed(deposed=self._plane.deposed())
        # While a request runs, or its release does, rows are under way: limits left over show once none runs.
        if not result.progress:
            metrics.set_limits_not_restored(result.unrestored_rows)


def _metered_ratio(running: Sequence[Progress]) -> float:
    """Return the freshly metered share of all rows that work for requests, NaN while none does."""
    rows = sum(p.rows for p in running)
    return sum(p.rows * p.metered_ratio for p in running if p.rows) / rows if rows else float("nan")
