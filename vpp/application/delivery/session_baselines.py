"""Session baselines by quarters of an hour: power that charging sessions would have taken (docs/adr/0002)."""

from collections.abc import Collection

import numpy as np

from vpp.dispatch.engine import CycleResult
from vpp.domain.performance import Baseline
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import WATT
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Journal
from vpp.telemetry.resample import IntervalMeans

SESSIONS = "baseline.sessions"


class SessionBaselines:
    """Averages the sessions' counterfactual power, and journals it while a request is measured by it.

    Attributes:
        entries: Entry of the journal of every interval recorded in this run, by epoch seconds of its start.
    """

    def __init__(self, journal: Journal, start_s: float) -> None:
        self._journal = journal
        self.entries: dict[float, int] = {}
        self._kept_kw: dict[float, FloatArray] = {}
        self._rows = 0
        self._measuring = False
        self._means = IntervalMeans(0, start_s)

    def keep(self, start_s: float, mean_kw: FloatArray) -> None:
        """Keep one interval's means, NaN in rows without a session."""
        self._kept_kw[start_s] = mean_kw

    def release(self, begin_s: float, recorded: Collection[float]) -> None:
        """Release the means of intervals before ``begin_s``, epoch seconds, that are among the ``recorded``."""
        for start_s in [start_s for start_s in self._kept_kw if start_s < begin_s and start_s in recorded]:
            del self._kept_kw[start_s]

    def forget(self, before_s: float) -> None:
        """Drop the intervals before an instant, epoch seconds, for good."""
        for of_start in (self._kept_kw, self.entries):
            for start_s in [start_s for start_s in of_start if start_s < before_s]:
                del of_start[start_s]

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Take the sessions' counterfactual power of a cycle."""
        if len(result.own_kw) > self._rows:
            self._means.resize(len(result.own_kw))
            self._rows = len(result.own_kw)
        # An interval counts if a request ran in any part of it: the last one ends when the request is over already.
        self._measuring |= bool(result.progress)
        for start_s, exact_kw, _ in self._means.update(state.at_s, result.own_kw):
            if self._measuring:
                mean_kw = np.round(exact_kw, WATT)
                self.keep(start_s, mean_kw)
                sequence = self._journal.append(SESSIONS, state.at_s, {"start_s": start_s, "mean_kw": mean_kw})
                if sequence:
                    self.entries[start_s] = sequence
            self._measuring = bool(result.progress)

    def on(self, baseline: Baseline) -> FloatArray:
        """Return the sessions' counterfactual on a baseline's grid, NaN where unknown, shape as the baseline."""
        whole = np.full(baseline.power_kw.shape, np.nan)
        for step, start_s in enumerate(baseline.grid.starts_s().tolist()):
            mean_kw = self._kept_kw.get(start_s)
            if mean_kw is not None:
                whole[: len(mean_kw), step] = mean_kw[: len(whole)]
        return whole
