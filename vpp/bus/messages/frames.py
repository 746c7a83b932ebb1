"""Batches of the device plane as frames and back, both directions side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import assert_never

import numpy as np

from vpp.bus.messages.codec import SCHEMAS, Frame, Kind, decode, encode
from vpp.domain.errors import FrameError
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import Promise, SessionEnded, SessionEvent, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import CodeArray, FloatArray, IdArray, RowArray, TelemetryBatch

FRAME_ROWS = 20_000
"""Rows of the longest frame: with the widest column set about 740 KB, under what every bus carries."""
_STARTED, _PROMISED, _ENDED = range(3)
_NO_ROW = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBatch:
    """Device sessions that began or ended at one gateway.

    Attributes:
        rows: Fleet rows, shape ``(n,)``.
        sessions: Number of each session; a later session of a row has a higher one, whichever gateway it is at.
        up: 1 for a session that began, 0 for one that ended, shape ``(n,)``.
        at_s: Epoch seconds of that, shape ``(n,)``.
    """

    rows: RowArray
    sessions: IdArray
    up: CodeArray
    at_s: FloatArray

    def __len__(self) -> int:
        return len(self.rows)


def telemetry_frames(batch: TelemetryBatch) -> Iterator[bytes]:
    """Iterate a batch in frames of bounded length."""
    return _table_frames(Kind.TELEMETRY, batch)


def telemetry_of(frame: Frame) -> TelemetryBatch:
    """Return the samples of a TELEMETRY frame."""
    return TelemetryBatch(
        rows=_rows(frame),
        quantities=_codes(frame, "quantities"),
        values=_floats(frame, "values"),
        at_s=_floats(frame, "at_s"),
    )


def setpoint_frame(batch: SetpointBatch, *, sequence: int) -> bytes:
    """Return a batch of at most ``FRAME_ROWS`` commands as one frame."""
    return encode(
        Kind.SETPOINTS,
        {
            "ids": batch.ids,
            "rows": batch.rows,
            "layers": batch.layers,
            "power_kw": batch.power_kw,
            "until_s": batch.until_s,
            "epoch": np.full(len(batch), batch.epoch, dtype=np.int64),
        },
        number=sequence,
    )


def setpoints_of(content: bytes) -> tuple[int, SetpointBatch]:
    """Return sequence number and commands of a SETPOINTS frame.

    Raises:
        FrameError: It is of another kind, has no rows, mixes epochs, or names a layer that is not known.
    """
    frame = decode(content, Kind.SETPOINTS)
    epochs, layers = _ids(frame, "epoch"), _codes(frame, "layers")
    if not frame.count or (epochs != epochs[0]).any():
        raise FrameError(f"instructions of one epoch expected, got {sorted(set(epochs.tolist()))[:4]}")
    if layers.max() > max(Layer):
        raise FrameError(f"layer {layers.max()} is not known")
    batch = SetpointBatch(
        ids=_ids(frame, "ids"),
        rows=_rows(frame),
        layers=layers,
        power_kw=_floats(frame, "power_kw"),
        until_s=_floats(frame, "until_s"),
        epoch=int(epochs[0]),
    )
    return frame.number, batch


def outcome_frames(batch: OutcomeBatch) -> Iterator[bytes]:
    """Iterate a batch in frames of bounded length."""
    return _table_frames(Kind.OUTCOMES, batch)


def outcomes_of(frame: Frame) -> OutcomeBatch:
    """Return the outcomes of an OUTCOMES frame; raises FrameError for a status or reason that is not known."""
    status, reasons = _codes(frame, "status"), _codes(frame, "reasons")
    if frame.count and (status.max() > max(OutcomeStatus) or reasons.max() > max(Reason)):
        raise FrameError(f"status {status.max()} or reason {reasons.max()} is not known")
    return OutcomeBatch(
        ids=_ids(frame, "ids"), rows=_rows(frame), status=status, reasons=reasons, at_s=_floats(frame, "at_s")
    )


def claim_frames(batch: ClaimBatch) -> Iterator[bytes]:
    """Iterate a batch in frames of bounded length."""
    return _table_frames(Kind.CLAIMS, batch)


def claims_of(frame: Frame) -> ClaimBatch:
    """Return the device sessions of a CLAIMS frame."""
    return ClaimBatch(
        rows=_rows(frame), sessions=_ids(frame, "sessions"), up=_codes(frame, "up"), at_s=_floats(frame, "at_s")
    )


def superseded_frame(sessions: Mapping[int, int]) -> bytes:
    """Return at most ``FRAME_ROWS`` newer device sessions, by their row, as one frame."""
    return encode(
        Kind.SUPERSEDED,
        {
            "rows": np.array(list(sessions), dtype=np.int32),
            "sessions": np.array(list(sessions.values()), dtype=np.int64),
        },
    )


def superseded_of(frame: Frame) -> tuple[RowArray, IdArray]:
    """Return rows and session numbers of a SUPERSEDED frame."""
    return _rows(frame), _ids(frame, "sessions")


def car_frames(events: Sequence[SessionEvent]) -> Iterator[bytes]:
    """Iterate events of charging sessions in frames of bounded length."""
    for first in range(0, len(events), FRAME_ROWS // 2):
        chosen = events[first : first + FRAME_ROWS // 2]
        columns: dict[str, list[object]] = {name: [] for name in _CAR_COLUMNS}
        for event in chosen:
            for name, value in zip(_CAR_COLUMNS, _car(event), strict=True):
                columns[name].append(value)
        yield encode(Kind.CARS, columns)


def cars_of(frame: Frame) -> list[SessionEvent]:
    """Return the events of a CARS frame; raises FrameError for an event that is not known."""
    columns = [frame.texts(name) if name == "session" else frame.array(name).tolist() for name in _CAR_COLUMNS]
    return [_event(*values) for values in zip(*columns, strict=True)]


def tally_frame(kind: Kind, counts: Mapping[tuple[str, str], int]) -> bytes:
    """Return counts by adapter and reason as a REJECTED or HEALED frame."""
    return encode(
        kind,
        {
            "adapter": [adapter for adapter, _ in counts],
            "reason": [reason for _, reason in counts],
            "count": np.array(list(counts.values()), dtype=np.uint32),
        },
    )


def tally_of(frame: Frame) -> list[tuple[str, str, int]]:
    """Return adapter, reason and count of a REJECTED or HEALED frame."""
    return list(zip(frame.texts("adapter"), frame.texts("reason"), frame.array("count").tolist(), strict=True))


def refused_connection_frames(refused_connections: Sequence[RefusedConnection]) -> Iterator[bytes]:
    """Iterate refused connections in frames of bounded length."""
    for first in range(0, len(refused_connections), _FRAME_REFUSED):
        chosen = refused_connections[first : first + _FRAME_REFUSED]
        yield encode(
            Kind.REFUSED_CONNECTIONS,
            {name: [getattr(refused, name) for refused in chosen] for name in _REFUSED_COLUMNS},
        )


def refused_connections_of(frame: Frame) -> list[RefusedConnection]:
    """Return the refused connections of a REFUSED_CONNECTIONS frame."""
    texts = [frame.texts(name) for name in _REFUSED_COLUMNS[:4]]
    numbers = [frame.array(name).tolist() for name in _REFUSED_COLUMNS[4:]]
    return [
        RefusedConnection(adapter=a, identity=i, peer=p, reason=r, first_s=first, last_s=last, count=count)
        for a, i, p, r, first, last, count in zip(*texts, *numbers, strict=True)
    ]


def age_frame(ages: Mapping[str, float]) -> bytes:
    """Return wall seconds since a poller's last turn, by adapter, as one frame."""
    return encode(Kind.AGES, {"adapter": list(ages), "age_wall_s": list(ages.values())})


