"""Intake of regulation signals, and the standing of the requests that follow them."""

from vpp.application.loops.durability import Durability
from vpp.application.refusals import counting_refusals
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.regulation import RegulationStanding
from vpp.domain.telemetry import FloatArray
from vpp.ports import Clock, Journal
from vpp.runtime.observability import Metrics


class SignalIntake:
    """Answers `vpp.ports.RegulationSignals`."""

    def __init__(
        self, *, clock: Clock, engine: DispatchEngine, journal: Journal, durability: Durability, metrics: Metrics
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._journal = journal
        self._durability = durability
        self._metrics = metrics

    async def take_signal(self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str) -> int:
        """Record values of a regulation signal; durable before this returns."""
        self._durability.require()
        with counting_refusals(self._metrics, "signal"):
            new = self._engine.regulation.portfolio.take(request_id, at_s, signal, unit=unit, now_s=self._clock.now_s())
        await self._journal.flush()
        return new

    def regulation(self, request_id: str) -> RegulationStanding:
        """Return how a request for regulation stands."""
        return self._engine.regulation.portfolio.standing(request_id, self._clock.now_s())
