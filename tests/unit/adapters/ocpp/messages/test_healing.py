"""Requests with cosmetic faults are taken; those without something that is needed are not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.healing import KINDS, SAMPLE_LISTS, heal
from adapters.ocpp.messages.ocpp_j import CallFaultError, Fault, Json, Version

AT = "2025-07-01T18:00:00Z"
STOP: Json = {"transactionId": 7, "meterStop": 5000, "timestamp": AT}
METER: Json = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "1"}]}]}
EVENT: Json = {
    "eventType": "Ended",
    "timestamp": AT,
    "triggerReason": "EVDeparted",
    "seqNo": 4,
    "transactionInfo": {"transactionId": "tx1"},
}
BOOT2: Json = {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "B"}}


def sampled(*samples: object, name: str = "meterValue") -> Json:
    return {name: [{"timestamp": AT, "sampledValue": list(samples)}]}


@pytest.mark.parametrize(
    ("action", "whole", "odd", "kind", "mended"),
    [
        ("StopTransaction", STOP, {"idTag": None, "reason": None}, "null", {}),
        ("StopTransaction", STOP, {"disconnectReason": "x"}, "unknown_field", {}),
        ("StopTransaction", STOP, {"reason": ""}, "odd_field", {}),
        ("StopTransaction", STOP, {"reason": "evdisconnected"}, "word", {"reason": "EVDisconnected"}),
        ("StopTransaction", STOP, {"meterStop": 5000.6}, "fraction", {"meterStop": 5001}),
        ("StopTransaction", STOP, {"meterStop": "5000"}, "number", {}),
        ("StopTransaction", STOP, {"meterStop": "5000.0"}, "number", {}),
        ("StopTransaction", STOP, {"meterStop": None}, "stand_in", {"meterStop": -1}),
        ("StopTransaction", STOP, {"meterStop": "n/a"}, "stand_in", {"meterStop": -1}),
        ("StopTransaction", STOP, {"timestamp": None}, "stand_in", {"timestamp": ""}),
        ("StopTransaction", STOP, {"transactionId": {}}, "stand_in", {"transactionId": -1}),
        ("StopTransaction", STOP, {"idTag": 55}, "text", {"idTag": "55"}),
        ("StopTransaction", STOP, {"idTag": "T" * 30}, "too_long", {"idTag": "T" * 20}),
        ("StopTransaction", STOP, {"transactionData": "none"}, "list", {"transactionData": []}),
        ("StopTransaction", STOP, sampled({"value": 9}, name="transactionData"), "text", None),
        ("MeterValues", METER, {"meterValue": METER["meterValue"][0]}, "list", {}),
        ("MeterValues", METER, sampled({"value": 1}), "text", {}),
        ("MeterValues", METER, {"transactionId": None}, "null", {}),
        ("MeterValues", METER, {"connectorId": "1"}, "number", {}),
        ("MeterValues", METER, sampled({"value": "1", "context": "Weather"}), "odd_field", {}),
        ("MeterValues", METER, sampled({"value": "1", "unit": None, "phase": ""}), "null", {}),
    ],
)
def test_what_is_cosmetic_is_repaired_and_named(
    action: str, whole: Json, odd: Json, kind: str, mended: Json | None
) -> None:
    healed = heal(Version.V16, action, whole | odd)
    assert kind in healed.kinds
    assert set(healed.kinds) <= KINDS
    if mended is not None:
        assert healed.payload == whole | mended
    assert healed.samples == 0


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
@pytest.mark.parametrize(
    ("action", "whole", "odd", "mended"),
    [
        ("TransactionEvent", EVENT, {"meterValue": []}, {}),
        ("TransactionEvent", EVENT, {"offline": "true"}, {"offline": True}),
        ("TransactionEvent", EVENT, {"seqNo": "4"}, {}),
        ("TransactionEvent", EVENT, {"seqNo": None}, {"seqNo": 0}),
        ("TransactionEvent", EVENT, {"triggerReason": "CarGone"}, {"triggerReason": "ChargingStateChanged"}),
        ("TransactionEvent", EVENT, {"evse": {"connectorId": 1}}, {}),
        ("TransactionEvent", EVENT, {"evse": None, "reservationId": None, "vendor": 1}, {}),
        (
            "TransactionEvent",
            EVENT,
            {"transactionInfo": {"transactionId": 12, "stoppedReason": ""}},
            {"transactionInfo": {"transactionId": "12"}},
        ),
        ("BootNotification", BOOT2, {"reason": "Boredom"}, {"reason": "Unknown"}),
        (
            "StatusNotification",
            {"evseId": 1, "connectorId": 1, "timestamp": AT},
            {"connectorStatus": "Charging"},
            {"connectorStatus": "Occupied"},
        ),
    ],
)
def test_2x_is_healed_alike(version: Version, action: str, whole: Json, odd: Json, mended: Json) -> None:
    assert heal(version, action, whole | odd).payload == whole | mended


def test_a_state_of_another_version_is_one_with_a_car() -> None:
    told: Json = {"connectorId": 1, "errorCode": "NoError", "status": "Occupied"}
    assert heal(Version.V16, "StatusNotification", told).payload["status"] == "Charging"


def test_an_empty_reading_costs_its_neighbours_nothing() -> None:
    readings: list[Json] = [{"timestamp": AT, "sampledValue": []}, *METER["meterValue"], {"timestamp": AT}]
    healed = heal(Version.V16, "MeterValues", METER | {"meterValue": readings})
    assert healed.payload == METER
    assert healed.kinds[0] == "empty_list"


def test_a_sample_that_is_not_understood_goes_as_a_whole_and_its_neighbours_stay() -> None:
    good = {"value": "1"}
    odd: list[Json] = [
        {"value": "1", "unit": "Hz"},
        {"value": "1", "measurand": "Vendor.Mood"},
        {"value": "1", "location": "Moon"},
        {"value": "1", "phase": "L9"},
        {"value": None},
        {"value": {}},
    ]
    payload = {"connectorId": 1, **sampled(*odd[:3], good, *odd[3:])}
    payload["meterValue"].append({"timestamp": AT, "sampledValue": [odd[0]]})
    healed = heal(Version.V16, "MeterValues", payload)
    assert healed.payload == METER
    assert healed.samples == len(odd) + 1


def test_words_in_another_case_are_understood() -> None:
    payload = {"connectorId": 1, **sampled({"value": "7", "unit": "KW", "measurand": "power.active.import"})}
    assert heal(Version.V16, "MeterValues", payload).payload["meterValue"][0]["sampledValue"] == [
        {"value": "7", "unit": "kW", "measurand": "Power.Active.Import"}
    ]


def test_meter_values_without_a_good_sample_are_taken_as_none() -> None:
    cases: list[object] = [[], None, {}, [None], sampled({"value": "1", "unit": "Hz"})["meterValue"]]
    for readings in cases:
        assert heal(Version.V16, "MeterValues", {"connectorId": 1, "meterValue": readings}).payload == {
            "connectorId": 1
        }


@pytest.mark.parametrize(
    ("action", "payload", "fault"),
    [
        ("MeterValues", {"meterValue": METER["meterValue"]}, Fault.OCCURRENCE),
        ("BootNotification", {"chargePointVendor": "A", "iccid": None}, Fault.OCCURRENCE),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Error"}, Fault.PROPERTY),
        ("NoSuchAction", {}, Fault.UNKNOWN_ACTION),
    ],
)
def test_what_is_needed_is_missed_by_name(action: str, payload: Json, fault: Fault) -> None:
    with pytest.raises(CallFaultError) as refused:
        heal(Version.V16, action, payload)
    assert refused.value.fault is fault


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from((*STOP, "idTag", "reason", "transactionData", "x")), VALUES))
def test_a_stop_is_always_taken(odd: Json) -> None:
    healed = heal(Version.V16, "StopTransaction", STOP | odd)
    kept = {name: value for name, value in healed.payload.items() if name not in SAMPLE_LISTS}
    schemas.check_request(Version.V16, "StopTransaction", kept)


@given(st.sampled_from(tuple(Version)), st.data())
def test_whatever_comes_is_either_lawful_afterwards_or_refused(version: Version, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(sorted(schemas.requests(version))))
    names = sorted(schemas.request_schema(version, action).get("properties", {"x": {}}))
    payload: Json = data.draw(st.dictionaries(st.sampled_from((*names, "x")), VALUES, max_size=6))
    try:
        healed = heal(version, action, payload)
    except CallFaultError:
        return
    assert set(healed.kinds) <= KINDS
    kept = {name: value for name, value in healed.payload.items() if name not in SAMPLE_LISTS}
    schemas.check_request(version, action, kept)
