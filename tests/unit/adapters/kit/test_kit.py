"""Frames, the timing wheel, admission, columns of a fleet, and the short way of frequent calls."""

import importlib.resources
import math
from dataclasses import replace
from http import HTTPStatus
from typing import Any, get_args

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit.admission import Admission, Bucket, Rush
from adapters.kit.timing_wheel import SLOT_WALL_S, TimingWheel
from adapters.kit.websocket import frames
from adapters.kit.websocket.frames import CloseCode, Opcode
from adapters.kit.websocket.handshake import accepted, is_accepted, refusal, request, retry_after_s
from adapters.kit.websocket.http_head import parse_request
from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import CallFaultError, Version
from adapters.ocpp.profiles.nameplates import Nameplates
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.station.capability_cards import Abilities, CapabilityCards
from adapters.ocpp.telemetry import fast_path
from tests.conformance.ocpp_bench import fleet, resource
from vpp.domain.errors import FrameError, InputError, UnknownIdError

KEY = b"\x01\x02\x03\x04"


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_pure_python_unmasks_as_the_extension_does(data: bytes, mask: bytes) -> None:
    assert frames.xor(data, mask) == frames.apply_mask(data, mask)
    assert frames.xor(frames.xor(data, mask), mask) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_frame_says_where_its_payload_is(size: int) -> None:
    payload = bytes(size)
    for frame in (frames.text(payload), frames.masked(Opcode.TEXT, payload, KEY)):
        body, stop = frames.span(b"xy" + frame, 2)
        assert (stop - body, stop) == (size, 2 + len(frame))
        if size:
            assert frames.span(frame[:1], 0) == (0, 0)


def test_a_close_frame_carries_its_code() -> None:
    assert frames.control(Opcode.CLOSE, frames.closing(CloseCode.SERVICE_RESTART)) == b"\x88\x02\x03\xf4"


class Timed:
    """Something that is due at fixed times."""

    def __init__(self, *dues: float) -> None:
        self.alarm = math.inf
        self.dues = list(dues)
        self.looks: list[float] = []

    def due(self, now: float) -> float:
        """Note the look and say when the next is wanted."""
        self.looks.append(now)
        self.dues = [at for at in self.dues if at > now]
        return self.dues[0] if self.dues else math.inf


def test_the_wheel_looks_when_something_is_due_and_never_early() -> None:
    wheel, one = TimingWheel(), Timed(1.0, 5.0)
    wheel.look(one, 1.0)
    for step in range(100):
        wheel.advance(step * SLOT_WALL_S)
    assert len(one.looks) == 2
    for look, due in zip(one.looks, (1.0, 5.0), strict=True):
        assert due <= look <= due + 2.5 * SLOT_WALL_S


def test_an_earlier_deadline_goes_before_a_later_one_and_the_later_is_not_forgotten() -> None:
    wheel, one = TimingWheel(), Timed(1.0, 3.0)
    wheel.look(one, 3.0)
    wheel.look(one, 1.0)
    wheel.look(one, 2.0)  # later than what is set: nothing to do
    for step in range(60):
        wheel.advance(step * SLOT_WALL_S)
    assert len(one.looks) == 2
    assert one.alarm == math.inf


class Failing(Timed):
    """Fails when it is due."""

    def due(self, now: float) -> float:
        """Fail."""
        super().due(now)
        raise RecursionError(now)

    def crashed(self, error: Exception) -> None:
        """Fail at that too."""
        raise ValueError(str(error))


def test_one_deadline_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    wheel, one, other = TimingWheel(), Failing(1.0, 2.0), Timed(1.0, 2.0)
    wheel.look(one, 1.0)
    wheel.look(other, 1.0)
    for step in range(40):
        wheel.advance(step * SLOT_WALL_S)
    assert (len(one.looks), len(other.looks)) == (1, 2)
    assert len(caplog.records) == 1


def test_a_bucket_lets_through_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(8.0, 5.0)
    assert sum(bucket.take(0.0) for _ in range(20)) == 5
    assert sum(bucket.take(1.0) for _ in range(20)) == 5
    assert sum(bucket.take(1.0 + n / 8.0) for n in range(1, 21)) == 20
    assert Bucket(math.inf, 0.0).take(0.0)


def test_the_longer_the_queue_the_later_may_those_turned_away_come_back() -> None:
    admission = Admission(10.0, 10.0)
    waits = [admission.admit(0.0, prior=lambda: False) for _ in range(1010)]
    assert waits[:10] == [0.0] * 10
    assert 1.0 <= waits[10] <= 1.5
    assert 100.0 <= waits[-1] <= 150.0
    assert admission.admit(0.0, prior=lambda: True) == 0.0


def test_a_rush_outlasts_a_lull_between_gusts_and_a_trickle_is_none() -> None:
    rush = Rush()
    assert not rush.lasts(0.0)
    for _ in range(Rush.MANY + 1):
        rush.came()
    rush.tick(0.1)
    rush.tick(0.6)
    assert rush.lasts(0.9)
    assert not rush.lasts(0.1 + Rush.CALM_WALL_S)
    for tick in range(20, 40):
        rush.came()
        rush.tick(tick * 0.1)
        assert not rush.lasts(tick * 0.1)


