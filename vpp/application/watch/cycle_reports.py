"""Reports of every cycle: requests, alarms, metrics, and a summary of the fleet for the event stream."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from vpp.application.loops.aftermath import Aftermath
from vpp.dispatch.engine import CycleResult
from vpp.domain.telemetry import Quality
from vpp.fleet.fleet_state import FleetState
from vpp.ports import News

Report = Callable[[FleetState, CycleResult], object]
_SUMMARY_CYCLES = 6
"""Cycles between two summaries of the fleet on the event stream."""


class CycleReports:
    """Reports cycles after their setpoints were sent; a fault in one report stops no other.

    Args:
        requests: Follows the requests; a fault in it is a fault of the loop.
        reports: The others by name, in their order.
        news: Where summaries of the fleet go.
    """

    def __init__(self, requests: Report, reports: Mapping[str, Report], news: News) -> None:
        self._requests = requests
        self._reports = reports
        self._news = news
        self._aftermath = Aftermath()

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Report a cycle."""
        self._requests(state, result)
        self._aftermath.follow({name: partial(report, state, result) for name, report in self._reports.items()})
        if state.cycle % _SUMMARY_CYCLES == 0:
            self._news.publish("fleet", state.at_s, fleet_body(state))


def fleet_body(state: FleetState) -> dict[str, object]:
    """Return the fleet in a few numbers; known power only, kW."""
    return {
        "resources": int(np.count_nonzero(state.index.in_service)),
        "connected": int(np.count_nonzero(state.connected)),
        "plugged": int(np.count_nonzero(state.plugged)),
        "power_kw": float(np.nansum(state.power_kw)),
        "freshly_metered": int(np.count_nonzero(state.connected & (state.quality == Quality.GOOD))),
    }
