"""A device link without sockets: the service's commands go straight to a twin, for scenarios on virtual time."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vpp.domain.device import DeviceReadings, PlugEvent
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import CHARGING
from vpp.domain.session import SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.ports import Clock, LinkSink
from vpp.twin.fleet import Twin

ALL = "twin"
"""Name of a link that serves every row, whatever its protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way."""

    id: int
    row: int
    layer: Layer
    power_kw: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Answer:
    """What the device will say, and when; the order of the heap."""

    due_s: float
    number: int
    row: int
    refused: bool
    ignored: bool


class TwinLink:
    """``vpp.ports.DeviceLink`` over a twin in the same process.

    The driver advances the twin and then calls ``pump``, which delivers answers that are due, telemetry and sessions.
    Everything follows from the twin's seeds. One link of a twin only may serve charging rows, because plug events are
    told once.

    Args:
        twin: The model.
        clock: The service's time; the driver keeps it in step with the twin.
        name: ``"twin"`` to serve all rows, or an ``Adapter`` to serve its rows.
        report_s: Period of telemetry.
    """

    def __init__(self, twin: Twin, clock: Clock, *, name: str = ALL, report_s: float = 10.0) -> None:
        self.name = name
        self._twin = twin
        self._clock = clock
        self._report_s = report_s
        self._next_report_s = -np.inf
        self._sink: LinkSink | None = None
        self._index = FleetIndex.empty()
        self._mine: BoolArray = np.zeros(0, dtype=np.bool_)
        self._serves_cars = False
        self._was_online: BoolArray = np.zeros(0, dtype=np.bool_)
        self._limit_kw: FloatArray = np.zeros(0)
        self._on_the_way: dict[int, Command] = {}
        self._waiting: dict[int, Command] = {}
        self._answers: list[Answer] = []
        self._sent = 0
        self._epoch = -1
        self._untold: list[PlugEvent] = []

    def check(self, index: FleetIndex) -> None:
        """Take any address: rows are the twin's own."""

    def assign(self, index: FleetIndex) -> None:
        """Serve the rows of ``index`` whose adapter is this link's name; all of them if it is ``"twin"``."""
        more = len(index) - len(self._index)
        self._index = index
        self._mine = np.array([self.name in (ALL, r.adapter) for r in index.resources], dtype=np.bool_)
        self._serves_cars = bool((self._mine & index.is_class(*CHARGING)).any())
        self._was_online = np.append(self._was_online, np.zeros(more, dtype=np.bool_))
        self._limit_kw = np.append(self._limit_kw, np.full(more, np.nan))

    async def start(self, sink: LinkSink) -> None:
        """Begin: connections, first telemetry and present cars are told at once."""
        self._sink = sink
        self.pump(self._clock.now_s())

    def send(self, batch: SetpointBatch) -> None:
        """Take instructions; answers come with ``pump``."""
        superseded: list[tuple[int, int, OutcomeStatus, Reason]] = []
        stale = batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        for command in _commands(batch):
            if stale:
                superseded.append((command.id, command.row, OutcomeStatus.REJECTED, Reason.EXPIRED))
                continue
            if command.row not in self._on_the_way:
                superseded += self._begin(command)
                continue
            older = self._waiting.pop(command.row, None)
            if older is not None:
                superseded.append((older.id, older.row, OutcomeStatus.REJECTED, Reason.EXPIRED))
            self._waiting[command.row] = command
        self._tell_outcomes(superseded, self._clock.now_s())

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the model knows of the device in ``row``; empty for rows of other links."""
        if row >= len(self._mine) or not self._mine[row]:
            return {}
        resource = self._index.resources[row]
        return {"vendor": "twin", "model": str(resource.resource_class), "address": resource.address}

    def pump(self, now_s: float) -> None:
        """Deliver what is due at ``now_s``; the twin must have been advanced to it."""
        if self._sink is None or len(self._index) < len(self._twin.index):
            return  # nobody to tell, or devices that nobody registered yet
        readings = self._twin.readings()
        self._deliver(now_s, readings)
        self._report_connections(readings)
        self._report_sessions(readings)
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + self._report_s
            self._report_meters(readings)

    async def close(self) -> None:
        """Stop; outstanding instructions come back as unreachable."""
        left = [*self._on_the_way.values(), *self._waiting.values()]
        self._on_the_way.clear()
        self._waiting.clear()
        self._answers.clear()
        now_s = self._clock.now_s()
        self._tell_outcomes([(c.id, c.row, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED) for c in left], now_s)
        self._sink = None

    def _begin(self, command: Command) -> list[tuple[int, int, OutcomeStatus, Reason]]:
        """Send one instruction off; return its outcome where that is known at once."""
        now_s = self._clock.now_s()
        if command.row >= len(self._mine) or not self._mine[command.row]:
            return [(command.id, command.row, OutcomeStatus.REJECTED, Reason.UNSUPPORTED)]
        if command.until_s <= now_s and command.layer is not Layer.RELEASE:
            return [(command.id, command.row, OutcomeStatus.REJECTED, Reason.EXPIRED)]
        if not self._twin.readings().online[command.row]:
            return [(command.id, command.row, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)]
        response = self._twin.response(command.row)
        self._sent += 1
        answer = Answer(
            due_s=now_s + response.latency_s,
            number=self._sent,
            row=command.row,
            refused=response.refused,
            ignored=response.ignored,
        )
        self._on_the_way[command.row] = command
        heapq.heappush(self._answers, answer)
        return []

    def _deliver(self, now_s: float, readings: DeviceReadings) -> None:
        told: list[tuple[int, int, OutcomeStatus, Reason]] = []
        while self._answers and self._answers[0].due_s <= now_s:
            answer = heapq.heappop(self._answers)
            command = self._on_the_way.pop(answer.row)
            told.append(self._arrived(command, answer, online=bool(readings.online[answer.row])))
            waiting = self._waiting.pop(answer.row, None)
            if waiting is not None:
                told += self._begin(waiting)
        self._tell_outcomes(told, now_s)

    def _arrived(self, command: Command, answer: Answer, *, online: bool) -> tuple[int, int, OutcomeStatus, Reason]:
        if not online:
            return command.id, command.row, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT
        if answer.refused:
            return command.id, command.row, OutcomeStatus.REJECTED, Reason.REFUSED
        if not answer.ignored:
            self._twin.apply(command.row, command.layer, command.power_kw, command.until_s)
        # A device that ignores what it was told still reads it back: only its meter gives it away.
        released = command.layer is Layer.RELEASE
        self._limit_kw[command.row] = self._twin.default_kw[command.row] if released else command.power_kw
        return command.id, command.row, OutcomeStatus.ACCEPTED, Reason.NONE

    def _tell_outcomes(self, told: list[tuple[int, int, OutcomeStatus, Reason]], at_s: float) -> None:
        if self._sink is None or not told:
            return
        self._sink.outcomes(
            OutcomeBatch(
                ids=np.array([t[0] for t in told], dtype=np.int64),
                rows=np.array([t[1] for t in told], dtype=np.int32),
                status=np.array([t[2] for t in told], dtype=np.uint8),
                reasons=np.array([t[3] for t in told], dtype=np.uint8),
                at_s=np.full(len(told), at_s),
            )
        )

    def _report_connections(self, readings: DeviceReadings) -> None:
        changed = np.flatnonzero(self._mine & (readings.online != self._was_online))
        if len(changed):
            self._was_online[changed] = readings.online[changed]
            self._tell(
                [(Quantity.CONNECTED, changed.astype(np.int32), readings.online[changed].astype(np.float64))], readings
            )

    def _report_sessions(self, readings: DeviceReadings) -> None:
        if not self._serves_cars or self._sink is None:
            return
        waiting, self._untold = [*self._untold, *self._twin.plug_events()], []
        for event in waiting:
            if not readings.online[event.row]:
                self._untold.append(event)
                continue
            session_id = f"{self._index.resources[event.row].id}:{event.session}"
            if not event.plugged:
                ended = SessionEnded(session_id=session_id, row=event.row, at_s=event.at_s, meter_kwh=event.meter_kwh)
                self._sink.session(ended)
                continue
            self._sink.session(
                SessionStarted(session_id=session_id, row=event.row, at_s=event.at_s, meter_kwh=event.meter_kwh)
            )
            if event.promise is not None:
                self._sink.session(SessionPromised(session_id=session_id, promise=event.promise))

    def _report_meters(self, readings: DeviceReadings) -> None:
        rows = np.flatnonzero(self._mine & readings.online).astype(np.int32)
        cars = rows[self._index.is_class(*CHARGING)[rows]]
        socs = rows[~np.isnan(readings.soc[rows])]
        limits = rows[~np.isnan(self._limit_kw[rows])]
        self._tell(
            [
                (Quantity.POWER_KW, rows, readings.power_kw[rows]),
                (Quantity.ENERGY_KWH, rows, readings.energy_kwh[rows]),
                (Quantity.P_MIN_KW, rows, readings.p_min_kw[rows]),
                (Quantity.P_MAX_KW, rows, readings.p_max_kw[rows]),
                (Quantity.SOC, socs, readings.soc[socs]),
                (Quantity.PLUGGED, cars, readings.plugged[cars].astype(np.float64)),
                (Quantity.LIMIT_KW, limits, self._limit_kw[limits]),
            ],
            readings,
        )

    def _tell(self, parts: list[tuple[Quantity, RowArray, FloatArray]], readings: DeviceReadings) -> None:
        if self._sink is None:
            return
        rows = np.concatenate([part[1] for part in parts])
        self._sink.telemetry(
            TelemetryBatch(
                rows=rows,
                quantities=np.concatenate([np.full(len(p[1]), p[0], dtype=np.uint8) for p in parts]),
                values=np.concatenate([p[2] for p in parts]),
                at_s=np.full(len(rows), readings.at_s),
            )
        )


def _commands(batch: SetpointBatch) -> list[Command]:
    columns = (batch.ids.tolist(), batch.rows.tolist(), batch.layers.tolist(), batch.power_kw, batch.until_s)
    return [
        Command(id=i, row=row, layer=Layer(layer), power_kw=float(kw), until_s=float(until_s))
        for i, row, layer, kw, until_s in zip(*columns, strict=True)
    ]
