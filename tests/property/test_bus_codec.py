"""Whatever the device plane can say comes through the bus's codec unchanged; whatever else comes is refused."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from vpp.bus.messages import codec
from vpp.bus.messages.codec import SCHEMAS, TEXT, Kind, decode, encode
from vpp.bus.messages.frames import (
    FRAME_ROWS,
    ClaimBatch,
    car_frames,
    cars_of,
    claim_frames,
    claims_of,
    default_frames,
    defaults_of,
    outcome_frames,
    outcomes_of,
    setpoint_frame,
    setpoints_of,
    tally_frame,
    tally_of,
    telemetry_frames,
    telemetry_of,
)
from vpp.bus.transport.subjects import MAX_MESSAGE_BYTES
from vpp.domain.errors import FrameError, SkipError
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch

COUNTS = st.integers(0, 40)
FLOATS = st.floats(width=64)


def column(dtype: str, count: int, low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    return nps.arrays(dtype, count, elements=st.integers(low, high))


def floats(count: int) -> st.SearchStrategy[np.ndarray]:
    return nps.arrays(np.float64, count, elements=FLOATS)


@given(st.data(), COUNTS)
def test_samples_come_through(data: st.DataObject, count: int) -> None:
    batch = TelemetryBatch(
        rows=data.draw(column("int32", count, 0, 2**31 - 1)),
        quantities=data.draw(column("uint8", count, 0, max(Quantity))),
        values=data.draw(floats(count)),
        at_s=data.draw(floats(count)),
    )
    back = [telemetry_of(decode(frame, Kind.TELEMETRY)) for frame in telemetry_frames(batch)]
    assert len(back) == (count > 0)
    for one in back:
        for name in ("rows", "quantities", "values", "at_s"):
            np.testing.assert_array_equal(getattr(one, name), getattr(batch, name))
            assert getattr(one, name).dtype == getattr(batch, name).dtype


@given(st.data(), st.integers(1, 40), st.integers(0, 2**62), st.integers(0, 2**63 - 1))
def test_instructions_come_through(data: st.DataObject, count: int, epoch: int, sequence: int) -> None:
    batch = SetpointBatch(
        ids=data.draw(column("int64", count, 1, 2**63 - 1)),
        rows=data.draw(column("int32", count, 0, 2**31 - 1)),
        layers=data.draw(column("uint8", count, 0, max(Layer))),
        power_kw=data.draw(floats(count)),
        until_s=data.draw(floats(count)),
        epoch=epoch,
    )
    number, back = setpoints_of(setpoint_frame(batch, sequence=sequence))
    assert (number, back.epoch) == (sequence, epoch)
    for name in ("ids", "rows", "layers", "power_kw", "until_s"):
        np.testing.assert_array_equal(getattr(back, name), getattr(batch, name))


@given(st.data(), st.integers(1, 40))
def test_outcomes_claims_and_defaults_come_through(data: st.DataObject, count: int) -> None:
    rows = data.draw(column("int32", count, 0, 2**31 - 1))
    numbers = data.draw(column("int64", count, -(2**62), 2**62))
    at_s = data.draw(floats(count))
    outcomes = OutcomeBatch(
        ids=numbers,
        rows=rows,
        status=data.draw(column("uint8", count, 0, max(OutcomeStatus))),
        reasons=data.draw(column("uint8", count, 0, max(Reason))),
        at_s=at_s,
    )
    claims = ClaimBatch(rows=rows, sessions=numbers, up=data.draw(column("uint8", count, 0, 1)), at_s=at_s)
    (told,) = [outcomes_of(decode(frame)) for frame in outcome_frames(outcomes)]
    (claimed,) = [claims_of(decode(frame)) for frame in claim_frames(claims)]
    (defaults,) = [defaults_of(decode(frame)) for frame in default_frames(rows, at_s)]
    for name in ("ids", "rows", "status", "reasons", "at_s"):
        np.testing.assert_array_equal(getattr(told, name), getattr(outcomes, name))
    for name in ("rows", "sessions", "up", "at_s"):
        np.testing.assert_array_equal(getattr(claimed, name), getattr(claims, name))
    np.testing.assert_array_equal(defaults[0], rows)
    np.testing.assert_array_equal(defaults[1], at_s)


PROMISES = st.builds(
    Promise,
    energy_kwh=st.floats(0, 1e3),
    departure_s=st.floats(0, 1e10),
    floor_kwh=st.floats(0, 1e3),
    opted_out=st.booleans(),
    boost=st.booleans(),
)
BEGINS = {
    "session_id": st.text(max_size=40),
    "row": st.integers(0, 2**31 - 1),
    "at_s": st.floats(0, 1e10),
    "meter_kwh": st.floats(0, 1e9),
}
EVENTS = st.one_of(
    st.builds(SessionStarted, **BEGINS),
    st.builds(SessionEnded, **BEGINS),
    st.builds(SessionPromised, session_id=st.text(max_size=40), promise=PROMISES),
)


@given(st.lists(EVENTS, max_size=20))
def test_news_of_cars_come_through_in_order(events: list[SessionStarted | SessionEnded | SessionPromised]) -> None:
    back = [event for frame in car_frames(events) for event in cars_of(decode(frame, Kind.CARS))]
    assert back == events


@given(st.dictionaries(st.tuples(st.text(max_size=9), st.text(max_size=9)), st.integers(0, 2**32 - 1), max_size=9))
def test_counts_of_what_was_dropped_or_repaired_come_through(counts: dict[tuple[str, str], int]) -> None:
    for kind in (Kind.REJECTED, Kind.HEALED):
        frame = decode(tally_frame(kind, counts))
        assert frame.kind is kind
        assert {(adapter, reason): n for adapter, reason, n in tally_of(frame)} == counts


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_frame_error(content: bytes) -> None:
    _refused_or_whole(content)


@given(st.sampled_from(sorted(SCHEMAS)), st.integers(0, 5), st.data())
def test_a_frame_that_was_cut_lengthened_or_bent_is_refused_or_still_whole(
    kind: Kind, count: int, data: st.DataObject
) -> None:
    columns = {name: ["ü" * n for n in range(count)] if code == TEXT else [1] * count for name, code in SCHEMAS[kind]}
    content = encode(kind, columns, number=7)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(FrameError):
        decode(content[:cut])
    with pytest.raises(FrameError):
        decode(content + b"\0")
    bent = bytearray(content)
    bent[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    _refused_or_whole(bytes(bent))


@given(st.lists(st.binary(max_size=30), max_size=5), st.binary(max_size=10))
def test_bundles_come_apart_as_they_were_put_together(frames: list[bytes], tail: bytes) -> None:
    content = codec.bundled(frames)
    assert list(codec.unbundled(content)) == frames
    with suppress(FrameError):
        assert codec.bundled(list(codec.unbundled(content + tail))) == content + tail


def test_an_announced_giant_costs_nothing() -> None:
    content = codec._HEADER.pack(b"VB", codec.VERSION, Kind.TELEMETRY, 2**32 - 1, 0)
    with pytest.raises(FrameError, match="4294967295 rows need"):
        decode(content)
    texts = codec._HEADER.pack(b"VB", codec.VERSION, Kind.REJECTED, 1, 0) + b"\xff" * 4
    with pytest.raises(FrameError):
        decode(texts)


def test_a_later_version_and_an_unknown_kind_are_named() -> None:
    content = bytearray(encode(Kind.ASK, {"what": ["x"]}))
    content[2] = 9
    with pytest.raises(FrameError, match="version 9"):
        decode(bytes(content))
    content[2], content[3] = codec.VERSION, 99
    with pytest.raises(FrameError, match="kind 99"):
        decode(bytes(content))
    with pytest.raises(FrameError, match="expected BEAT, got ASK"):
        decode(encode(Kind.ASK, {"what": ["x"]}), Kind.BEAT)


def test_the_longest_frames_go_into_a_message() -> None:
    rows, ones = np.arange(FRAME_ROWS, dtype=np.int32), np.ones(FRAME_ROWS)
    batch = SetpointBatch(
        ids=rows.astype(np.int64), rows=rows, layers=ones.astype(np.uint8), power_kw=ones, until_s=ones, epoch=1
    )
    assert len(setpoint_frame(batch, sequence=1)) < MAX_MESSAGE_BYTES - 1000


def _refused_or_whole(content: bytes) -> None:
    """Read bytes as whoever receives them does; nothing but a SkipError may come of it."""
    readers = {
        Kind.TELEMETRY: telemetry_of,
        Kind.OUTCOMES: outcomes_of,
        Kind.CLAIMS: claims_of,
        Kind.CARS: cars_of,
        Kind.REJECTED: tally_of,
        Kind.HEALED: tally_of,
        Kind.DEFAULTS: defaults_of,
    }
    with suppress(SkipError):
        frame = decode(content)
        if frame.kind is Kind.SETPOINTS:
            setpoints_of(content)
        if frame.kind in readers:
            readers[frame.kind](frame)
