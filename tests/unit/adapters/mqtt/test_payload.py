"""MQTT payloads, and wrong fields named."""

import json
import math
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mqtt import payload
from adapters.mqtt.fields import MAX_BYTES
from adapters.mqtt.payload import Answer, Command, DeviceReading
from vpp.domain.errors import FrameError, InputError, SkipError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

AT_S = 1_782_900_000.0
AT = "2026-07-01T10:00:00+00:00"


def _fault_of(device: object) -> str:
    _, readings, faults = payload.parse_telemetry(
        orjson.dumps({"at": AT, "devices": [{"id": "x", "power_kw": 1}, device]})
    )
    assert readings[0] == DeviceReading(device="x", values={Quantity.POWER_KW: 1.0}), "the neighbour is kept"
    assert len(faults) == 1
    return faults[0].field


@pytest.mark.parametrize(
    ("device", "field"),
    [
        ({"power_kw": 1.0}, "devices[1].id"),
        ({"id": "", "power_kw": 1.0}, "devices[1].id"),
        ({"id": "a"}, "devices[1].power_kw"),
        ({"id": "a", "power_kw": "1"}, "devices[1].power_kw"),
        ({"id": "a", "power_kw": True}, "devices[1].power_kw"),
        ({"id": "a", "power_kw": 1.0, "power_w": 1.0}, "devices[1].power_kw"),
        ({"id": "a", "power_kw": 1.0, "soc": 40}, "devices[1].soc"),
        ({"id": "a", "power_kw": 1.0, "p_max_kw": []}, "devices[1].p_max_kw"),
        ({"id": "a", "power_kw": 1.0, "online": "no"}, "devices[1].online"),
        ("a", "devices[1]"),
    ],
)
def test_a_wrong_device_field_is_named_and_the_neighbour_kept(device: object, field: str) -> None:
    assert _fault_of(device) == field


@pytest.mark.parametrize("at", [None, 5, "yesterday", "2026-07-01T10:00:00"])
def test_an_instant_needs_an_offset(at: object) -> None:
    with pytest.raises(InputError, match=r"at: .* offset"):
        payload.parse_telemetry(orjson.dumps({"at": at, "devices": []}))


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b"7", b"\xff", b" " * (MAX_BYTES + 1)])
def test_what_is_no_json_object_is_no_frame(message: bytes) -> None:
    with pytest.raises(FrameError):
        payload.parse_telemetry(message)


def test_watts_and_kilowatts_may_both_come_as_long_as_they_agree() -> None:
    device = {"id": "a", "power_kw": 41.5, "power_w": 41500, "energy_wh": 2000, "limit_w": 50000, "soc": None}
    at_s, readings, faults = payload.parse_telemetry(orjson.dumps({"at": AT, "devices": [device]}))
    assert (at_s, faults) == (AT_S, [])
    assert readings[0].values == {Quantity.POWER_KW: 41.5, Quantity.ENERGY_KWH: 2.0, Quantity.LIMIT_KW: 50.0}


def test_null_power_is_unknown_and_not_zero() -> None:
    _, readings, faults = payload.parse_telemetry(orjson.dumps({"at": AT, "devices": [{"id": "a", "power_kw": None}]}))
    assert readings == [DeviceReading(device="a", values={})]
    assert faults == []


def test_telemetry_reads_back_as_it_was_written() -> None:
    readings = [
        DeviceReading(device="a", values={Quantity.POWER_KW: -4.25, Quantity.SOC: 0.5, Quantity.P_MIN_KW: -10.0}),
        DeviceReading(device="b", values={}, online=False),
    ]
    assert payload.parse_telemetry(payload.telemetry(AT_S, readings)) == (AT_S, readings, [])


def test_commands_read_back_as_they_were_written() -> None:
    dispatch = Command(id=1, device="a", layer=Layer.DISPATCH, power_kw=-2.5, until_s=AT_S, epoch=3)
    default = Command(id=2, device="b", layer=Layer.DEFAULT, power_kw=0.0, until_s=math.inf, epoch=3)
    assert payload.parse_commands(payload.commands([dispatch, default])) == ([dispatch, default], [])
    release = Command(id=3, device="a", layer=Layer.RELEASE, power_kw=math.nan, until_s=math.inf, epoch=3)
    (read,), _ = payload.parse_commands(payload.commands([release]))
    assert (read.id, read.layer) == (3, Layer.RELEASE)
    assert math.isnan(read.power_kw)


