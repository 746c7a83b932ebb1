"""State of the service itself for the edges: readiness, command ledger, refused devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.operating_picture import PlansInForce
from vpp.application.trust.record_trust import RecordTrust
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.refused_connection import RefusedConnection
from vpp.runtime.observability import Metrics


class ServiceMonitor:
    """Answers `vpp.ports.ServiceStatus`.

    Args:
        engine: Knows the fleet and the command ledger.
        plans: The plans in force.
        plane: Knows pollers, leadership and refused devices.
        durability: Knows whether decisions can be stored.
        trust: Knows whether the record is verified.
        metrics: Knows the age of the last cycle.
        patience_wall_s: Returns wall seconds without a cycle after which the fast loop counts as stalled.
    """

    def __init__(
        self,
        *,
        engine: DispatchEngine,
        plans: PlansInForce,
        plane: DevicePlane,
        durability: Durability,
        trust: RecordTrust,
        metrics: Metrics,
        patience_wall_s: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._plans = plans
        self._plane = plane
        self._durability = durability
        self._trust = trust
        self._metrics = metrics
        self._patience_wall_s = patience_wall_s

    def ready(self) -> Mapping[str, bool]:
        """Return named readiness checks."""
        return {
            "fleet": len(self._engine.index) > 0,
            "plan": self._plans.schedule is not None,
            "pollers": self._plane.all_turn(),
            "storage": not self._durability.failing,
            "record": self._trust.trusted,
            "loop": not self._metrics.cycle_age_s() > self._patience_wall_s(),
            "leader": not self._plane.deposed(),
        }

    def commands(self) -> Mapping[str, int]:
        """Return what became of every setpoint so far."""
        ledger = self._engine.outbox.ledger()
        counts = {name: value for name, value in asdict(ledger).items() if isinstance(value, int)}
        return {**counts, "unaccounted": ledger.unaccounted}

    def refused_connections(self) -> Sequence[RefusedConnection]:
        """Return the devices whose connection was refused, the latest first."""
        return list(self._plane.refused_connections)
