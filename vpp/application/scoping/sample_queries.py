"""Queries on stored samples for the edges: one device, or an area by minute."""

from vpp.domain.errors import UnknownIdError
from vpp.domain.request import CITY
from vpp.domain.telemetry import FloatArray, IdArray, TelemetryBatch
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.ports import FleetStatus, TelemetryHistory


class SampleQueries:
    """Answers `vpp.ports.SampleHistory`.

    Args:
        history: Stored samples.
        fleet: Knows rows, and who sees them.
    """

    def __init__(self, history: TelemetryHistory, fleet: FleetStatus) -> None:
        self._history = history
        self._fleet = fleet

    def samples(self, resource_id: str, *, from_s: float, to_s: float, scope: Scope) -> TelemetryBatch:
        """Return the samples of one device since it is in sight, by quantity and time."""
        if resource_id not in self._fleet.fleet(scope=scope).index.row_of:
            raise UnknownIdError("resource", resource_id)
        whole = self._fleet.fleet(scope=EVERYTHING).index
        row = whole.row_of[resource_id]
        return self._history.history(row, from_s=min(max(from_s, scope.since_s(whole, row)), to_s), to_s=to_s)

    def power(
        self, area: str, *, from_s: float, to_s: float, step_s: int, scope: Scope
    ) -> tuple[FloatArray, FloatArray, IdArray]:
        """Return start of every step, mean kW of an area and how many devices reported."""
        if not scope.covers(area):
            raise UnknownIdError("area", area)
        return self._history.minutes(from_s=from_s, to_s=to_s, area=self._position(area), step_s=step_s)

    def _position(self, area: str) -> int | None:
        """Return the position of an area, ``None`` for the city; raises UnknownIdError."""
        if area == CITY:
            return None
        ids = [known.id for known in self._fleet.fleet(scope=EVERYTHING).index.areas]
        if area not in ids:
            raise UnknownIdError("area", area)
        return ids.index(area)
