"""Connection-point metering of requests for regulation: what the grid's own meters show at every cycle.

The grid judges a signal by meters at the points where sites are connected, every 4 s, and not by those of the devices
behind them, which report at the cadence of their protocols. Here such a meter reads the power of the twin without
error, and the base point is that of the prepared world: the same devices without the signal.
"""

from array import array
from collections.abc import Mapping

import numpy as np

from vpp.dispatch.cycle_result import CycleResult
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.regulation.portfolio import sign_of
from vpp.dispatch.requests.phases import Phase
from vpp.domain.request import Product
from vpp.domain.telemetry import BoolArray
from vpp.fleet.fleet_state import FleetState
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.worlds import ACTUAL, PREPARED
from vpp.settlement.regulation_score import Trace

_COLUMNS = 3


class ConnectionPoints:
    """Asked and true change of every request for regulation, cycle by cycle.

    Args:
        twin: The model.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._readings: dict[str, array[float]] = {}
        self._engine: DispatchEngine | None = None
        self._portfolios: Mapping[str, BoolArray] = {}

    def follow(self, engine: DispatchEngine, portfolios: Mapping[str, BoolArray]) -> None:
        """Read the portfolios of an engine's requests from now on; ``portfolios`` are by request id."""
        self._engine, self._portfolios = engine, portfolios

    def observe(self, state: FleetState, result: CycleResult) -> None:
        """Read the meters at a cycle in which a signal is followed; the twin is at its instant."""
        if self._engine is None:
            return
        for progress in result.progress:
            request, rows = self._engine.book.get(progress.request_id), self._portfolios.get(progress.request_id)
            if request.draft.product is not Product.REGULATION or progress.phase is not Phase.HOLDING or rows is None:
                continue
            self.read(request.id, rows, at_s=state.at_s, asked_kw=sign_of(request) * progress.target_kw)

    def read(self, request_id: str, rows: BoolArray, *, at_s: float, asked_kw: float) -> None:
        """Read the meters of a request's rows, shape ``(n_resources,)`` or shorter, at ``at_s``, epoch seconds.

        ``asked_kw`` is the change asked then, positive where net load is to fall.
        """
        power_kw = self._twin.power_kw[:, : len(rows)][:, rows]
        change_kw = float((power_kw[PREPARED] - power_kw[ACTUAL]).sum())
        self._readings.setdefault(request_id, array("d")).extend((at_s, asked_kw, change_kw))

    def trace(self, request_id: str, capacity_kw: float) -> Trace | None:
        """Return what was asked and what came, positive where net load fell; ``None`` before there are two readings.

        Args:
            request_id: The request.
            capacity_kw: Power reserved in each direction.
        """
        time_s, asked_kw, change_kw = np.array(self._readings.get(request_id, ())).reshape(-1, _COLUMNS).T
        if len(time_s) <= 1:
            return None
        return Trace(time_s=time_s, signal_kw=asked_kw, response_kw=change_kw, capacity_kw=capacity_kw)
