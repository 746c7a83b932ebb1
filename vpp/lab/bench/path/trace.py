"""Instants of every command on its way, joined by id: service's journal, messages on the bus, stations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vpp.bus.messages.codec import Kind, decode, unbundled
from vpp.bus.messages.frames import outcomes_of, receipt_of, setpoints_of
from vpp.dispatch.commands.command_ledger import Fate
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, VERDICTS, outcomes_from, sent_from
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray
from vpp.record.columns import column_of
from vpp.record.entry import JournalEntry

KINDS = ("cycle", SENT, OUTCOMES, VERDICTS)
"""Kinds of journal entries that a trace is made of."""
_NO_STATUS = 255
_NEAR_S = 2.0
"""Greatest difference between the instants at which two processes are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every command by the service's journal, ids rising, shape ``(n,)`` each; NaN for what never happened.

    Attributes:
        until_s: End of its lease, infinite where it has none.
        decided_s: Epoch seconds of the snapshot it was decided on.
        status: ``OutcomeStatus``, 255 without an outcome.
        answered_s: Instant at which the gateway received the device's answer.
        processed_s: The cycle that took it.
        confirmed_s: The cycle whose snapshot confirmed it by the meter.
    """

    ids: IdArray
    rows: RowArray
    layers: CodeArray
    until_s: FloatArray
    decided_s: FloatArray
    status: CodeArray
    answered_s: FloatArray
    processed_s: FloatArray
    confirmed_s: FloatArray

    @classmethod
    def of(cls, entries: Iterable[JournalEntry], n_rows: int) -> "Trace":
        """Return the trace of a journal's entries of ``KINDS``, in their order."""
        kept = list(entries)
        sent = [(entry.at_s, sent_from(entry.body)) for entry in kept if entry.kind == SENT]
        ids = _joined([batch.ids for _, batch in sent], np.int64)
        trace = cls(
            ids=ids,
            rows=_joined([batch.rows for _, batch in sent], np.int32),
            layers=_joined([batch.layers for _, batch in sent], np.uint8),
            until_s=_joined([batch.until_s for _, batch in sent], np.float64),
            decided_s=_joined([np.full(len(batch), at_s) for at_s, batch in sent], np.float64),
            status=np.full(len(ids), _NO_STATUS, dtype=np.uint8),
            answered_s=np.full(len(ids), np.nan),
            processed_s=np.full(len(ids), np.nan),
            confirmed_s=np.full(len(ids), np.nan),
        )
        trace._follow(kept, n_rows)
        return trace

    def __len__(self) -> int:
        return len(self.ids)

    def accepted(self) -> BoolArray:
        """Return which commands their device accepted."""
        return np.asarray(self.status == OutcomeStatus.ACCEPTED)

    def unanswered(self, before_s: float) -> int:
        """Return how many decided before ``before_s`` have no outcome."""
        return int(np.count_nonzero((self.status == _NO_STATUS) & (self.decided_s < before_s)))

    def installing(self) -> BoolArray:
        """Return which commands a profile carries to an OCPP station; a release has none on the wire."""
        return np.asarray(self.layers != Layer.RELEASE)

    def held(self, n_rows: int, at_s: float) -> IdArray:
        """Return the dispatch command in force in every row at ``at_s`` by the journal alone, 0 where there is none.

        -1 where that is open: a later command of the row has no outcome or was not accepted, or its lease is about
        to end.
        """
        holds = np.zeros(n_rows, dtype=np.int64)
        for place in np.flatnonzero(self.layers != Layer.DEFAULT).tolist():
            row = self.rows[place]
            if self.status[place] != OutcomeStatus.ACCEPTED:
                holds[row] = -1
            elif self.layers[place] != Layer.DISPATCH or self.until_s[place] < at_s - _NEAR_S:
                holds[row] = 0
            else:
                holds[row] = self.ids[place] if self.until_s[place] > at_s + _NEAR_S else -1
        return holds

    def _follow(self, entries: Iterable[JournalEntry], n_rows: int) -> None:
        waiting, cycle_s = np.full(n_rows, -1, dtype=np.int64), np.nan
        for entry in entries:
            if entry.kind == "cycle":
                cycle_s = entry.at_s
            elif entry.kind == OUTCOMES:
                batch = outcomes_from(entry.body)
                place = np.searchsorted(self.ids, batch.ids)
                self.status[place], self.answered_s[place], self.processed_s[place] = batch.status, batch.at_s, cycle_s
                yes = batch.status == OutcomeStatus.ACCEPTED
                waiting[batch.rows[yes]] = place[yes]
            elif entry.kind == VERDICTS:
                body: Any = entry.body
                place = waiting[column_of(body["rows"], np.int32)]
                if Fate(body["fate"]) is Fate.CONFIRMED:
                    self.confirmed_s[place[place >= 0]] = entry.at_s


