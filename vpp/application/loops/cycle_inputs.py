"""Inputs of a cycle: outcomes, samples and sessions, fixed and recorded before anything is decided on them."""

from vpp.application.cycle_record import session_body
from vpp.application.loops.device_plane import DevicePlane
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import TelemetryBatch
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Clock, IntervalMemory, Journal, TelemetryLog
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import MeteredMeans

CYCLE = "cycle"
TICK = "regulation.tick"


class IntervalMetering:
    """15-minute means of the samples, stored as soon as an interval is final.

    Args:
        means: Integrates samples into means.
        meters: Stores the means.
    """

    def __init__(self, means: MeteredMeans, meters: IntervalMemory) -> None:
        self._means = means
        self._meters = meters

    def take(self, samples: TelemetryBatch, at_s: float) -> None:
        """Integrate the samples of a cycle at ``at_s``."""
        for start_s, mean_kw, completeness in self._means.take(samples, at_s):
            self._meters.keep(start_s, mean_kw, completeness)


class CycleInputs:
    """Takes what came in since the last cycle, and records it.

    Args:
        clock: The only source of time.
        plane: Where outcomes of commands come in.
        ingest: Where samples and sessions come in.
        metering: Integrates the samples of every cycle.
        samples: Records the samples of every cycle.
        journal: Records everything else.

    Attributes:
        state: The latest snapshot.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        plane: DevicePlane,
        ingest: Ingest,
        metering: IntervalMetering,
        samples: TelemetryLog,
        journal: Journal,
    ) -> None:
        self.state: FleetState = ingest.snapshot(clock.now_s())
        self._clock = clock
        self._plane = plane
        self._ingest = ingest
        self._metering = metering
        self._samples = samples
        self._journal = journal
        self._taken = TelemetryBatch.of([])

    def latest(self) -> FleetState:
        """Return the latest snapshot."""
        return self.state

    def refresh(self) -> None:
        """Take a snapshot between two cycles: the fleet has just changed."""
        self.state = self._ingest.snapshot(self._clock.now_s())

    def take_cycle(self, at_s: float) -> list[OutcomeBatch]:
        """Fix and record the inputs of a cycle at ``at_s``; return the outcomes of commands."""
        outcomes = self._plane.take_outcomes()
        samples, sessions = self._ingest.taken()
        self.state = self._ingest.snapshot(at_s)
        self._samples.append(self.state.cycle, at_s, samples)
        body = {
            "cycle": self.state.cycle,
            "samples": len(samples),
            "sessions": [session_body(event) for event in sessions],
            "anchors": self._ingest.anchors(),
        }
        self._journal.append(CYCLE, at_s, body)
        self._taken = samples
        return outcomes

    def meter(self, at_s: float) -> None:
        """Integrate the samples of the cycle at ``at_s``."""
        self._metering.take(self._taken, at_s)

    def take_tick(self, at_s: float) -> list[OutcomeBatch]:
        """Record a tick at ``at_s``; return the outcomes of commands. Its snapshot is the last cycle's."""
        self._journal.append(TICK, at_s, {"cycle": self.state.cycle})
        return self._plane.take_outcomes()