def test_columns_know_every_row_and_station_before_and_after_growing() -> None:
    index = fleet()
    plates = Nameplates()
    assert list(plates.grow(index)) == [0, 1, 2]
    grown = fleet(resource(3, "CP1/2"), *(resource(n, f"G{n}/1", p_max_kw=float(n)) for n in range(4, 6000)))
    plates.grow(grown)
    assert plates.rows_of("CP1") == {1: 0, 2: 3}
    assert plates.rows_of("G5999") == {1: 5999}
    assert plates.rows_of("NOBODY") == {}
    assert (plates.connector(3), plates.plate(5000).p_max_kw) == (2, 5000.0)
    assert plates.connectors(np.array([3, 6000, 0, -1], dtype=np.int32)).tolist() == [2, 0, 1, 0]
    assert plates.default_kw(0) == 9.0
    plates.remember_default(0, 5.0)
    assert plates.default_kw(0) == 5.0
    with pytest.raises(UnknownIdError):
        plates.connector(6000)
    with pytest.raises(InputError):
        plates.grow(fleet(*grown.resources[3:], resource(6000, "NOWHERE")))


def test_a_few_new_rows_are_found_without_sorting_anew() -> None:
    plates, index = Nameplates(), fleet()
    plates.grow(index)
    plates.grow(fleet(resource(3, "CP1/2")))
    assert plates.rows_of("CP1") == {1: 0, 2: 3}


def test_events_give_a_station_the_way_until_they_end() -> None:
    plates = Nameplates()
    plates.grow(fleet())
    plates.mark_events(np.array([0, 99], dtype=np.int32), np.array([50.0, 50.0]))
    assert plates.in_event("CP1", 49.0)
    assert not plates.in_event("CP1", 50.0)
    assert not plates.in_event("CP2", 49.0)


def test_stations_alike_share_one_record() -> None:
    cards = CapabilityCards()
    known = Abilities(version="ocpp1.6", vendor="A", model="M", firmware="1", units=(RateUnit.W,))
    assert cards.shared(known) is cards.shared(replace(known))
    assert cards.begin_test(known)
    assert not cards.begin_test(known)  # one of a make is enough
    cards.remember(replace(known, tested=True, follows=False))
    assert cards.recall(replace(known, units=None)).tested
    assert cards.recall(known).follows is None  # that is a station's own
    assert not cards.begin_test(known)


def test_a_request_and_its_answer_understand_each_other() -> None:
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    head = request(host="h:1", path="/ocpp/CP1", key=key, subprotocol=Version.V16).removesuffix(b"\r\n\r\n")
    parsed = parse_request(head)
    answer = accepted(parsed, Version.V16).removesuffix(b"\r\n\r\n")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # the example of RFC 6455, 1.3
    assert is_accepted(answer, key)
    assert not is_accepted(answer, b"AAAAAAAAAAAAAAAAAAAAAA==")
    busy = refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="7").removesuffix(b"\r\n\r\n")
    assert retry_after_s(busy) == 7.0
    with pytest.raises(FrameError):
        parse_request(b"\x16\x03\x01 hello")


# The short way takes only what the official schema takes.


def schema() -> dict[str, Any]:
    text = (importlib.resources.files("ocpp") / "v16/schemas/MeterValues.json").read_text(encoding="utf-8-sig")
    found: dict[str, Any] = orjson.loads(text)
    return found


def test_the_typed_records_have_the_fields_and_words_of_the_official_schema() -> None:
    top = schema()["properties"]
    value = top["meterValue"]["items"]["properties"]
    sampled = value["sampledValue"]["items"]["properties"]
    for record, properties in (
        (fast_path.MeterValues16, top),
        (fast_path.Reading16, value),
        (fast_path.Sampled16, sampled),
    ):
        assert {field.encode_name for field in msgspec.structs.fields(record)} == set(properties)
    for words, name in ((fast_path.Measurand, "measurand"), (fast_path.Phase, "phase"), (fast_path.Context, "context")):
        assert set(get_args(words)) == set(sampled[name]["enum"])
    assert set(get_args(fast_path.Unit)) == set(sampled["unit"]["enum"])


WORDS = st.sampled_from(("Power.Active.Import", "SoC", "Voltage", "Vendor.Mood", "Current.Import", 5, None))
SAMPLE = st.fixed_dictionaries(
    {"value": st.sampled_from(("1000", "50", "", "abc", "nan", 7))},
    optional={
        "measurand": WORDS,
        "unit": st.sampled_from(("W", "kW", "Percent", "Hz", "Wh", "V")),
        "phase": st.sampled_from(("L1", "L9")),
        "format": st.sampled_from(("Raw", "SignedData", "Odd")),
        "location": st.sampled_from(("Outlet", "Moon")),
        "context": st.sampled_from(("Trigger", "Weather")),
        "extra": st.just(1),
    },
)
READING = st.fixed_dictionaries(
    {"timestamp": st.just("2025-07-01T18:00:00Z"), "sampledValue": st.lists(SAMPLE, max_size=3)}
)
PAYLOAD = st.fixed_dictionaries(
    {"meterValue": st.lists(READING, max_size=2)},
    optional={"connectorId": st.sampled_from((1, 1.5, "1")), "transactionId": st.sampled_from((5, -1, "5"))},
)


@given(PAYLOAD)
def test_what_the_short_way_takes_the_official_schema_takes(payload: dict[str, Any]) -> None:
    try:
        message = fast_path._read_meter_values(orjson.dumps(payload))
    except msgspec.MsgspecError:
        return
    if not message.readings or any(not reading.sampled for reading in message.readings):
        return  # left to the long way
    try:
        schemas.check_request(Version.V16, "MeterValues", payload)
    except CallFaultError as fault:
        pytest.fail(f"the short way took {payload}: {fault}")