def ages_of(frame: Frame) -> dict[str, float]:
    """Return the ages of an AGES frame, by adapter."""
    return dict(zip(frame.texts("adapter"), frame.array("age_wall_s").tolist(), strict=True))


def default_frames(rows: RowArray, power_kw: FloatArray) -> Iterator[bytes]:
    """Iterate default values in force, shape ``(n,)`` both, in frames of bounded length."""
    for part in _parts(len(rows)):
        yield encode(Kind.DEFAULTS, {"rows": rows[part], "power_kw": power_kw[part]})


def defaults_of(frame: Frame) -> tuple[RowArray, FloatArray]:
    """Return rows and powers of a DEFAULTS frame."""
    return _rows(frame), _floats(frame, "power_kw")


def receipt(number: int, at_s: float) -> bytes:
    """Return the answer to what has sequence ``number``, received at ``at_s``."""
    return encode(Kind.RECEIPT, {"at_s": [at_s]}, number=number)


def receipt_of(content: bytes) -> tuple[int, float]:
    """Return sequence number and instant of a receipt; raises FrameError."""
    frame = decode(content, Kind.RECEIPT)
    return frame.number, one(frame, "at_s")


def one(frame: Frame, name: str) -> float:
    """Return the number in a table of one row; raises FrameError where it has another length."""
    if frame.count != 1:
        raise FrameError(f"{frame.kind.name} has one row, got {frame.count}")
    return float(frame.array(name)[0])