@dataclass(slots=True)
class BusTap:
    """Observer of the bus: instants of commands, their receipts and outcomes, and the gateways present.

    Attributes:
        beats: Incarnation and size of the fleet it knows, by gateway.
        refused: Ids of commands that gateways refused as expired or of a stale epoch.
    """

    beats: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    _down: list[tuple[IdArray, float]] = field(default_factory=list)
    _asked: dict[str, IdArray] = field(default_factory=dict)
    _taken: list[tuple[IdArray, float]] = field(default_factory=list)
    _up: list[tuple[IdArray, float]] = field(default_factory=list)

    def beat(self, content: bytes) -> None:
        """Take a heartbeat."""
        frame = decode(content, Kind.BEAT)
        name, incarnation = frame.texts("gateway")[0], int(frame.array("incarnation")[0])
        if frame.array("leaving")[0]:
            self.beats.pop(name, None)
        else:
            self.beats[name] = (incarnation, int(frame.array("resources")[0]))

    def command(self, content: bytes, now_s: float, *, reply: str) -> None:
        """Take a message of a leader to a gateway, and the subject of its receipt."""
        if decode(content).kind is Kind.SETPOINTS:
            ids = setpoints_of(content)[1].ids
            self._down.append((ids, now_s))
            self._asked[reply] = ids

    def receipt(self, subject: str, content: bytes) -> None:
        """Take an answer; the receipt of a command says when the gateway received it."""
        ids = self._asked.pop(subject, None)
        if ids is not None:
            self._taken.append((ids, receipt_of(content)[1]))

    def report(self, content: bytes, now_s: float) -> None:
        """Take a message of a gateway to the leader."""
        for part in unbundled(content):
            frame = decode(part)
            if frame.kind is Kind.OUTCOMES:
                batch = outcomes_of(frame)
                self._up.append((batch.ids, now_s))
                late = (batch.status == OutcomeStatus.REJECTED) & (batch.reasons == Reason.EXPIRED)
                self.refused |= set(batch.ids[late].tolist())

    def down_s(self, ids: IdArray) -> FloatArray:
        """Return the instant at which each command was on the bus first, NaN where never."""
        return first_of(ids, *_columns(self._down))

    def taken_s(self, ids: IdArray) -> FloatArray:
        """Return the instant at which the gateway received each command first, by its own clock, NaN where never."""
        return first_of(ids, *_columns(self._taken))

    def up_s(self, ids: IdArray) -> FloatArray:
        """Return the instant at which each outcome was on the bus first, NaN where never."""
        return first_of(ids, *_columns(self._up))


def first_of(wanted: IdArray, ids: IdArray, at_s: FloatArray) -> FloatArray:
    """Return the first time each id was seen, NaN where it never was, shape of ``wanted``."""
    known, first = np.unique(ids, return_index=True)
    if not len(known):
        return np.full(len(wanted), np.nan)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, at_s[first][place], np.nan)


def legs(
    trace: Trace, chosen: BoolArray, *, tap: BusTap, ids: IdArray, at_s: FloatArray
) -> dict[str, dict[str, float]]:
    """Return count, p50, p95 and max in seconds of each leg of the chosen commands.

    Args:
        trace: The journal's.
        chosen: Commands that count, shape ``(len(trace),)``.
        tap: The bus's.
        ids: Commands in the order of arrival at the stations.
        at_s: Instants of arrival.
    """
    wanted = trace.ids[chosen]
    down_s, taken_s, up_s = tap.down_s(wanted), tap.taken_s(wanted), tap.up_s(wanted)
    station_s = first_of(wanted, ids, at_s)
    decided_s, answered_s = trace.decided_s[chosen], trace.answered_s[chosen]
    processed_s, confirmed_s = trace.processed_s[chosen], trace.confirmed_s[chosen]
    seconds: Mapping[str, FloatArray] = {
        "decision_to_bus": down_s - decided_s,
        "bus_to_gateway": taken_s - down_s,
        "gateway_to_station": station_s - taken_s,
        "station_to_answer_at_gateway": answered_s - station_s,
        "answer_to_bus": up_s - answered_s,
        "bus_to_cycle": processed_s - up_s,
        "answer_to_meter_confirmation": confirmed_s - answered_s,
        "decision_to_answer": answered_s - decided_s,
        "decision_to_meter_confirmation": confirmed_s - decided_s,
    }
    return {name: quantiles(values) for name, values in seconds.items()}


def quantiles(seconds: FloatArray) -> dict[str, float]:
    """Return count, p50, p95 and max of what is known, to the millisecond."""
    known = seconds[~np.isnan(seconds)]
    if not len(known):
        return {"count": 0}
    p50, p95 = np.quantile(known, (0.5, 0.95)).tolist()
    return {
        "count": len(known),
        "p50": round(p50, 3),
        "p95": round(p95, 3),
        "max": round(float(known.max()), 3),
    }


def repeated(wanted: IdArray, ids: IdArray) -> int:
    """Return how many of the wanted ids arrived more than once."""
    known, counts = np.unique(ids[np.isin(ids, wanted)], return_counts=True)
    return int(np.count_nonzero(counts > 1)) if len(known) else 0


def _columns(seen: list[tuple[IdArray, float]]) -> tuple[IdArray, FloatArray]:
    return (
        _joined([ids for ids, _ in seen], np.int64),
        _joined([np.full(len(ids), at_s) for ids, at_s in seen], np.float64),
    )


def _joined(parts: list[Any], dtype: Any) -> Any:  # noqa: ANN401 - one function for columns of every type
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)