@pytest.mark.parametrize("identity", [1, 2**31, 2**40 + 1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1])
def test_an_id_of_64_bits_reads_back_exactly_also_by_a_library_that_knows_floats_alone(identity: int) -> None:
    sent = Command(id=identity, device="a", layer=Layer.DISPATCH, power_kw=1.0, until_s=AT_S, epoch=3)
    assert payload.parse_commands(payload.commands([sent])) == ([sent], [])
    echoed = json.loads(payload.commands([sent]), parse_int=float)["commands"][0]["id"]
    answer = {"id": echoed if isinstance(echoed, str) else int(echoed), "device": "a", "status": "accepted"}
    _, answers, faults = payload.parse_outcomes(orjson.dumps({"at": AT, "outcomes": [answer]}))
    assert ([one.id for one in answers], faults) == ([identity], [])
    _, answers, _ = payload.parse_outcomes(payload.outcomes(AT_S, [(sent, None), (sent, "refused")]))
    assert [one.id for one in answers] == [identity, identity]


@pytest.mark.parametrize("identity", [7, 2**53 + 1])
def test_an_answer_may_write_any_id_as_a_number_or_as_a_text(identity: int) -> None:
    entries = [{"id": written, "device": "a", "status": "accepted"} for written in (identity, str(identity))]
    _, answers, faults = payload.parse_outcomes(orjson.dumps({"at": AT, "outcomes": entries}))
    assert ([one.id for one in answers], faults) == ([identity, identity], [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": 0}, "id"),
        ({"id": 2**63}, "id"),
        ({"id": True}, "id"),
        ({"id": "-7"}, "id"),
        ({"id": "7.0"}, "id"),
        ({"id": "9" * 400}, "id"),
        ({"id": "\u0667"}, "id"),
        ({"id": 1.5}, "id"),
        ({"device": None}, "device"),
        ({"layer": "boost"}, "layer"),
        ({"power_kw": None}, "power_kw"),
        ({"until": None}, "until"),
        ({"epoch": -1}, "epoch"),
    ],
)
def test_a_wrong_command_field_is_named(change: dict[str, object], field: str) -> None:
    command = {"id": 1, "device": "a", "layer": "dispatch", "power_kw": 1.0, "until": AT, "epoch": 1} | change
    commands, faults = payload.parse_commands(orjson.dumps({"commands": [command]}))
    assert commands == []
    assert [fault.field for fault in faults] == [f"commands[0].{field}"]


def _meaning(**outcome: object) -> tuple[OutcomeStatus, Reason]:
    message = {"at": AT, "outcomes": [{"id": 1, "device": "a", **outcome}]}
    _, (answer,), _ = payload.parse_outcomes(orjson.dumps(message))
    return answer.status, answer.reason


def test_words_of_a_rejection_become_reasons() -> None:
    assert _meaning(status="accepted") == (OutcomeStatus.ACCEPTED, Reason.NONE)
    assert _meaning(status="rejected") == (OutcomeStatus.REJECTED, Reason.REFUSED)
    assert _meaning(status="rejected", reason="unsupported") == (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
    assert _meaning(status="rejected", reason="not_connected") == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
    assert _meaning(status="rejected", reason="a vendor's word") == (OutcomeStatus.REJECTED, Reason.REFUSED)
    assert _meaning(status="perhaps") == (OutcomeStatus.REJECTED, Reason.PROTOCOL)
    assert _meaning(status="rejected", reason=5) == (OutcomeStatus.REJECTED, Reason.PROTOCOL)


def test_outcomes_read_back_as_they_were_written() -> None:
    command = Command(id=1, device="a", layer=Layer.DEFAULT, power_kw=1.0, until_s=math.inf, epoch=1)
    message = payload.outcomes(AT_S, [(command, None), (command, "expired")])
    answer = Answer(id=1, device="a", status=OutcomeStatus.ACCEPTED, reason=Reason.NONE)
    expired = Answer(id=1, device="a", status=OutcomeStatus.REJECTED, reason=Reason.EXPIRED)
    assert payload.parse_outcomes(message) == (AT_S, [answer, expired], [])


def test_a_last_will_is_a_status() -> None:
    assert payload.parse_status(payload.status(online=False)) == (False, None)
    assert payload.parse_status(payload.status(online=True, at_s=AT_S)) == (True, AT_S)


_FIELDS = ["at", "devices", "id", "power_kw", "power_w", "online", "outcomes", "status", "commands", "until", "layer"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6),
    max_leaves=12,
)


