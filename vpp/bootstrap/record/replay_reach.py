"""Reach of a replay: which recorded cycles can be decided again from the entries and samples that are kept."""

from vpp.domain.telemetry import TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY
from vpp.ports import Journal
from vpp.record.bodies.fields import Fields
from vpp.record.entry import JournalEntry
from vpp.record.erasure.erased_samples import SAMPLES_ERASED, ErasedSamples

_LATE_S, _AHEAD_S = 7.0 * SECONDS_PER_DAY, SECONDS_PER_DAY
"""By how much a cycle may take samples late, of a station that was away, or stamped ahead: what else is missing was not
erased."""


class ReplayReach:
    """Says of each recorded cycle why it cannot be decided again, and nothing where it can.

    A run that lacks something lacks it to its end: what a cycle decides rests on all before it.

    Args:
        journal: The entries.
        base: Sequence of the checkpoint that the replay begins from, 0 for none.
        frames_from_s: Epoch seconds of the first recorded frame that is kept, infinite where there is none.
    """

    def __init__(self, journal: Journal, *, base: int, frames_from_s: float) -> None:
        first = next(iter(journal.entries()), None)
        self._frames_from_s = frames_from_s
        self._erased = [
            (entry.sequence, ErasedSamples.from_body(entry.body))
            for entry in journal.entries((SAMPLES_ERASED,), after=base)
        ]
        self._incomplete = ""
        if first is not None and base < first.sequence - 1:
            self._incomplete = (
                f"entries before {first.sequence} were pruned (VPP_RECORD_KEEP_DAYS), and no checkpoint is kept that"
                " tells what this run began with"
            )
        self._why = self._incomplete
        if base and not self._incomplete:
            self._why = (
                f"their run began before entry {base + 1}, and a run is decided again from its start only, with a"
                " checkpoint from before it"
            )

    @property
    def why(self) -> str:
        """Why the cycles of this run from the last one asked about on cannot be decided again, empty where they can."""
        return self._why

    def begin(self) -> None:
        """Begin with a run of the service."""
        self._why = self._incomplete

    def reaches(self, cycle: JournalEntry, samples: TelemetryBatch | None) -> bool:
        """Return whether a cycle, or a step between two, can be decided again.

        Args:
            cycle: Its entry.
            samples: What is kept of its samples; ``None`` where no frame is kept, or none was to be recorded.
        """
        if not self._why:
            self._why = self._missing(cycle, samples)
        return not self._why

    def _missing(self, cycle: JournalEntry, samples: TelemetryBatch | None) -> str:
        if samples is not None and len(samples) < Fields(cycle.body, cycle.kind).integer("samples", 0):
            for sequence, erased in self._erased:
                if sequence > cycle.sequence and len(erased.rows_in(cycle.at_s - _LATE_S, cycle.at_s + _AHEAD_S)):
                    return f"samples of {len(erased.rows)} devices were erased (entry {sequence})"
        if cycle.at_s < self._frames_from_s < float("inf"):
            return f"samples are kept from {instant(self._frames_from_s).isoformat()} on (VPP_FRAME_DAYS)"
        return ""