_REFUSED_COLUMNS = tuple(name for name, _ in SCHEMAS[Kind.REFUSED_CONNECTIONS])
_FRAME_REFUSED = 250
"""A quarter of a megabyte, if every id is as long as one may be."""
_CAR_COLUMNS = tuple(name for name, _ in SCHEMAS[Kind.CARS])


def _car(event: SessionEvent) -> tuple[object, ...]:
    match event:
        case SessionStarted():
            return (_STARTED, event.session_id, event.row, event.at_s, event.meter_kwh, nan, nan, nan, 0, 0)
        case SessionEnded():
            return (_ENDED, event.session_id, event.row, event.at_s, event.meter_kwh, nan, nan, nan, 0, 0)
        case SessionPromised(promise=p):
            wish = (p.energy_kwh, p.departure_s, p.floor_kwh, p.opted_out, p.boost)
            return (_PROMISED, event.session_id, _NO_ROW, nan, nan, *wish)
        case _:
            assert_never(event)


def _event(what: int, session_id: str, row: int, at_s: float, meter_kwh: float, *wish: float) -> SessionEvent:
    if what == _STARTED:
        return SessionStarted(session_id=session_id, row=row, at_s=at_s, meter_kwh=meter_kwh)
    if what == _ENDED:
        return SessionEnded(session_id=session_id, row=row, at_s=at_s, meter_kwh=meter_kwh)
    if what != _PROMISED:
        raise FrameError(f"event {what} of a charging session is not known")
    energy_kwh, departure_s, floor_kwh, opted_out, boost = wish
    promise = Promise(
        energy_kwh=energy_kwh,
        departure_s=departure_s,
        floor_kwh=floor_kwh,
        opted_out=bool(opted_out),
        boost=bool(boost),
    )
    return SessionPromised(session_id=session_id, promise=promise)


def _table_frames(kind: Kind, batch: TelemetryBatch | OutcomeBatch | ClaimBatch) -> Iterator[bytes]:
    """Iterate a batch whose attributes are the columns of its kind."""
    columns = {name: getattr(batch, name) for name, _ in SCHEMAS[kind]}
    for part in _parts(len(batch)):
        yield encode(kind, {name: column[part] for name, column in columns.items()})


def _parts(count: int) -> Iterator[slice]:
    return (slice(first, first + FRAME_ROWS) for first in range(0, count, FRAME_ROWS))


def _rows(frame: Frame) -> RowArray:
    rows = frame.array("rows").astype(np.int32)
    if frame.count and rows.min() < 0:
        raise FrameError(f"row {rows.min()} is below 0")
    return rows


def _ids(frame: Frame, name: str) -> IdArray:
    return frame.array(name).astype(np.int64)


def _codes(frame: Frame, name: str) -> CodeArray:
    return frame.array(name).astype(np.uint8)


def _floats(frame: Frame, name: str) -> FloatArray:
    return frame.array(name).astype(np.float64)