@given(_JSON)
def test_no_message_whatever_does_more_than_be_dropped(content: object) -> None:
    message = orjson.dumps(content)
    for parse in (payload.parse_telemetry, payload.parse_commands, payload.parse_outcomes, payload.parse_status):
        with suppress(SkipError):
            parse(message)


def _read(**device: object) -> DeviceReading:
    _, (reading,), _ = payload.parse_telemetry(orjson.dumps({"at": AT, "devices": [{"id": "a", **device}]}))
    return reading


@pytest.mark.parametrize("odd", ["41.5", "unavailable", True, [], {}, 1e300])
@pytest.mark.parametrize("name", ["power_kw", "energy_kwh", "soc", "p_max_kw", "limit_w"])
def test_a_field_without_sense_is_dropped_alone(name: str, odd: object) -> None:
    whole = {"power_kw": 1.0, "energy_kwh": 2.0, "soc": 0.5, "p_max_kw": 4.0, "limit_w": 5000.0}
    good, reading = _read(**whole), _read(**(whole | {name: odd}))
    lost = set(good.values) - set(reading.values)
    assert len(lost) == 1
    assert reading.values == {quantity: value for quantity, value in good.values.items() if quantity not in lost}


@pytest.mark.parametrize(("said", "meant"), [(1.004, 1.0), (1.05, 1.0), (-0.01, 0.0)])
def test_a_charge_a_little_out_of_scale_is_healed(said: float, meant: float) -> None:
    reading = _read(power_kw=1.0, soc=said)
    assert reading.values == {Quantity.POWER_KW: 1.0, Quantity.SOC: meant}
    assert reading.healed == ("soc_out_of_scale",)


@pytest.mark.parametrize("said", [1.2, 40, 65535, -1])
def test_a_charge_that_is_no_share_is_dropped_and_remembered(said: float) -> None:
    reading = _read(power_kw=1.0, soc=said)
    assert reading.values == {Quantity.POWER_KW: 1.0}
    assert reading.per_cent == said


def test_nan_means_unknown_and_takes_no_neighbour_along() -> None:
    message = b'{"at": "%s", "devices": [{"id": "a", "power_kw": NaN, "soc": 0.5}, {"id": "b", "power_kw": -Infinity}]}'
    _, readings, _ = payload.parse_telemetry(message % AT.encode())
    assert [reading.values for reading in readings] == [{Quantity.SOC: 0.5}, {}]


@pytest.mark.parametrize(
    "bomb", [b"[" * 500_000, b'{"a":' * 100_000 + b"NaN", b'{"a": NaN, "b": ' + b"9" * 9000 + b"}"]
)
def test_a_bomb_is_no_frame(bomb: bytes) -> None:
    with pytest.raises(FrameError):
        payload.parse_telemetry(bomb)


def test_one_device_instead_of_a_list_of_one_is_read() -> None:
    body = {"at": AT, "devices": {"id": "a", "power_kw": 1.0}}
    _, (reading,), faults = payload.parse_telemetry(orjson.dumps(body))
    assert (reading.values, reading.healed, faults) == ({Quantity.POWER_KW: 1.0}, ("list_of_one",), [])


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("False", False), (1, True), (0, False)])
def test_a_flag_in_words_or_numbers_is_read(said: object, meant: bool) -> None:  # noqa: FBT001 - a table's column
    reading = _read(power_kw=1.0, online=said)
    assert (reading.online, reading.healed) == (meant, ("flag",))
