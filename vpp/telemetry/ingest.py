"""Ingest of measurements: implausible samples are refused and counted, the rest enters the next snapshot."""

import math
from collections.abc import Mapping

import numpy as np

from vpp.domain.session import ChargingSession, SessionEnded, SessionEvent, SessionPromised
from vpp.domain.telemetry import Quantity, RowArray, TelemetryBatch
from vpp.fleet.fleet_state import FleetState
from vpp.state.image import ProcessImage
from vpp.telemetry.quality import QualityRules, grade
from vpp.telemetry.sample_gate import SampleGate
from vpp.telemetry.verdict import HEALINGS, Verdict


class Ingest:
    """Passes batches through the gate into the process image and keeps them until the cycle takes them.

    Attributes:
        gate: What is refused, and why.
    """

    def __init__(self, image: ProcessImage, rules: QualityRules) -> None:
        self.gate = SampleGate(image.index)
        self._image = image
        self._rules = rules
        self._batches: list[TelemetryBatch] = []
        self._events: list[SessionEvent] = []
        self._ended: list[ChargingSession] = []
        # Compiled now, not when the first sample arrives and all others wait.
        self.gate.take(TelemetryBatch.of([]), image.columns(), 0.0)

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many samples were kept out, by reason; reasons that never occurred are left out."""
        counts = self.gate.refused.tolist()
        return {verdict.word: counts[verdict] for verdict in Verdict if counts[verdict]}

    @property
    def healed(self) -> Mapping[str, int]:
        """How many samples were repaired and taken, by kind."""
        counts = self.gate.healed.tolist()
        return {healing.word: counts[healing] for healing in HEALINGS if counts[healing]}

    def telemetry(self, batch: TelemetryBatch, now_s: float) -> None:
        """Take a batch; what the gate refuses is counted, its neighbours are kept."""
        self.gate.serve(self._image.index)
        kept = self.gate.take(self._of_the_fleet(batch), self._image.columns(), now_s)
        if len(kept):
            self._batches.append(kept)

    def vacate(self, rows: RowArray, at_s: float) -> None:
        """Forget the devices in ``rows``, which have left; sessions of cars there end, their registers unknown.

        What they said since the last cycle is forgotten too. That they have left is a sample of its own, so that
        whoever reads the samples again, after a restart or in a replay, forgets them at the same place.
        """
        for session_id, row in self._image.sessions.in_rows(rows):
            self._end(SessionEnded(session_id=session_id, row=row, at_s=at_s, meter_kwh=math.nan))
        self._image.vacate(rows)
        self.gate.serve(self._image.index)
        self.gate.vacate(rows)
        self._batches = [batch.take(~np.isin(batch.rows, rows)) for batch in self._batches]
        left = TelemetryBatch.of([(row, Quantity.CONNECTED, math.nan, at_s) for row in rows.tolist()])
        self._image.write(left)
        self._batches.append(left)

    def session(self, event: SessionEvent) -> None:
        """Take news of a car; what belongs to no row of the fleet is counted and dropped."""
        if not isinstance(event, SessionPromised):
            index = self._image.index
            if not 0 <= event.row < len(index) or not index.served[event.row]:
                self.gate.refused[Verdict.UNKNOWN_ROW] += 1
                return
            self.gate.serve(self._image.index)
            self.gate.begin_anew(event.row)
        if isinstance(event, SessionEnded):
            self._end(event)
        else:
            self._note(event)

    def _end(self, event: SessionEnded) -> None:
        closing = self._image.sessions.closing(event)
        if closing is not None:
            self._ended.append(closing)
        self._note(event)

    def _note(self, event: SessionEvent) -> None:
        self._image.write_session(event)
        self._events.append(event)

    def _of_the_fleet(self, batch: TelemetryBatch) -> TelemetryBatch:
        """Return a batch without the samples of devices that have left; what came too late from them is counted."""
        index = self._image.index
        if not len(index.out_of_service):
            return batch
        known = (batch.rows >= 0) & (batch.rows < len(index))
        left = known & ~index.served[np.where(known, batch.rows, 0)]
        if not left.any():
            return batch
        self.gate.refused[Verdict.UNKNOWN_ROW] += int(left.sum())
        return batch.take(np.flatnonzero(~left))

    def snapshot(self, at_s: float) -> FleetState:
        """Swap the process image; return the one snapshot that all of this cycle sees."""
        image, index = self._image, self._image.index
        age_s = at_s - image.power_at_s()
        quality = grade(
            age_s=age_s,
            power_kw=image.power_kw(),
            p_min_kw=index.nameplate.p_min_kw,
            p_max_kw=index.nameplate.p_max_kw,
            rules=self._rules,
        )
        return image.swap(at_s, quality)

    def anchors(self) -> list[tuple[int, float]]:
        """Return and forget the newly known states of charge at plug-in, by row; see `ProcessImage.take_anchors`."""
        return self._image.take_anchors()

    def taken(self) -> tuple[TelemetryBatch, list[SessionEvent]]:
        """Return and forget everything taken since the last call, for the record that a replay reads."""
        batches, self._batches = self._batches, []
        events, self._events = self._events, []
        return TelemetryBatch.joined(batches) if batches else TelemetryBatch.of([]), events

    def ended(self) -> list[ChargingSession]:
        """Return and forget the sessions that ended since the last call, as they ended."""
        ended, self._ended = self._ended, []
        return ended
