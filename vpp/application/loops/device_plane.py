"""Device plane: all device links behind one sink and one way out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import structlog

from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.refused_connection import RefusedConnection, RefusedConnections
from vpp.domain.resource import Adapter
from vpp.domain.session import SessionEvent, sound
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import CodeArray, FloatArray, IdArray, RowArray, TelemetryBatch
from vpp.fleet.index import ADAPTERS, FleetIndex
from vpp.ports import Clock, DeviceLink, FencedLink, InspectableLink, LiveLink
from vpp.runtime.supervisor import fault_in
from vpp.telemetry.ingest import Ingest

_log = structlog.get_logger(__name__)
_PROMISE = "promise"
_NAMES = np.array([adapter.value for adapter in ADAPTERS])
STANDING_STILL_WALL_S = 10.0
"""Age from which on a poller counts as stalled: it turns every second, and a gateway reports every two."""
_KEPT_BATCHES = 4096
"""Batches whose time of sending is kept: hours of them, where an outcome takes minutes at most."""


class SentTimes:
    """Times of sending by command id. Ids only rise, so one entry a batch stands for all of its commands."""

    def __init__(self) -> None:
        self._first: IdArray = np.zeros(0, dtype=np.int64)
        self._last: IdArray = np.zeros(0, dtype=np.int64)
        self._at_s: FloatArray = np.zeros(0)

    def note(self, ids: IdArray, at_s: float) -> None:
        """Record the commands of one batch, ids rising, shape ``(n,)``."""
        if len(ids):
            self._first = np.append(self._first[1 - _KEPT_BATCHES :], ids[0])
            self._last = np.append(self._last[1 - _KEPT_BATCHES :], ids[-1])
            self._at_s = np.append(self._at_s[1 - _KEPT_BATCHES :], at_s)

    def of(self, ids: IdArray) -> FloatArray:
        """Return epoch seconds at which each was sent, NaN where no longer known, shape ``(n,)``."""
        if not len(self._at_s):
            return np.full(len(ids), np.nan)
        batch = np.minimum(np.searchsorted(self._last, ids), len(self._last) - 1)
        known = (ids >= self._first[batch]) & (ids <= self._last[batch])
        return np.where(known, self._at_s[batch], np.nan)


class DevicePlane:
    """Sink of every device link (`vpp.ports.LinkSink`); sends each link its share of a batch.

    Outcomes wait until the cycle takes them, so that a cycle's inputs are fixed when it begins.

    Attributes:
        may_send: Returns whether this process leads now; nothing is handed to a link otherwise.
    """

    def __init__(self, links: Sequence[DeviceLink], ingest: Ingest, clock: Clock) -> None:
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.repaired: Counter[tuple[str, str]] = Counter()
        self.refused_connections = RefusedConnections()
        self.may_send: Callable[[], bool] = lambda: True
        self._links = {link.name: link for link in links}
        self._ingest = ingest
        self._clock = clock
        self._outcomes: list[OutcomeBatch] = []
        self._sent = SentTimes()
        self._adapter_code: CodeArray = np.zeros(0, dtype=np.uint8)

    def check(self, index: FleetIndex) -> None:
        """Have every link check its addresses; raises InputError for the first that cannot be served."""
        for link in self._links.values():
            link.check(index)

    def assign(self, index: FleetIndex) -> None:
        """Assign every link the rows it serves."""
        self._adapter_code = index.adapter_code
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
        """Send each link its share; rows that no link serves come back as unreachable at once.

        So does a whole batch while this process may not send: its lease of leadership has not been renewed in time.
        """
        if not self.may_send():
            _log.error("instructions kept back: the lease of leadership is not renewed", count=len(batch))
            self.outcomes(batch.outcomes(OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED, self._clock.now_s()))
            return
        self._sent.note(batch.ids, self._clock.now_s())
        codes = self._adapter_code[batch.rows]
        for code in np.unique(codes):
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            link = self._links.get(ADAPTERS[code].value)
            fault = None if link is None else fault_in(partial(link.send, share))
            if link is None or fault is not None:
                self.outcomes(share.outcomes(OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED, self._clock.now_s()))
            if fault is not None:  # the other links' devices get theirs all the same
                _log.error("instructions not handed over", link=ADAPTERS[code].value, exc_info=fault)
                self.rejected[ADAPTERS[code].value, "send_fault"] += 1

    def adapter_names(self, rows: RowArray) -> npt.NDArray[np.str_]:
        """Return the adapter of each row, shape ``(n,)``."""
        return _NAMES[self._adapter_code[rows]]

    def sent_at_s(self, ids: IdArray) -> FloatArray:
        """Return when each command was handed to its link, NaN where no longer known, shape ``(n,)``."""
        return self._sent.of(ids)

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the device in ``row`` reported of itself; empty where its link is not run here."""
        link = self._links.get(ADAPTERS[self._adapter_code[row]].value)
        return {} if link is None else link.card(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Ask the device in ``row`` which schedule it holds; raises as ``InspectableLink.device_schedule`` does."""
        adapter = ADAPTERS[self._adapter_code[row]].value
        link = self._links.get(adapter)
        if not isinstance(link, InspectableLink):
            raise ConflictError(f"a device of adapter {adapter} cannot be asked for its schedule")
        return await link.device_schedule(row, duration_s)

    def take_outcomes(self) -> list[OutcomeBatch]:
        """Return the outcomes received since the last call."""
        received, self._outcomes = self._outcomes, []
        return received

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements."""
        self._ingest.telemetry(batch, self._clock.now_s())

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes."""
        self._outcomes.append(batch)

    def session(self, event: SessionEvent) -> None:
        """Take a session event; an implausible promise is refused and counted, its session then shed for no request."""
        try:
            self._ingest.session(sound(event, self._clock.now_s()))
        except InputError as error:
            self.rejected[Adapter.OCPP.value, _PROMISE] += 1
            _log.warning("promise refused", why=str(error))

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count a dropped frame."""
        self.rejected[adapter, reason] += 1

    def healed(self, adapter: str, kind: str) -> None:
        """Count a repaired message."""
        self.repaired[adapter, kind] += 1

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Record a refused connection."""
        self.refused_connections.take(refused)

    def pollers(self) -> Mapping[str, Callable[[], float]]:
        """Return by adapter a function for the wall seconds since its poller last turned, for links that have one."""
        return {name: link.age_wall_s for name, link in self._links.items() if isinstance(link, LiveLink)}

    def deposed(self) -> bool:
        """Return whether this service reaches no device: a later leader is known, or its lease is not renewed."""
        return not self.may_send() or any(link.deposed for link in self._links.values() if isinstance(link, FencedLink))

    def all_turn(self) -> bool:
        """Return whether no poller is stalled; one that is not started or not reported yet is not."""
        return not any(age_wall_s() > STANDING_STILL_WALL_S for age_wall_s in self.pollers().values())
