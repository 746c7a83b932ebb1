"""The device plane as the loops see it: all links behind one sink and one way out."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import Adapter
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import CodeArray, TelemetryBatch
from vpp.ports import Clock, DeviceLink
from vpp.telemetry.ingest import Ingest

ADAPTERS = tuple(Adapter)
"""Adapter codes in arrays are positions in this tuple."""


class DevicePlane:
    """Every device link; hears them all (`vpp.ports.LinkSink`) and sends each its share of a batch.

    Outcomes wait until the cycle takes them, so that a cycle's inputs are fixed when it begins.
    """

    def __init__(self, links: Sequence[DeviceLink], ingest: Ingest, clock: Clock) -> None:
        self.rejected: Counter[tuple[str, str]] = Counter()
        self._links = {link.name: link for link in links}
        self._ingest = ingest
        self._clock = clock
        self._outcomes: list[OutcomeBatch] = []
        self._adapter_code: CodeArray = np.zeros(0, dtype=np.uint8)

    def assign(self, index: FleetIndex) -> None:
        """Tell every link which rows it serves."""
        self._adapter_code = np.array([ADAPTERS.index(r.adapter) for r in index.resources], dtype=np.uint8)
        for link in self._links.values():
            link.assign(index)

    async def start(self) -> None:
        """Open every link."""
        for link in self._links.values():
            await link.start(self)

    async def close(self) -> None:
        """Close every link."""
        for link in self._links.values():
            await link.close()

    def send(self, batch: SetpointBatch) -> None:
        """Hand each link its share; rows that no link serves come back as unreachable at once."""
        codes = self._adapter_code[batch.rows]
        for code in np.unique(codes):
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            link = self._links.get(ADAPTERS[code].value)
            if link is None:
                self.outcomes(_unreachable(share, self._clock.now_s()))
            else:
                link.send(share)

    def adapter_names(self, rows: Sequence[int]) -> list[str]:
        """Return the adapter of each row."""
        return [ADAPTERS[self._adapter_code[row]].value for row in rows]

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the device in ``row`` told of itself; empty where its link is not run here."""
        link = self._links.get(ADAPTERS[self._adapter_code[row]].value)
        return {} if link is None else link.card(row)

    def take_outcomes(self) -> list[OutcomeBatch]:
        """Return and forget the outcomes heard since the last call."""
        heard, self._outcomes = self._outcomes, []
        return heard

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements."""
        self._ingest.telemetry(batch, self._clock.now_s())

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes."""
        self._outcomes.append(batch)

    def session(self, event: SessionEvent) -> None:
        """Take news of a car."""
        self._ingest.session(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count a dropped frame."""
        self.rejected[adapter, reason] += 1


def _unreachable(batch: SetpointBatch, at_s: float) -> OutcomeBatch:
    count = len(batch)
    return OutcomeBatch(
        ids=batch.ids,
        rows=batch.rows,
        status=np.full(count, OutcomeStatus.UNREACHABLE, dtype=np.uint8),
        reasons=np.full(count, Reason.NOT_CONNECTED, dtype=np.uint8),
        at_s=np.full(count, at_s),
    )
